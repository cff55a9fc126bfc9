"""The other models of Table 1: each update and each chain against a plain twin."""

import copy
import itertools

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM
from torch.func import jacrev

from paper_repro.baselines import cae, gsn, rbm
from tests.small import parse_values


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


DBN = {"hidden": [4, 3], "learning_rate": 0.1, "batch_size": 5, "epochs": 2, "init": 0.01}
CAE = {"hidden": [4, 3], "contraction": 0.05, "learning_rate": 0.1, "batch_size": 5}
CAE |= {"epochs": 2, "walk_std": 0.3}
GSN = {"hidden": [5, 4], "steps": 3, "salt_and_pepper": 0.4, "noise": 2.0, "learning_rate": 0.25}
GSN |= {"learning_rate_decay": 0.995, "momentum": 0.5, "batch_size": 4, "epochs": 2}


@pytest.fixture
def dbn_recipe():
    return parse_values(rbm.Dbn, DBN)


@pytest.fixture
def gsn_recipe():
    return parse_values(gsn.DeepGsn, GSN)


# The machines of the DBN.


def test_an_update_is_scikit_learn_s_from_the_same_random_numbers(float64):
    theirs = BernoulliRBM(4, learning_rate=0.1, batch_size=5, random_state=0)
    theirs.components_ = np.random.default_rng(1).normal(0, 0.5, (4, 6))
    theirs.intercept_hidden_ = np.random.default_rng(2).normal(0, 0.5, 4)
    theirs.intercept_visible_ = np.random.default_rng(3).normal(0, 0.5, 6)
    theirs.h_samples_ = np.random.default_rng(4).integers(0, 2, (5, 4)).astype(float)
    ours = rbm.Rbm(
        torch.tensor(theirs.components_.T.copy()),
        torch.tensor(theirs.intercept_visible_.copy()),
        torch.tensor(theirs.intercept_hidden_.copy()),
    )
    chain = torch.tensor(theirs.h_samples_.copy())
    data = np.random.default_rng(5).random((3, 5, 6))
    draws, same = np.random.RandomState(7), np.random.RandomState(7)
    for batch in data:
        theirs._fit(batch, draws)
        uniform_v, uniform_h = (torch.tensor(same.uniform(size=(5, n))) for n in (6, 4))
        chain = ours.update(torch.tensor(batch), chain, 0.1, uniform_v, uniform_h)
    np.testing.assert_allclose(ours.weight.T, theirs.components_, rtol=1e-12)
    np.testing.assert_allclose(ours.visible_bias, theirs.intercept_visible_, rtol=1e-12)
    np.testing.assert_allclose(ours.hidden_bias, theirs.intercept_hidden_, rtol=1e-12)
    assert np.array_equal(chain, theirs.h_samples_)


def binary(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))


def test_an_update_is_on_average_the_gradient_of_the_likelihood(float64):
    """Of a machine so small that all its states can be listed, chains at equilibrium."""
    tiny = rbm.Rbm(*(torch.randn(s, generator=rng(), dtype=torch.float64) for s in ((3, 2), 3, 2)))
    parameters = [tiny.weight, tiny.visible_bias, tiny.hidden_bias]
    data = torch.tensor([[1.0, 0, 1]])
    v, h = binary(3), binary(2)

    def log_likelihood(weight, b, c):
        energy = -(v @ weight @ h.T + (v @ b)[:, None] + (h @ c)[None])  # (8, 4)
        log_p = torch.logsumexp(-energy, 1) - torch.logsumexp(-energy.flatten(), 0)
        return log_p[(v == data).all(1)].squeeze()

    expected = torch.func.grad(log_likelihood, (0, 1, 2))(*parameters)
    energy = -(v @ tiny.weight @ h.T + (v @ tiny.visible_bias)[:, None] + (h @ tiny.hidden_bias))
    joint = torch.softmax(-energy.flatten(), 0).reshape(8, 4)
    found = [torch.zeros_like(parameter) for parameter in parameters]
    for j, state in enumerate(h):
        p_visible = tiny.visible(state[None])[0]
        for one in v:
            p = joint[:, j].sum() * torch.where(one > 0, p_visible, 1 - p_visible).prod()
            moved = copy.deepcopy(tiny)
            # 0 is under any probability, 1 under none: this makes the chain's image `one`.
            moved.update(data, state[None], 1.0, (1 - one)[None], torch.ones(1, 2))
            after = (moved.weight, moved.visible_bias, moved.hidden_bias)
            for total, new, old in zip(found, after, parameters, strict=True):
                total += p * (new - old)
    for ours, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, exact)


