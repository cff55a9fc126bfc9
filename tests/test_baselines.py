"""The other models of Table 1: each update and each chain against a plain twin."""

import copy
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neural_network import BernoulliRBM
from torch.func import jacrev
from torch.nn.functional import binary_cross_entropy_with_logits

from paper_repro.baselines import dbn as dbn_training
from paper_repro.baselines import deep_gsn as gsn_training
from paper_repro.baselines import stacked_cae as cae_training
from paper_repro.baselines.model import dbn, deep_gsn, stacked_cae
from paper_repro.core.random_streams import stream_rng
from tests.conftest import ROOT
from tests.small import parse_values


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


PARZEN = {"samples": 60, "sigma_images": 9, "sigma_points": 4}
PARZEN |= {"sigma_log10_min": -1.0, "sigma_log10_max": 0.0}
EVERY = {"dataset": "mnist", "validate_every": 1, "parzen": PARZEN, "device": "cpu"}
DBN = EVERY | {"family": "dbn", "hidden": [4, 3], "learning_rate": 0.1, "annealed": False}
DBN |= {"init": 0.01, "batch_size": 5, "epochs": 2}
CAE = EVERY | {"family": "stacked_cae", "hidden": [4, 3], "contraction": 0.05}
CAE |= {"learning_rate": 0.1, "batch_size": 5, "epochs": 2}
GSN = EVERY | {"family": "deep_gsn", "hidden": [5, 4], "steps": 3, "salt_and_pepper": 0.4}
GSN |= {"noise": 2.0, "learning_rate": 0.25, "learning_rate_decay": 0.995, "momentum": 0.5}
GSN |= {"batch_size": 4, "epochs": 2}


@pytest.fixture
def gsn_recipe():
    return parse_values(deep_gsn.DeepGsn, GSN)


# The machines of the DBN.


def test_an_update_is_scikit_learn_s_from_the_same_random_numbers(float64):
    theirs = BernoulliRBM(4, learning_rate=0.1, batch_size=5, random_state=0)
    theirs.components_ = np.random.default_rng(1).normal(0, 0.5, (4, 6))
    theirs.intercept_hidden_ = np.random.default_rng(2).normal(0, 0.5, 4)
    theirs.intercept_visible_ = np.random.default_rng(3).normal(0, 0.5, 6)
    theirs.h_samples_ = np.random.default_rng(4).integers(0, 2, (5, 4)).astype(float)
    start = (theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_)
    ours = dbn.Rbm(*map(torch.tensor, copy.deepcopy(start)))
    chain = torch.tensor(theirs.h_samples_.copy())
    data = np.random.default_rng(5).random((3, 5, 6))
    draws, same = np.random.RandomState(7), np.random.RandomState(7)
    for batch in data:
        theirs._fit(batch, draws)
        uniform_v, uniform_h = (torch.tensor(same.uniform(size=(5, n))) for n in (6, 4))
        chain, _ = ours.update(torch.tensor(batch), chain, 0.1, uniform_v, uniform_h)
    expected = (theirs.components_.T, theirs.intercept_visible_, theirs.intercept_hidden_)
    for found, exact in zip(vars(ours).values(), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-12)
    assert np.array_equal(chain, theirs.h_samples_)


