from types import SimpleNamespace

import numpy as np
import pytest
import torch

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan.family import new_trainer
from paper_repro.gan.noise_and_masks import draw_masks
from paper_repro.gan.update import GRADIENT_NORMS, Trainer
from tests import reference
from tests.small import small_experiment, small_values
from tests.test_joint_update import data

STEPS = 100


def arrays(tensors):
    return [tensor.detach().numpy().copy() for tensor in tensors]


def relative(ours, theirs):
    return max(
        np.abs(a.detach().numpy() - b).max() / np.abs(b).max()
        for a, b in zip(ours, theirs, strict=True)
    )


class Start:
    """A trainer of seed 3, its parameters as arrays, and the same draws from a rng of its own."""

    def __init__(self, experiment, plain=False):
        made = new_trainer(experiment, (4, 5), data(), 3, torch.device("cpu"))
        self.trainer = Trainer(experiment, made.gan, made.draws, plain=plain)
        self.draws = stream_rng(3, "draws")

    @property
    def parameters(self):
        """Of G and of D."""
        trainer = self.trainer
        return arrays(trainer.generator.parameters), arrays(trainer.discriminator.parameters)

    def noise(self, n):
        return torch.empty(n, 7).uniform_(-(3**0.5), 3**0.5, generator=self.draws).numpy()

    def masks(self, n):
        return arrays(draw_masks(self.trainer.gan.discriminator, n, self.draws))

    def difference(self, g, d):
        """The largest difference of G and of D from arrays."""
        ours = self.trainer.generator.parameters, self.trainer.discriminator.parameters
        return max(relative(ours[0], g), relative(ours[1], d))


def zeros(arrays):
    return [np.zeros_like(array) for array in arrays]


