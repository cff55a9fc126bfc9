import json
import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan.model import recipe
from paper_repro.gan.model.layer import sparse_normal
from paper_repro.gan.model.networks import (
    Network,
    build_gan,
    initialise,
    output_shapes,
    stack_pretrained,
)
from paper_repro.gan.model.noise import draw_noise
from paper_repro.gan.noise_and_masks import draw_masks
from tests import reference
from tests.small import read_from_root


@pytest.fixture
def gan(params):
    made = build_gan(recipe.experiment(params, "mnist"), (28, 28), "cpu")
    initialise(made, torch.linspace(0, 1, 784), stream_rng(0, "test"))
    return made


# Worked out by hand from the specification: weights + biases, layer by layer.
COUNTS = {
    "mnist": (
        (28, 28),
        [100 * 1200 + 1200, 1200 * 1200 + 1200, 1200 * 784 + 784],  # 2,503,984
        [784 * 1200 + 1200, 240 * 1200 + 1200, 240 + 1],  # 1,231,441
    ),
    "tfd": (
        (48, 48),
        [
            *(100 * 8000 + 8000, 8000 * 100 + 100),  # the new layers
            *(100 * 8000 + 8000, 8000 * 8000 + 8000, 8000 * 2304 + 2304),
        ],
        [2304 * 6000 + 6000, 1200 * 6000 + 6000, 1200 + 1],
    ),
    "cifar10_conv": (
        (3, 32, 32),
        [100 * 8000 + 8000, 8000 * 8000 + 8000, 80 * 3 * 5 * 5 + 3 * 32 * 32],  # 64,825,072
        [
            64 * 3 * 8 * 8 + 64,
            64 * 32 * 8 * 8 + 64,
            384 * 32 * 5 * 5 + 384,
            *(192 * 5 * 5 * 2500 + 2500, 500 + 1),
        ],  # 12,454,073
    ),
    "mnist_notebook": (
        (28, 28),
        [100 * 128 + 128, 128 * 784 + 784],  # 114,064
        [784 * 128 + 128, 128 + 1],  # 100,609
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_those_worked_out_by_hand(params, name):
    shape, *expected = COUNTS[name]
    with torch.device("meta"):  # 127 million parameters, without their memory
        made = build_gan(recipe.experiment(params, name), shape, "meta")
    networks = (made.generator, made.discriminator)
    counts = [
        [layer.weight.numel() + layer.bias.numel() for layer in network.stack]
        for network in networks
    ]
    assert counts == expected


def test_every_layer_s_output_has_the_shape_worked_out_by_hand(params):
    """Of the convolutional networks; where all is fully connected, the counts say it."""
    experiment = recipe.experiment(params, "cifar10_conv")
    of_g = [(8000,), (8000,), (3, 32, 32)]
    of_d = [(32, 16, 16), (32, 7, 7), (192, 5, 5), (500,), (1,)]
    assert output_shapes((100,), experiment.generator) == of_g
    assert output_shapes((3, 32, 32), experiment.discriminator) == of_d
    with torch.device("meta"):
        made = build_gan(experiment, (3, 32, 32), "meta")
        x = torch.zeros(2, 100)
        for network, expected in ((made.generator, of_g), (made.discriminator, of_d)):
            for layer, shape in zip(network.stack, expected, strict=True):
                x = layer(x)
                assert x.shape == (2, math.prod(shape))


def small_network(shape, *layers):
    """A network of the given layers with random weights and biases."""
    values = [{"init": {"uniform": 0.5}} | layer for layer in layers]
    network = Network(shape, TypeAdapter(recipe.Layers).validate_json(json.dumps(values)))
    draw = stream_rng(0, "small")
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, generator=draw)
    return network


CONVOLUTION = {"layer": "maxout_convolution", "channels": 2, "pieces": 3}


@pytest.mark.parametrize(
    ("kernel", "pad", "pool", "stride", "side"),
    [(3, 1, 2, 2, 5), (4, 2, 4, 2, 8), (2, 0, 3, 2, 6), (1, 0, 1, 1, 3), (3, 2, 2, 2, 7)],
)
def test_a_maxout_convolution_agrees_with_the_loop(kernel, pad, pool, stride, side):
    settings = {"kernel": kernel, "pad": pad, "pool": pool, "pool_stride": stride}
    network = small_network((3, side, side), CONVOLUTION | settings)
    x = torch.randn(2, 3, side, side, generator=stream_rng(0, "x"))
    weight, bias = (p.detach().double().numpy() for p in network.parameters())
    expected = reference.maxout_convolution(x.double().numpy(), weight, bias, 3, pad, pool, stride)
    found = network(x.flatten(1)).detach().numpy()
    assert found == pytest.approx(expected.reshape(2, -1), rel=1e-4, abs=1e-5)
    assert output_shapes((3, side, side), [network.stack[0].settings]) == [expected.shape[1:]]


def test_a_transposed_convolution_agrees_with_the_loop():
    settings = {"layer": "transposed_convolution", "reads": [3, 2, 4], "channels": 2}
    network = small_network((24,), settings | {"kernel": 3, "stride": 2})
    x = torch.randn(5, 24, generator=stream_rng(0, "x"))
    weight, bias = (p.detach().double().numpy() for p in network.parameters())
    assert bias.shape == (2, 7, 5)  # one bias an output position
    # The values are read as rows, columns, channels.
    expected = reference.transposed_convolution(
        x.double().numpy().reshape(5, 3, 2, 4), weight, bias, stride=2
    )
    assert network(x).detach().numpy() == pytest.approx(expected.reshape(5, -1), rel=1e-4, abs=1e-5)


def test_dropout_multiplies_a_convolution_s_inputs_one_by_one():
    settings = {"kernel": 3, "pad": 1, "pool": 2, "pool_stride": 2, "keep": 0.5, "scale": 2.0}
    network = small_network((3, 6, 6), CONVOLUTION | settings)
    (mask,) = draw_masks(network, 4, stream_rng(0, "masks"))
    assert mask.shape == (4, 108)
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(mask[:, :36], mask[:, 36:72])  # not one mask for all channels
    x = torch.randn(4, 108, generator=stream_rng(0, "x"))
    assert torch.equal(network.stack[0](x, mask), network.stack[0](x * mask))


def test_sparse_columns_have_as_many_normal_entries_as_asked_for():
    weight = torch.empty(400, 300)
    sparse_normal(weight, 100, stream_rng(0, "sparse"))
    filled = weight != 0
    assert filled.sum(0).tolist() == [100] * 300
    assert filled.double().mean(1).var().item() == pytest.approx(0.25 * 0.75 / 300, rel=0.3)
    values = weight[filled].double()
    assert values.mean().item() == pytest.approx(0, abs=0.02)
    assert values.var().item() == pytest.approx(1, abs=0.03)


def test_the_notebook_s_weights_have_the_variance_2_over_inputs(params):
    made = build_gan(recipe.experiment(params, "mnist_notebook"), (28, 28), "cpu")
    initialise(made, torch.full((784,), 0.5), stream_rng(0, "test"))
    for network in (made.generator, made.discriminator):
        for layer in network.stack:
            spread = layer.weight.detach().double().var().item() * layer.inputs / 2
            assert spread == pytest.approx(1, abs=8 / layer.weight.numel() ** 0.5)
            assert not layer.bias.any()


def test_phase_2_is_stacked_on_all_layers_of_phase_1(params):
    first = build_gan(recipe.experiment(read_from_root("quick"), "tfd_pretrain"), (48, 48), "cpu")
    experiment = recipe.experiment(read_from_root("quick"), "tfd")
    second = build_gan(experiment, (48, 48), "cpu")
    marginals = torch.linspace(0.1, 0.9, 2304)
    initialise(first, marginals, stream_rng(0, "first"))
    initialise(second, marginals, stream_rng(1, "second"))
    assert first.generator.stack[1].bias.unique().tolist() == [-2]
    assert second.generator.stack[1].bias.unique().tolist() == [-2]
    stack_pretrained(second.generator, experiment.new_layers, first.generator.state_dict())
    assert experiment.new_layers == 2
    z = torch.randn(3, 100, generator=stream_rng(0, "z"))
    assert torch.equal(
        first.generator(z),
        torch.nn.Sequential(*second.generator.stack[2:])(z),
    )
    fewer = {k: v for k, v in first.generator.state_dict().items() if "layers.2" not in k}
    with pytest.raises(ValueError, match="2 pretrained layers for 3 places"):
        stack_pretrained(second.generator, 2, fewer)
    other = first.generator.state_dict() | {"layers.0.weight": torch.zeros(100, 7)}
    with pytest.raises(ValueError, match=r"layers\.0\.weight is \(100, 7\)"):
        stack_pretrained(second.generator, 2, other)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([CONVOLUTION | {"kernel": 9, "pad": 0, "pool": 2, "pool_stride": 2}], "too small"),
        (
            [
                {"layer": "relu", "units": 5},
                CONVOLUTION | {"kernel": 1, "pad": 0, "pool": 1, "pool_stride": 1},
            ],
            "needs",
        ),
    ],
)
def test_layers_that_do_not_fit_are_named(layers, message):
    with pytest.raises(ValueError, match=rf"layer {len(layers) - 1} .*{message}"):
        small_network((3, 6, 6), *layers)


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


