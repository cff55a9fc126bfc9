import numpy as np
import pytest
import torch

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan.family import new_trainer
from paper_repro.gan.noise_and_masks import draw_masks
from paper_repro.gan.update import GRADIENT_NORMS
from tests import reference
from tests.small import small_experiment

STEPS = 100


def arrays(tensors):
    return [tensor.detach().numpy().copy() for tensor in tensors]


def relative(ours, theirs):
    return max(
        np.abs(a.detach().numpy() - b).max() / np.abs(b).max()
        for a, b in zip(ours, theirs, strict=True)
    )


def data(n=200, d=20):
    return torch.rand(n, d, generator=stream_rng(5, "data"))


def twin_draws(experiment, network):
    """The noise and masks that a trainer of seed 3 draws, from a generator of the test's own."""
    draws = stream_rng(3, "draws")

    def noise(n):
        return torch.empty(n, 7).uniform_(-(3**0.5), 3**0.5, generator=draws).numpy()

    def masks(n):
        return arrays(draw_masks(network, n, draws))

    return noise, masks


@pytest.mark.parametrize("g_loss", ["non_saturating", "minimax"])
@pytest.mark.parametrize("d_loss", ["half_sum", "sum"])
def test_joint_update_follows_the_numpy_reference(params, float64, g_loss, d_loss):
    experiment = small_experiment(generator_loss=g_loss, discriminator_loss=d_loss)
    images = data()
    trainer = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    g, d = arrays(trainer.generator.parameters), arrays(trainer.discriminator.parameters)
    g_start, d_start = g, d
    g_v, d_v = [np.zeros_like(p) for p in g], [np.zeros_like(p) for p in d]
    noise, masks = twin_draws(experiment, trainer.gan.discriminator)
    for update in range(1, STEPS + 1):
        x = images[(update * 10) % 190 :][:10]
        # The schedules' own closed formulas are in test_sgd; these are any two numbers.
        rate, momentum = 0.5 / update**0.5, 0.5 + update / 400
        trainer.update(x, rate, momentum)
        z, m = noise(10), masks(20)
        g_grad, d_grad = reference.joint_gradients(
            g, d, x.numpy(), z, m, 5, minimax=g_loss == "minimax", half=d_loss == "half_sum"
        )
        g, g_v = reference.momentum_step(g, g_v, g_grad, rate, momentum)
        d, d_v = reference.momentum_step(d, d_v, d_grad, rate, momentum)
    assert relative(trainer.generator.parameters, g) < 1e-9
    assert relative(trainer.discriminator.parameters, d) < 1e-9
    # It went somewhere: a twin of two unmoved networks would agree as well.
    assert relative(trainer.generator.parameters[::2], g_start[::2]) > 1e-2
    assert relative(trainer.discriminator.parameters[::2], d_start[::2]) > 1e-2


@pytest.mark.parametrize("k", [1, 2, 5])
def test_alternating_update_is_algorithm_1(params, float64, k):
    experiment = small_experiment(update="alternating", k=k, discriminator_loss="sum")
    images = data()
    trainer = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    g, d = arrays(trainer.generator.parameters), arrays(trainer.discriminator.parameters)
    g_v, d_v = [np.zeros_like(p) for p in g], [np.zeros_like(p) for p in d]
    noise, masks = twin_draws(experiment, trainer.gan.discriminator)
    for update in range(10):
        x = images[update * 10 :][: 10 * k]
        trainer.update(x, 0.1, 0.5)
        for batch in np.split(x.numpy(), k):
            _, d_grad = reference.joint_gradients(g, d, batch, noise(10), masks(20), 5, half=False)
            d, d_v = reference.momentum_step(d, d_v, d_grad, 0.1, 0.5)
        z, m = noise(10), masks(10)
        # Fresh z against the new D; the data half of the joint gradient is not used.
        both = [np.concatenate([mask, mask]) for mask in m]
        g_grad, _ = reference.joint_gradients(g, d, x.numpy()[:10], z, both, 5)
        g, g_v = reference.momentum_step(g, g_v, g_grad, 0.1, 0.5)
    assert relative(trainer.generator.parameters, g) < 1e-9
    assert relative(trainer.discriminator.parameters, d) < 1e-9