def test_a_pass_of_the_machine_repeats_and_goes_on_as_if_never_stopped(dbn_recipe):
    images = torch.rand(17, 6, generator=rng())
    first = rbm.Rbm.drawn(6, 4, 0.01, rng(1))
    chain = torch.zeros(5, 4)
    for epoch in (1, 2):
        if epoch == 2:
            kept, kept_chain = copy.deepcopy(first), chain.clone()
        chain = rbm.train_epoch(first, images, chain, dbn_recipe, 0, "rbm", 0, epoch)
    again = rbm.train_epoch(kept, images, kept_chain, dbn_recipe, 0, "rbm", 0, 2)
    assert torch.equal(kept.weight, first.weight)
    assert torch.equal(again, chain)
    assert set(chain.unique().tolist()) <= {0.0, 1.0}


def test_the_chain_of_a_dbn_visits_hidden_states_as_often_as_its_top_machine_says(float64):
    generator = rng()
    top = rbm.Rbm(*(torch.randn(s, generator=generator) for s in ((2, 2), 2, 2)))
    # The first machine shows h1 as it is, so that the chain's images are its states.
    first = rbm.Rbm(60 * torch.eye(2), torch.full((2,), -30.0), torch.zeros(2))
    chain = rbm.walk(first, top, torch.rand(2000, 2, generator=generator), generator)
    states = torch.cat([next(chain) for _ in range(60)][20:]).round()
    v, h = binary(2), binary(2)
    energy = -(v @ top.weight @ h.T + (v @ top.visible_bias)[:, None] + (h @ top.hidden_bias))
    expected = torch.softmax(torch.logsumexp(-energy, 1), 0)
    found = torch.stack([(states == one).all(1).double().mean() for one in v])
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


# The contractive autoencoder.


@pytest.fixture
def layers(float64):
    return [cae.Cae.drawn(6, 4, rng(1)), cae.Cae.drawn(4, 3, rng(2))]


def test_the_contraction_is_the_jacobian_s_norm(layers):
    layer, x = layers[0], torch.rand(5, 6, generator=rng())
    exact = torch.stack([jacrev(layer.encode)(one).square().sum() for one in x])
    torch.testing.assert_close(layer.contraction(layer.encode(x)), exact)


def test_the_loss_is_its_definition(layers):
    layer, x = layers[0], torch.rand(5, 6, generator=rng())
    h = layer.encode(x)
    r = layer.decode(h)
    fit = -(x * r.log() + (1 - x) * (1 - r).log()).sum(1)
    expected = (fit + 0.05 * layer.contraction(h)).mean()
    torch.testing.assert_close(layer.loss(x, 0.05), expected)


def test_a_pass_of_the_autoencoder_is_plain_descent(layers):
    recipe = parse_values(cae.StackedCae, CAE)
    x, layer = torch.rand(10, 6, generator=rng()), layers[0]
    twin = [t.clone().requires_grad_() for t in (layer.weight, layer.bias, layer.output_bias)]
    losses = []
    for batch in (x[:5], x[5:]):
        loss = cae.Cae(*twin).loss(batch, 0.05)
        losses.append(float(loss.detach()))
        loss.backward()
        twin = [(t - 0.1 * t.grad).detach().requires_grad_() for t in twin]
    assert cae.train_epoch(layer, x, recipe) == pytest.approx(sum(losses) / 2)
    for ours, theirs in zip((layer.weight, layer.bias, layer.output_bias), twin, strict=True):
        torch.testing.assert_close(ours, theirs.detach())
        assert not ours.requires_grad


