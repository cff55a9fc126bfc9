import numpy as np
import pytest
import torch

from paper_repro import config
from paper_repro.models.maxout import maxout
from paper_repro.models.networks import build_gan, initialise
from paper_repro.models.noise import draw_noise
from paper_repro.randomness import generator
from paper_repro.training.draws import draw_masks
from tests import reference


@pytest.fixture
def gan(params):
    made = build_gan(config.experiment(params, "paper", "mnist"), (28, 28), "cpu")
    initialise(made, torch.linspace(0, 1, 784), generator(0, "test"))
    return made


def test_parameter_counts_are_those_worked_out_by_hand(gan):
    # G: 100*1200+1200 + 1200*1200+1200 + 1200*784+784
    assert sum(p.numel() for p in gan.generator.parameters()) == 2_503_984
    # D: 784*1200+1200 + 240*1200+1200 + 240+1
    assert sum(p.numel() for p in gan.discriminator.parameters()) == 1_231_441


def test_shapes(gan):
    z = torch.zeros(3, 100)
    samples = gan.generator(z)
    assert samples.shape == (3, 784)
    assert gan.discriminator.logits(samples).shape == (3, 1)
    assert [layer.weight.shape for layer in gan.discriminator.stack] == [
        (784, 1200),
        (240, 1200),
        (240, 1),
    ]


def test_the_initial_draw_is_the_specification_s(gan):
    for network, bound in ((gan.generator, 0.05), (gan.discriminator, 0.005)):
        for layer in network.stack:
            weights = layer.weight.detach()
            assert weights.abs().max() <= bound
            assert weights.abs().max() > 0.95 * bound
            # U(-a, a) has the variance a^2 / 3; the error of the estimate falls as 1 / sqrt(n).
            spread = weights.var().item() / (bound**2 / 3)
            assert spread == pytest.approx(1, abs=6 / weights.numel() ** 0.5)
            if layer is not gan.generator.stack[-1]:
                assert not layer.bias.any()


def test_the_output_bias_is_the_logit_of_the_clipped_marginals(gan):
    bias = gan.generator.stack[-1].bias.detach().double()
    assert bias[392].item() == pytest.approx(np.log((392 / 783) / (391 / 783)), rel=1e-4)
    assert bias[0].item() == pytest.approx(np.log(1e-7 / (1 - 1e-7)), rel=1e-6)
    assert bias[-1].item() == pytest.approx(np.log((1 - 1e-7) / 1e-7), rel=2e-2)
    # So an untrained generator with zero weights would put out the mean image.
    assert torch.sigmoid(bias)[100:-100].numpy() == pytest.approx(
        np.linspace(0, 1, 784)[100:-100], rel=1e-4
    )


def test_maxout_takes_contiguous_columns():
    values = torch.tensor([[1.0, 5, 2, 9, 3, 4], [0, -1, -2, -6, -5, -4]])
    assert maxout(values, 3).tolist() == [[5, 9], [0, -4]]
    assert maxout(values, 2).tolist() == [[5, 9, 4], [0, -2, -4]]
    assert maxout(values, 1).tolist() == values.tolist()


def test_maxout_agrees_with_the_loop():
    values = torch.randn(7, 30, generator=generator(0, "maxout"))
    expected, _ = reference.maxout_forward(values.numpy(), 5)
    assert np.array_equal(maxout(values, 5).numpy(), expected.astype(np.float32))


def test_maxout_gives_a_tie_to_one_column():
    values = torch.ones(1, 5, requires_grad=True)
    maxout(values, 5).sum().backward()
    assert sorted(values.grad[0].tolist()) == [0, 0, 0, 0, 1]


def test_masks_keep_with_the_probability_and_scale_of_each_layer(gan):
    n = 2000
    masks = draw_masks(gan.discriminator, n, generator(0, "masks"))
    for mask, inputs, keep, scale in zip(
        masks, (784, 240, 240), (0.8, 0.5, 0.5), (1.25, 2.0, 2.0), strict=True
    ):
        assert mask.shape == (n, inputs)
        assert set(mask.unique().tolist()) == {0.0, scale}
        kept = (mask > 0).double()
        error = 5 * (keep * (1 - keep) / mask.numel()) ** 0.5
        assert kept.mean().item() == pytest.approx(keep, abs=error)
        assert mask.double().mean().item() == pytest.approx(1, abs=error * scale)
        # Independent across examples and inputs: rows and columns vary as coin flips do.
        for axis, flips in ((0, n), (1, inputs)):
            expected = keep * (1 - keep) / flips
            assert kept.mean(axis).var().item() == pytest.approx(expected, rel=0.5)
        rows = kept[0::2], kept[1::2]
        agreement = keep**2 + (1 - keep) ** 2
        assert (rows[0] == rows[1]).double().mean().item() == pytest.approx(agreement, abs=0.01)


def test_masks_multiply_the_inputs_of_their_layer(gan):
    x = torch.rand(4, 784, generator=generator(0, "x"))
    masks = draw_masks(gan.discriminator, 4, generator(0, "masks"))
    parameters = [p.detach().double().numpy() for p in gan.discriminator.parameters()]
    expected, _ = reference.discriminator_forward(
        parameters, x.double().numpy(), [m.double().numpy() for m in masks], 5
    )
    logits = gan.discriminator.logits(x, masks).detach().numpy()
    assert logits == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_without_masks_nothing_is_dropped_or_scaled(gan):
    x = torch.rand(4, 784, generator=generator(0, "x"))
    parameters = [p.detach().double().numpy() for p in gan.discriminator.parameters()]
    expected, _ = reference.discriminator_forward(parameters, x.double().numpy(), [1, 1, 1], 5)
    assert gan.discriminator.logits(x).detach().numpy() == pytest.approx(
        expected, rel=1e-4, abs=1e-8
    )
    assert gan.discriminator(x).detach().numpy() == pytest.approx(reference.sigmoid(expected))


@pytest.mark.parametrize("distribution", ["uniform", "gaussian"])
def test_noise_has_mean_0_and_variance_1(distribution):
    z = draw_noise(20_000, 5, distribution, generator(0, "z")).double()
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.var().item() == pytest.approx(1, abs=0.02)
    kurtosis = (z**4).mean().item()
    assert kurtosis == pytest.approx(1.8 if distribution == "uniform" else 3.0, rel=0.05)
    if distribution == "uniform":
        assert z.abs().max().item() <= 3**0.5 * (1 + 1e-6)


def test_a_generator_of_the_wrong_width_is_refused(params):
    with pytest.raises(ValueError, match=r"784, .*3072 values"):
        build_gan(config.experiment(params, "paper", "mnist"), (3, 32, 32), "cpu")