def test_masks_keep_with_the_probability_and_scale_of_each_layer(gan):
    n = 2000
    masks = draw_masks(gan.discriminator, n, stream_rng(0, "masks"))
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


def test_masks_multiply_the_inputs_of_their_layer_and_without_them_nothing_is_dropped(gan):
    network, x = gan.discriminator, torch.rand(4, 784, generator=stream_rng(0, "x"))
    masks = draw_masks(network, 4, stream_rng(0, "masks"))
    parameters = [p.detach().double().numpy() for p in network.parameters()]
    for given, plain in ((masks, [m.double().numpy() for m in masks]), (None, [1, 1, 1])):
        expected, _ = reference.discriminator_forward(parameters, x.double().numpy(), plain, 5)
        logits = network.logits(x, given).detach().numpy()
        assert logits == pytest.approx(expected, rel=1e-4, abs=1e-8)
    assert network(x).detach().numpy() == pytest.approx(reference.sigmoid(expected))


@pytest.mark.parametrize(
    ("distribution", "variance", "kurtosis"),
    [("uniform", 1, 1.8), ("gaussian", 1, 3), ("uniform_one", 1 / 3, 1.8)],
)
def test_noise_has_mean_0_and_the_variance_of_its_distribution(distribution, variance, kurtosis):
    z = draw_noise(20_000, 5, distribution, stream_rng(0, "z")).double()
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.var().item() == pytest.approx(variance, abs=0.02)
    assert (z**4).mean().item() / variance**2 == pytest.approx(kurtosis, rel=0.05)
    if distribution != "gaussian":
        bound = (3 * variance) ** 0.5
        assert 0.999 * bound < z.abs().max().item() <= bound * (1 + 1e-6)