def test_the_walk_takes_the_jacobian_of_both_layers(layers):
    start = torch.rand(3, 6, generator=rng())
    (moved,) = itertools.islice(cae.walk(layers, start, 0.3, rng(5)), 1)
    alpha = 0.3 * torch.randn(3, 3, generator=rng(5))

    def encode(x):
        return layers[1].encode(layers[0].encode(x))

    for x, a, found in zip(start, alpha, moved, strict=True):
        jacobian = jacrev(encode)(x)
        h = encode(x) + jacobian @ jacobian.T @ a
        torch.testing.assert_close(found, layers[0].decode(layers[1].decode(h)))


# The deep GSN.


def test_a_step_of_the_gsn_is_its_plain_twin(float64, gsn_recipe):
    net = gsn.Gsn.drawn(6, (5, 4), rng(1))
    for bias in (net.b0, net.b1, net.b2):
        bias += torch.randn(bias.shape, generator=rng(2))
    x, h2 = torch.rand(3, 6, generator=rng(3)), torch.randn(3, 4, generator=rng(4))
    logits, state, after = net.step(x, h2, gsn_recipe, rng(5))
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


def test_salt_and_pepper_replaces_that_share_by_0_and_1_alike():
    x = torch.full((400, 500), 0.5)
    found = gsn.corrupted(x, 0.4, rng())
    shares = [float((found == value).float().mean()) for value in (0, 0.5, 1)]
    assert shares == pytest.approx([0.2, 0.6, 0.2], abs=0.005)


def test_gradients_cross_steps_through_the_second_layer_alone(float64, gsn_recipe):
    net = gsn.Gsn.drawn(6, (5, 4), rng(1))
    for tensor in net.tensors():
        tensor.requires_grad_()
    x = torch.rand(3, 6, generator=rng(3))
    costs = net.cost(x, gsn_recipe, rng(5))
    assert len(costs) == 3
    _, state, h2 = net.step(x, torch.zeros(3, 4), gsn_recipe, rng())
    assert not state.requires_grad
    assert h2.requires_grad
    # The first step's h2 is 0, so that only later ones tell of the second layer's weights.
    first, second = (torch.autograd.grad(c, net.w2, retain_graph=True)[0] for c in costs[:2])
    assert not first.any()
    assert second.any()


def test_an_update_of_the_gsn_weighs_the_new_gradient_by_one_less_the_momentum(float64, gsn_recipe):
    net, x = gsn.Gsn.drawn(6, (5, 4), rng(1)), torch.rand(8, 6, generator=rng(2))
    twin = [tensor.clone() for tensor in net.tensors()]
    velocities = [torch.zeros_like(tensor) for tensor in twin]
    gsn.train_epoch(net, velocities, x, gsn_recipe, 0, 2)
    draws, plain = gsn.stream_rng(0, "gsn", 2), [torch.zeros_like(t) for t in twin]
    for batch in (x[:4], x[4:]):
        leaves = [tensor.clone().requires_grad_() for tensor in twin]
        sum(gsn.Gsn(*leaves).cost(batch, gsn_recipe, draws)).backward()
        plain = [0.5 * v + 0.5 * leaf.grad for v, leaf in zip(plain, leaves, strict=True)]
        twin = [t - 0.25 * 0.995 * v for t, v in zip(twin, plain, strict=True)]
    for ours, theirs in zip(net.tensors() + velocities, twin + plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_gsn_that_is_trained_on_one_image_walks_about_it():
    recipe = parse_values(gsn.DeepGsn, GSN | {"hidden": [30, 20], "steps": 4, "batch_size": 20})
    image = (torch.rand(1, 25, generator=rng(1)) > 0.5).float()
    net, x = gsn.Gsn.drawn(25, (30, 20), rng(2)), image.expand(200, 25)
    velocities = [torch.zeros_like(tensor) for tensor in net.tensors()]
    costs = [gsn.train_epoch(net, velocities, x, recipe, 0, epoch) for epoch in range(1, 31)]
    assert costs[-1] < 0.1 * costs[0]
    chain = gsn.walk(net, image.expand(4, 25), recipe, rng(4))
    states = torch.stack(list(itertools.islice(chain, 20)))
    assert states.shape == (20, 4, 25)
    assert float((states - image).abs().mean()) < 0.1
