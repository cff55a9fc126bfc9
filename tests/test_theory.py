"""Section 4 of the paper in numbers: what it proves holds for our densities and our D."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, xlog1py, xlogy
from scipy.stats import norm

from paper_repro.figures.figure1 import SUPPORT
from paper_repro.gan.objectives import discriminator_loss
from paper_repro.theory.density import density, integral, points, quantiles, total_variation
from paper_repro.theory.optimal import optimal_discriminator
from paper_repro.theory.settings import Gaussian, Grid
from paper_repro.theory.toy import apply, column, mlp, probabilities

X = points(Grid(low=-12.0, high=12.0, points=1201))
MIXTURE = (Gaussian(weight=0.3, mean=-1.0, std=0.5), Gaussian(weight=0.7, mean=2.0, std=1.0))
EQUAL = tuple(part.model_copy(update={"weight": 0.5}) for part in MIXTURE)


def normal(mean=0.0, std=1.0):
    return (Gaussian(weight=1.0, mean=mean, std=std),)


def criterion(p, q):
    """C(G), equation 4, in nats: V(D*, G); 1 − D* is the optimal D of the two exchanged."""
    d, doubt = optimal_discriminator(p, q), optimal_discriminator(q, p)
    return integral(xlogy(p, d) + xlogy(q, doubt), X)


def test_a_mixture_has_the_density_of_its_components():
    expected = 0.3 * norm.pdf(X, -1, 0.5) + 0.7 * norm.pdf(X, 2, 1)
    np.testing.assert_allclose(density(MIXTURE, X), expected, rtol=1e-12, atol=1e-300)
    assert integral(density(MIXTURE, X), X) == pytest.approx(1, abs=1e-12)


def test_quantiles_are_those_of_the_normal_distribution():
    expected = norm.ppf((np.arange(50) + 0.5) / 50)
    np.testing.assert_allclose(quantiles(normal(), 50, X), expected, atol=1e-3)


def test_total_variation_of_two_normals_has_a_closed_form():
    p, q = density(normal(), X), density(normal(1.5), X)
    assert total_variation(p, q, X) == pytest.approx(2 * norm.cdf(0.75) - 1, abs=1e-4)


def test_the_optimal_discriminator_is_a_half_where_there_is_nothing():
    zero, one = np.zeros(1), np.ones(1)
    assert optimal_discriminator(zero, zero) == 0.5
    assert optimal_discriminator(one, zero) == 1
    assert optimal_discriminator(one, one) == 0.5


@pytest.mark.parametrize("p", [0.001, 0.3, 2.0, 50.0])
@pytest.mark.parametrize("q", [0.01, 0.3, 7.0])
def test_the_optimal_discriminator_is_where_the_integrand_of_v_is_greatest(p, q):
    found = minimize_scalar(lambda d: -xlogy(p, d) - xlog1py(q, -d), bounds=(0, 1))
    assert optimal_discriminator(np.array(p), np.array(q)) == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("p_g", [MIXTURE, normal(), normal(2.0, 1.5), normal(-2.0, 0.6), EQUAL])
def test_the_criterion_is_twice_jsd_less_log_4_and_least_at_the_data_alone(p_g):
    """Theorem 1."""

    def to_mean(x, p, q):
        p, q = (density(mixture, np.array(x)) for mixture in (p, q))
        return xlogy(p, 2 * p) - xlogy(p, p + q)

    p, q = density(MIXTURE, X), density(p_g, X)
    above = criterion(p, q) + math.log(4)
    divergences = [
        quad(to_mean, -12, 12, pair, points=(-2, -1, 2), limit=200)[0]
        for pair in ((MIXTURE, p_g), (p_g, MIXTURE))
    ]
    assert above == pytest.approx(sum(divergences), abs=1e-7)
    # Each at least half the squared total variation (Pinsker): 0 only where p_g = p_data.
    assert above >= total_variation(p, q, X) ** 2 - 1e-9
    assert (above < 1e-9) == (p_g == MIXTURE)


def test_the_criterion_is_0_of_densities_that_share_nothing():
    p, q = (density(normal(mean, 0.1), X) for mean in (8.0, -8.0))
    assert criterion(p, q) == pytest.approx(0, abs=1e-9)


def test_a_network_learns_the_optimal_discriminator_and_then_v_is_the_criterion():
    """Proposition 1."""
    mixtures = MIXTURE, normal(0.5, 1.2)
    p, q = (density(mixture, X) for mixture in mixtures)
    data, samples = (column(quantiles(mixture, 2048, X)) for mixture in mixtures)
    network = mlp([16], torch.Generator().manual_seed(0))
    ways = {"line_search_fn": "strong_wolfe", "tolerance_grad": 0, "tolerance_change": 0}
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=150, history_size=20, **ways)

    def closure():
        optimizer.zero_grad()
        loss = discriminator_loss(network(data), network(samples), "sum")
        loss.backward()
        return loss

    def deviation():
        off = np.abs(probabilities(network, X) - optimal_discriminator(p, q))
        return off[p + q > SUPPORT].max()

    assert deviation() > 0.2
    optimizer.step(closure)
    assert deviation() < 0.03
    logits = apply(network, X)
    found = integral(p * log_expit(logits) + q * log_expit(-logits), X)
    assert found == pytest.approx(criterion(p, q), abs=1e-3)
