"""Section 4 of the paper in numbers: what it proves holds for our densities and our D."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import log_expit
from scipy.stats import norm

from paper_repro.figures.figure1 import SUPPORT
from paper_repro.theory.density import (
    density,
    integral,
    points,
    quantiles,
    total_variation,
)
from paper_repro.theory.optimal import optimal_discriminator
from paper_repro.theory.settings import Gaussian, Grid
from paper_repro.theory.toy import apply, mlp, probabilities
from tests.section4 import criterion, descend, entropy, fit_discriminator, jsd, maximise, moved

LOG4 = math.log(4)
GRID = Grid(low=-12.0, high=12.0, points=1201)
X = points(GRID)
NORMAL = (Gaussian(weight=1.0, mean=0.0, std=1.0),)
MIXTURE = (Gaussian(weight=0.3, mean=-1.0, std=0.5), Gaussian(weight=0.7, mean=2.0, std=1.0))
P_G = (Gaussian(weight=1.0, mean=0.5, std=1.2),)


# Densities


def test_a_mixture_has_the_density_of_its_components():
    expected = 0.3 * norm.pdf(X, -1, 0.5) + 0.7 * norm.pdf(X, 2, 1)
    np.testing.assert_allclose(density(MIXTURE, X), expected, rtol=1e-12, atol=1e-300)
    assert integral(density(MIXTURE, X), X) == pytest.approx(1, abs=1e-12)


def test_a_moved_mixture_follows_the_change_of_variables():
    # y = 1 + 2x has the density p((y − 1) / 2) / 2.
    expected = density(MIXTURE, (X - 1) / 2) / 2
    np.testing.assert_allclose(density(moved(MIXTURE, 1.0, 2.0), X), expected, rtol=1e-10)


def test_quantiles_are_those_of_the_normal_distribution():
    expected = norm.ppf((np.arange(50) + 0.5) / 50)
    np.testing.assert_allclose(quantiles(NORMAL, 50, X), expected, atol=1e-3)


def test_total_variation_of_two_normals_has_a_closed_form():
    q = density(moved(NORMAL, 1.5, 1.0), X)
    expected = 2 * norm.cdf(0.75) - 1
    assert total_variation(density(NORMAL, X), q, X) == pytest.approx(expected, abs=1e-4)


# The optimal discriminator


def test_a_log_y_plus_b_log_1_minus_y_peaks_at_a_over_a_plus_b():
    a, b = (side.ravel() for side in np.meshgrid(*[np.logspace(-3, 3, 25)] * 2))
    np.testing.assert_allclose(maximise(a, b)[0], a / (a + b), rtol=0, atol=1e-6)
    y, value = maximise(np.array([0.0, 2.0, 1.0]), np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(y[:2], [0, 1], atol=1e-7)
    assert value == pytest.approx([0, 0, -LOG4], abs=1e-12)


def test_the_optimal_discriminator_is_a_half_where_there_is_nothing():
    zero, one = np.zeros(1), np.ones(1)
    assert optimal_discriminator(zero, zero) == 0.5
    assert optimal_discriminator(one, zero) == 1
    assert optimal_discriminator(one, one) == 0.5


def test_the_entropy_of_a_normal_has_a_closed_form():
    value = entropy(lambda x: density(NORMAL, x), -12, 12)
    assert value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-10)


def divergence(p, q):
    """JSD of two mixtures, nats."""
    return jsd(lambda x: density(p, x), lambda x: density(q, x), GRID.low, GRID.high)


def test_jsd_is_0_for_equal_and_log_2_for_disjoint_densities():
    far = moved(NORMAL, 8.0, 0.1), moved(NORMAL, -8.0, 0.1)
    assert divergence(MIXTURE, MIXTURE) == pytest.approx(0, abs=1e-10)
    assert divergence(*far) == pytest.approx(math.log(2), abs=1e-9)
    p, q = (density(mixture, X) for mixture in far)
    assert criterion(p, q, X) == pytest.approx(0, abs=1e-9)


def test_jsd_is_the_mean_of_two_divergences():
    def to_mixture(x, p, q):
        return norm.pdf(x, *p) * math.log(2 / (1 + norm.pdf(x, *q) / norm.pdf(x, *p)))

    p, q = (0.0, 1.0), (1.5, 0.8)
    expected = (
        quad(to_mixture, -9, 9, (p, q), epsabs=1e-11)[0]
        + quad(to_mixture, -9, 9, (q, p), epsabs=1e-11)[0]
    ) / 2
    assert divergence(NORMAL, moved(NORMAL, 1.5, 0.8)) == pytest.approx(expected, abs=1e-8)


# Theorem 1

# p_data moved and stretched, and its components alone.
FAMILY = [moved(MIXTURE, shift, scale) for shift in (-1.0, 0.0, 1.0) for scale in (0.5, 1.0)]
FAMILY += [(part.model_copy(update={"weight": 1.0}),) for part in MIXTURE]


@pytest.mark.parametrize("p_g", FAMILY)
def test_the_criterion_is_twice_jsd_less_log_4_and_least_at_the_data_alone(p_g):
    p, q = density(MIXTURE, X), density(p_g, X)
    above = criterion(p, q, X) + LOG4
    assert above == pytest.approx(2 * divergence(MIXTURE, p_g), abs=1e-7)
    # JSD is the mean of two Kullback–Leibler divergences to the mixture, each at least half the
    # squared total variation (Pinsker): 0 only where p_g = p_data.
    assert above >= total_variation(p, q, X) ** 2 - 1e-9
    assert (above < 1e-9) == (p_g == MIXTURE)


# Proposition 1


def test_a_network_learns_the_optimal_discriminator_and_then_v_is_the_criterion():
    p, q = density(MIXTURE, X), density(P_G, X)
    network = mlp([16], torch.Generator().manual_seed(0))
    supported = p + q > SUPPORT

    def deviation():
        return np.abs(probabilities(network, X) - optimal_discriminator(p, q))[supported].max()

    assert deviation() > 0.2
    fit_discriminator(network, *(quantiles(m, 2048, X) for m in (MIXTURE, P_G)), 150)
    assert deviation() < 0.03
    logits = apply(network, X)
    value = integral(p * log_expit(logits) + q * log_expit(-logits), X)
    assert value == pytest.approx(criterion(p, q, X), abs=1e-3)


# Proposition 2


def test_the_procedure_lowers_the_criterion_and_reaches_the_data():
    p, start = density(MIXTURE, X), density(moved(NORMAL, -2.0, 1.0), X)
    end, curve = descend(p, start, X, 0.2, 150)
    assert len(curve) == 151
    assert max(np.diff(curve)) < 1e-12
    assert curve[0] > -1.2
    assert curve[-1] == pytest.approx(-LOG4, abs=1e-8)
    assert total_variation(p, end, X) < 1e-4
    assert integral(end, X) == pytest.approx(1)


def test_the_data_are_where_the_procedure_stays():
    p = density(MIXTURE, X)
    np.testing.assert_allclose(descend(p, p, X, 0.5, 3)[0], p, rtol=1e-12)


def test_a_step_of_1_is_the_mean_with_the_data():
    # exp(−log(1 − D*)) = (p_data + p_g) / p_g.
    p, q = density(MIXTURE, X), density(NORMAL, X)
    np.testing.assert_allclose(descend(p, q, X, 1.0, 1)[0], (p + q) / 2, atol=1e-10)