@pytest.mark.parametrize("g_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize("d_loss", ["half_sum", "sum"])
def test_joint_update_follows_the_numpy_reference(float64, g_loss, d_loss):
    start = Start(small_experiment(generator_loss=g_loss, discriminator_loss=d_loss))
    g, d = g_start, d_start = start.parameters
    g_v, d_v = zeros(g), zeros(d)
    images = data()
    for update in range(1, STEPS + 1):
        x = images[(update * 10) % 190 :][:10]
        # The schedules' own closed formulas are in test_sgd; these are any two numbers.
        rate, momentum = 0.5 / update**0.5, 0.5 + update / 400
        start.trainer.update(x, rate, momentum)
        z, m = start.noise(10), start.masks(20)
        g_grad, d_grad = reference.joint_gradients(
            g, d, x.numpy(), z, m, 5, minimax=g_loss == "minimax", half=d_loss == "half_sum"
        )
        g, g_v = reference.momentum_step(g, g_v, g_grad, rate, momentum)
        d, d_v = reference.momentum_step(d, d_v, d_grad, rate, momentum)
    assert start.difference(g, d) < 1e-9
    # It went somewhere: a twin of two unmoved networks would agree as well.
    assert relative(start.trainer.generator.parameters[::2], g_start[::2]) > 1e-2
    assert relative(start.trainer.discriminator.parameters[::2], d_start[::2]) > 1e-2


@pytest.mark.parametrize("k", [1, 2, 5])
def test_alternating_update_is_algorithm_1(float64, k):
    start = Start(small_experiment(update="alternating", k=k, discriminator_loss="sum"))
    g, d = start.parameters
    g_v, d_v = zeros(g), zeros(d)
    for update in range(10):
        x = data()[update * 10 :][: 10 * k]
        start.trainer.update(x, 0.1, 0.5)
        for batch in np.split(x.numpy(), k):
            z, m = start.noise(10), start.masks(20)
            _, d_grad = reference.joint_gradients(g, d, batch, z, m, 5, half=False)
            d, d_v = reference.momentum_step(d, d_v, d_grad, 0.1, 0.5)
        z, m = start.noise(10), start.masks(10)
        # Fresh z against the new D; the data half of the joint gradient is not used.
        both = [np.concatenate([mask, mask]) for mask in m]
        g_grad, _ = reference.joint_gradients(g, d, x.numpy()[:10], z, both, 5)
        g, g_v = reference.momentum_step(g, g_v, g_grad, 0.1, 0.5)
    assert start.difference(g, d) < 1e-9


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_measuring_gradient_norms_changes_nothing(float64, update):
    plain, measured = (Start(small_experiment(update=update)) for _ in range(2))
    before = plain.parameters[0][0]
    for _ in range(3):
        plain.trainer.update(data()[:10], 0.1, 0.5)
        _, norms = measured.trainer.update(data()[:10], 0.1, 0.5, norms=True)
    assert norms.shape == (len(GRADIENT_NORMS),)
    for name, tensor in plain.trainer.state().items():
        assert torch.equal(tensor, measured.trainer.state()[name]), name
    assert not np.array_equal(before, plain.parameters[0][0])


@pytest.mark.parametrize("plain", [False, True])
def test_gradient_norms_are_those_of_the_reference(float64, plain):
    start = Start(small_experiment(), plain)
    with torch.no_grad():
        # D rejects: the two losses have far apart gradients.
        start.trainer.discriminator.parameters[-1].fill_(-3)
    g, d = start.parameters
    _, norms = start.trainer.update(data()[:10], 0.1, 0.5, norms=True)
    z, m = start.noise(10), start.masks(20)
    expected = []
    for minimax in (False, True):
        gradients, _ = reference.joint_gradients(g, d, data()[:10].numpy(), z, m, 5, minimax)
        expected.append(sum((gradient**2).sum() for gradient in gradients) ** 0.5)
    assert norms.numpy() == pytest.approx(expected, rel=1e-9)
    assert norms[0] > 5 * norms[1]


def test_the_diagnostics_are_the_paper_s_quantities(float64):
    start = Start(small_experiment())
    g, d = start.parameters
    diagnostics, norms = start.trainer.update(data()[:10], 0.1, 0.5)
    samples = reference.generator_forward(g, start.noise(10))[2]
    both = np.concatenate([data()[:10].numpy(), samples])
    logits, _ = reference.discriminator_forward(d, both, start.masks(20), 5)
    on_data, on_samples = reference.sigmoid(logits[:10]), reference.sigmoid(logits[10:])
    value = np.log(on_data).mean() + np.log(1 - on_samples).mean()
    expected = [on_data.mean(), on_samples.mean(), -value / 2, -np.log(on_samples).mean(), value]
    assert diagnostics.numpy() == pytest.approx(expected, rel=1e-12)
    assert norms is None


def test_column_norms_hold_before_and_after_every_update():
    bounded = small_values()["sgd"] | {"max_column_norm": 0.3}
    trainer = Start(small_experiment(sgd=bounded)).trainer
    for _ in range(3):
        for parameter in (*trainer.generator.parameters, *trainer.discriminator.parameters):
            if parameter.dim() == 2:
                assert parameter.norm(dim=0).max() <= 0.3
        trainer.update(data()[:10], 0.5, 0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_the_update_runs_on_a_gpu_and_agrees_with_the_cpu(float64, update):
    experiment = small_experiment(update=update)
    cpu, gpu = (
        new_trainer(experiment, (4, 5), data(), 3, torch.device(d)) for d in ("cpu", "cuda")
    )
    noise, masks = cpu.draws.noise(10), cpu.draws.masks(20)
    for name, tensor in gpu.state().items():
        tensor.copy_(cpu.state()[name])
    for trainer in (cpu, gpu):
        device = trainer.generator.parameters[0].device
        z, drawn = noise.to(device), [mask.to(device) for mask in masks]
        trainer.draws = SimpleNamespace(
            noise=lambda n, z=z: z[:n], masks=lambda n, drawn=drawn: [mask[:n] for mask in drawn]
        )
        for step in range(20):
            trainer.update(data()[step * 5 :][:10].to(device), 0.1, 0.5)
    for name, tensor in gpu.state().items():
        torch.testing.assert_close(tensor.cpu(), cpu.state()[name], rtol=1e-9, atol=1e-12)