def test_a_short_last_batch_is_a_mean_over_its_own_examples(params, float64):
    experiment = small_experiment()
    images = data()
    trainer = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    g, d = arrays(trainer.generator.parameters), arrays(trainer.discriminator.parameters)
    noise, masks = twin_draws(experiment, trainer.gan.discriminator)
    trainer.update(images[:3], 0.1, 0.5)
    g_grad, d_grad = reference.joint_gradients(g, d, images[:3].numpy(), noise(3), masks(6), 5)
    zeros = [np.zeros_like(p) for p in g], [np.zeros_like(p) for p in d]
    g, _ = reference.momentum_step(g, zeros[0], g_grad, 0.1, 0.5)
    d, _ = reference.momentum_step(d, zeros[1], d_grad, 0.1, 0.5)
    assert relative(trainer.generator.parameters, g) < 1e-12
    assert relative(trainer.discriminator.parameters, d) < 1e-12


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_measuring_gradient_norms_changes_nothing(params, float64, update):
    experiment = small_experiment(update=update)
    images = data()
    plain = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    measured = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    for _ in range(3):
        before = plain.state()["generator.layers.0.weight"].clone()
        plain.update(images[:10], 0.1, 0.5)
        _, norms = measured.update(images[:10], 0.1, 0.5, norms=True)
    assert norms.shape == (len(GRADIENT_NORMS),)
    for name, tensor in plain.state().items():
        assert torch.equal(tensor, measured.state()[name]), name
    assert not torch.equal(before, plain.state()["generator.layers.0.weight"])


def test_gradient_norms_are_those_of_the_reference(params, float64):
    experiment = small_experiment()
    images = data()
    trainer = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    with torch.no_grad():
        # D rejects: the two losses have far apart gradients.
        trainer.discriminator.parameters[-1].fill_(-3)
    g, d = arrays(trainer.generator.parameters), arrays(trainer.discriminator.parameters)
    noise, masks = twin_draws(experiment, trainer.gan.discriminator)
    _, norms = trainer.update(images[:10], 0.1, 0.5, norms=True)
    z, m = noise(10), masks(20)
    expected = []
    for minimax in (False, True):
        gradients, _ = reference.joint_gradients(g, d, images[:10].numpy(), z, m, 5, minimax)
        expected.append(sum((gradient**2).sum() for gradient in gradients) ** 0.5)
    assert norms.numpy() == pytest.approx(expected, rel=1e-9)
    assert norms[0] > 5 * norms[1]


def test_the_diagnostics_are_the_paper_s_quantities(params, float64):
    experiment = small_experiment()
    images = data()
    trainer = new_trainer(experiment, (4, 5), images, 3, torch.device("cpu"))
    g, d = arrays(trainer.generator.parameters), arrays(trainer.discriminator.parameters)
    noise, masks = twin_draws(experiment, trainer.gan.discriminator)
    diagnostics, norms = trainer.update(images[:10], 0.1, 0.5)
    z, m = noise(10), masks(20)
    samples = reference.generator_forward(g, z)[2]
    both = np.concatenate([images[:10].numpy(), samples])
    logits, _ = reference.discriminator_forward(d, both, m, 5)
    on_data, on_samples = reference.sigmoid(logits[:10]), reference.sigmoid(logits[10:])
    value = np.log(on_data).mean() + np.log(1 - on_samples).mean()
    expected = [on_data.mean(), on_samples.mean(), -value / 2, -np.log(on_samples).mean(), value]
    assert diagnostics.numpy() == pytest.approx(expected, rel=1e-12)
    assert norms is None


def test_column_norms_hold_before_and_after_every_update(params):
    sgd_settings = small_experiment().sgd.model_copy(update={"max_column_norm": 0.3})
    experiment = small_experiment().model_copy(update={"sgd": sgd_settings})
    trainer = new_trainer(experiment, (4, 5), data(), 3, torch.device("cpu"))
    for _ in range(3):
        for parameter in (*trainer.generator.parameters, *trainer.discriminator.parameters):
            if parameter.dim() == 2:
                assert parameter.norm(dim=0).max() <= 0.3
        trainer.update(data()[:10], 0.5, 0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_the_update_runs_on_a_gpu_and_agrees_with_the_cpu(params, float64, update):
    experiment = small_experiment(update=update)
    trainers = [
        new_trainer(experiment, (4, 5), data(), 3, torch.device(d)) for d in ("cpu", "cuda")
    ]
    cpu, gpu = trainers
    for name, tensor in gpu.state().items():
        tensor.copy_(cpu.state()[name])
    noise, masks = cpu.draws.noise(10), cpu.draws.masks(20)
    for trainer in trainers:
        device = trainer.generator.parameters[0].device
        trainer.draws = FixedDraws(noise.to(device), [m.to(device) for m in masks])
        for step in range(20):
            trainer.update(data()[step * 5 :][:10].to(device), 0.1, 0.5)
    for name, tensor in gpu.state().items():
        torch.testing.assert_close(tensor.cpu(), cpu.state()[name], rtol=1e-9, atol=1e-12)


class FixedDraws:
    """The same noise and masks at every update."""

    def __init__(self, z, drawn):
        self.z, self.drawn = z, drawn

    def noise(self, n):
        return self.z[:n]

    def masks(self, n):
        return [mask[:n] for mask in self.drawn]