def binary(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def energy(v, h, weight, b, c):
    """The energies (v, h) of a machine's states."""
    return -(v @ weight @ h.T + (v @ b)[:, None] + h @ c)


def tiny(*sizes):
    """A machine so small that all its states can be listed."""
    draw = rng()
    return dbn.Rbm(*(torch.randn(size, generator=draw) for size in (sizes, *sizes)))


def test_the_gap_of_free_energy_is_its_definition(float64):
    """F(v) = −log Σ_h exp(−E(v, h)), by the list of all h."""
    machine = tiny(3, 2)

    def free_energy(v):
        return -torch.logsumexp(-energy(v, binary(2), *vars(machine).values()), 1).mean()

    data = torch.rand(2, 3, generator=rng(1))
    # 0 is under any probability, 1 under none, so that the chains' images are these.
    uniform_v = torch.tensor([[0.0, 1, 1], [0, 0, 1]])
    expected = free_energy(data) - free_energy(1 - uniform_v)
    _, gap = machine.update(data, binary(1).repeat(1, 2), 0.1, uniform_v, torch.ones(2, 2))
    torch.testing.assert_close(gap, expected)


def trained(recipe, images, module, updates):
    """A family's training after some updates, as the loop makes them."""
    made = module.training(recipe, (5, 5), images, images[:9], 0)
    per_epoch = recipe.updates_per_epoch(len(images))
    for update in range(updates):
        epoch, index = divmod(update, per_epoch)
        if not index:
            made.begin(epoch + 1, [])
        made.update(epoch + 1, index)
    return made


RECIPES = {
    "dbn": (dbn, dbn_training, DBN),
    "stacked_cae": (stacked_cae, cae_training, CAE),
    "deep_gsn": (deep_gsn, gsn_training, GSN),
}


def after_an_epoch(name):
    """A family's model, its recipe, what its file holds after an epoch of each layer, images."""
    model, module, values = RECIPES[name]
    recipe = parse_values(model.RECIPE, values)
    images = torch.rand(23, 25, generator=rng())
    made = trained(recipe, images, module, recipe.passes * recipe.updates_per_epoch(23))
    tensors = {n.removeprefix("generator."): tensor for n, tensor in made.model().items()}
    return model, recipe, tensors, images


@pytest.mark.parametrize("name", RECIPES)
def test_last_bits_of_another_machine_make_no_other_chain(name):
    model, recipe, tensors, images = after_an_epoch(name)
    tensors = {n: tensor.double() for n, tensor in tensors.items()}
    sampler = model.sampler(recipe, tensors, 3.0, lambda: images)
    start = images[:2].double()
    near = start + 1e-14 * torch.rand(2, 25, generator=rng(1))
    first, second = (sampler.walk(x, rng(2)) for x in (start, near))
    for ours, theirs in itertools.islice(zip(first, second, strict=True), 300):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", RECIPES)
def test_a_sampler_is_made_from_what_the_model_file_holds(name):
    model, recipe, tensors, images = after_an_epoch(name)
    sampler = model.sampler(recipe, tensors, 0.3, lambda: images)
    drawn = sampler.sample(4, 0, "a")
    assert drawn.shape == (4, 25)
    assert torch.equal(drawn, sampler.sample(9, 0, "a")[:4])  # consecutive states of one chain
    assert not torch.equal(drawn, sampler.sample(4, 1, "a"))
    assert float(drawn.min()) > 0
    assert float(drawn.max()) < 1  # means, not bits
    with pytest.raises(ValueError, match="not"):
        model.sampler(recipe, dict(list(tensors.items())[1:]), 0.3, lambda: images)
    other = recipe.model_copy(update={"hidden": (5, 5)})
    with pytest.raises(ValueError, match="not"):
        model.sampler(other, tensors, 0.3, lambda: images)


def test_the_second_machine_reads_the_means_of_the_first():
    images = torch.rand(23, 25, generator=rng())
    made = trained(
        parse_values(dbn.Dbn, DBN), images, dbn_training, 2 * 4
    )  # two epochs: the first machine's all
    first = made.layers[0].weight.clone()
    made.begin(3, [])
    shuffled = images[torch.randperm(23, generator=stream_rng(0, "order"))]
    assert torch.equal(made.inputs, made.layers[0].hidden(shuffled))
    made.update(3, 0)
    assert torch.equal(made.layers[0].weight, first)
    assert made.row(3, 9)["layer"] == 2


def test_the_rate_falls_to_0_in_the_second_half_of_a_machine_s_epochs():
    recipe = parse_values(dbn.Dbn, DBN | {"annealed": True, "epochs": 4})
    images = torch.rand(20, 25, generator=rng())
    made = dbn_training.training(recipe, (5, 5), images, images[:9], 0)
    rates = []
    for epoch in range(1, 9):
        made.begin(epoch, [])
        for index in range(4):
            made.update(epoch, index)
            rates.append(made.rate)
    falling = [0.1 * (1 - i / 8) for i in range(8)]
    assert rates == pytest.approx(([0.1] * 8 + falling) * 2)


def test_the_chain_of_a_dbn_visits_hidden_states_as_often_as_its_top_machine_says(float64):
    top, generator = tiny(2, 2), rng(1)
    # The first machine shows h1 as it is, so that the chain's images are its states.
    first = dbn.Rbm(60 * torch.eye(2), torch.full((2,), -30.0), torch.zeros(2))
    chain = dbn.walk([first, top], "means", torch.rand(2000, 2, generator=generator), generator)
    states = torch.cat([next(chain) for _ in range(60)][20:]).round()
    joint = -energy(binary(2), binary(2), *vars(top).values())
    expected = torch.softmax(torch.logsumexp(joint, 1), 0)
    found = torch.stack([(states == one).all(1).double().mean() for one in binary(2)])
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def test_bits_are_drawn_from_the_means_that_a_chain_would_show(float64):
    machines = [dbn.Rbm.drawn(5, 4, 1.0, rng(1)), dbn.Rbm.drawn(4, 3, 1.0, rng(2))]
    start = torch.rand(1, 5, generator=rng(3)).expand(50_000, 5)
    means, bits = (next(dbn.walk(machines, one, start, rng(4))) for one in ("means", "bits"))
    assert set(bits.unique().tolist()) == {0, 1}
    off = (bits - means).mean(0) / (means * (1 - means)).mean(0).div(len(start)).sqrt()
    assert off.abs().max() < 4  # standard errors, from the same states
    recipe = parse_values(dbn.Dbn, DBN | {"pixels": "bits"})
    named = [(f"{i}.{n}", t) for i, one in enumerate(machines) for n, t in vars(one).items()]
    sampler = dbn.sampler(recipe, dict(named), {}, lambda: start[:9])
    assert set(sampler.sample(6, 0, "bits").unique().tolist()) == {0, 1}


# The contractive autoencoder.


@pytest.fixture
def layers(float64):
    return [stacked_cae.Cae.drawn(6, 4, rng(1)), stacked_cae.Cae.drawn(4, 3, rng(2))]


def test_the_loss_is_its_definition_by_the_jacobian_s_norm(layers):
    layer, x = layers[0], torch.rand(5, 6, generator=rng())
    r = layer.decode(layer.encode(x))
    fit = -(x * r.log() + (1 - x) * (1 - r).log()).sum(1)
    contraction = torch.stack([jacrev(layer.encode)(one).square().sum() for one in x])
    torch.testing.assert_close(layer.loss(x, 0.05), (fit + 0.05 * contraction).mean())


def test_an_update_of_the_autoencoder_is_plain_descent(layers):
    x, layer = torch.rand(5, 6, generator=rng()), layers[0]
    twin = [t.clone().requires_grad_() for t in vars(layer).values()]
    loss = stacked_cae.Cae(*twin).loss(x, 0.05)
    loss.backward()
    assert layer.update(x, 0.05, 0.1) == pytest.approx(float(loss.detach()))
    for ours, theirs in zip(vars(layer).values(), twin, strict=True):
        torch.testing.assert_close(ours, (theirs - 0.1 * theirs.grad).detach())
        assert not ours.requires_grad


@pytest.mark.parametrize("std", [0.3, torch.tensor([[0.1], [0.3], [3.0]], dtype=torch.float64)])
def test_the_walk_takes_the_jacobian_of_both_layers(layers, std):
    start = torch.rand(3, 6, generator=rng())
    (moved,) = itertools.islice(stacked_cae.walk(layers, start, std, rng(5)), 1)
    alpha = std * torch.randn(3, 3, generator=rng(5))

    def encode(x):
        return layers[1].encode(layers[0].encode(x))

    for x, a, found in zip(start, alpha, moved, strict=True):
        jacobian = jacrev(encode)(x)
        h = encode(x) + jacobian @ jacobian.T @ a
        expected = layers[0].decode(layers[1].decode(h))
        torch.testing.assert_close(found, expected, rtol=0, atol=2**-17 + 1e-12)


# The deep GSN.


def test_a_step_of_the_gsn_is_its_plain_twin(float64, gsn_recipe):
    net = deep_gsn.Gsn.drawn(6, (5, 4), rng(1))
    for bias in (net.b0, net.b1, net.b2):
        bias += torch.randn(bias.shape, generator=rng(2))
    x, h2 = torch.rand(3, 6, generator=rng(3)), torch.randn(3, 4, generator=rng(4))
    first, logits = net.reconstruct(x, h2)
    state, after = net.advance(first, logits, gsn_recipe, rng(5))
    draws = rng(5)
    inner, outer = (2 * torch.randn(3, 4, generator=draws).numpy() for _ in range(2))
    w1, w2, b0, b1, b2 = (t.numpy() for t in net.tensors())
    h1 = np.tanh(x.numpy() @ w1 + h2.numpy() @ w2.T + b1)
    expected = h1 @ w1.T + b0
    np.testing.assert_allclose(logits, expected, rtol=1e-12)
    np.testing.assert_allclose(after, np.tanh(h1 @ w2 + b2 + inner) + outer, rtol=1e-12)
    p = torch.tensor(1 / (1 + np.exp(-expected)))
    sampled = torch.bernoulli(p, generator=draws).numpy()
    u = torch.rand(3, 6, generator=draws).numpy()
    assert np.array_equal(state, np.where(u < 0.2, 1.0, np.where(u < 0.4, 0.0, sampled)))


def gsn_with_gradients():
    """A network whose parameters want gradients, and images."""
    net = deep_gsn.Gsn.drawn(6, (5, 4), rng(1))
    for tensor in net.tensors():
        tensor.requires_grad_()
    return net, torch.rand(3, 6, generator=rng(3))


def test_gradients_cross_steps_through_the_second_layer_alone(float64, gsn_recipe):
    net, x = gsn_with_gradients()
    costs = net.cost(x, gsn_recipe, rng(5))
    assert len(costs) == 3
    state, h2 = net.advance(*net.reconstruct(x, None), gsn_recipe, rng())
    assert not state.requires_grad
    assert h2.requires_grad
    # The first step's h2 is 0, so that only later ones tell of the second layer's weights.
    for step, cost in enumerate(costs):
        (found,) = torch.autograd.grad(cost, net.w2, retain_graph=True, materialize_grads=True)
        assert bool(found.any()) == (step > 0)


def test_what_the_cost_leaves_out_changes_no_bit_of_it(float64, gsn_recipe):
    """The first step's second layer is 0, and nothing reads the last one's."""
    (net, x), draws = gsn_with_gradients(), rng(5)
    costs = net.cost(x, gsn_recipe, rng(5))
    state, h2, plain = deep_gsn.corrupted(x, 0.4, draws), torch.zeros(3, 4), []
    for _ in range(3):
        h1, logits = net.reconstruct(state, h2)
        plain.append(binary_cross_entropy_with_logits(logits, x))
        state, h2 = net.advance(h1, logits, gsn_recipe, draws)
    assert costs == plain
    ours, theirs = (torch.autograd.grad(sum(c), net.tensors()) for c in (costs, plain))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(gradient.any() for gradient in ours)


def test_an_update_of_the_gsn_weighs_the_new_gradient_by_one_less_the_momentum(float64, gsn_recipe):
    images = torch.rand(8, 6, generator=rng(2))
    made = gsn_training.training(gsn_recipe, (2, 3), images, images, 0)
    twin = [tensor.clone() for tensor in made.gsn.tensors()]
    plain, draws = [torch.zeros_like(t) for t in twin], stream_rng(0, "draws")
    made.begin(2, [])
    for index in range(2):
        made.update(2, index)
        batch = made.images[4 * index : 4 * index + 4]
        leaves = [tensor.clone().requires_grad_() for tensor in twin]
        sum(deep_gsn.Gsn(*leaves).cost(batch, gsn_recipe, draws)).backward()
        plain = [0.5 * v + 0.5 * leaf.grad for v, leaf in zip(plain, leaves, strict=True)]
        twin = [t - 0.25 * 0.995 * v for t, v in zip(twin, plain, strict=True)]
    for ours, theirs in zip(made.gsn.tensors() + made.velocities, twin + plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_first_epochs_of_the_deep_gsn_cost_what_its_authors_log_says():
    # README of yaoli/GSN, BCE a pixel of the last step: 5 epochs of 600 updates, or 6 of ours.
    log = [0.6072, 0.3024, 0.2924, 0.2681, 0.2665]
    curve = pd.read_csv(ROOT / "reports/paper/runs/paper-deep_gsn-0/curve.csv")
    assert list(curve.updates.iloc[:6]) == [500 * epoch for epoch in range(1, 7)]
    assert 500 * curve.cost.iloc[:6].sum() == pytest.approx(600 * sum(log), rel=0.01)
    assert curve.cost.iloc[6:].max() < min(log)
