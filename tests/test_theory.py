import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

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
from tests import section4
from tests.section4 import (
    Family,
    check_descent,
    check_discriminator,
    check_identity,
    check_maximum,
    check_minimum,
    check_only_minimum,
    check_value,
    descend,
    family,
    fit_discriminator,
    measure_family,
    moved,
)
from tests.small import parse_values

LOG4 = math.log(4)
GRID = Grid(low=-12.0, high=12.0, points=1201)
X = points(GRID)
NORMAL = (Gaussian(weight=1.0, mean=0.0, std=1.0),)
MIXTURE = (Gaussian(weight=0.3, mean=-1.0, std=0.5), Gaussian(weight=0.7, mean=2.0, std=1.0))

VALUES = {
    "grid": {"low": -12.0, "high": 12.0, "points": 1201},
    "p_data": [
        {"weight": 0.6, "mean": -1.0, "std": 0.6},
        {"weight": 0.4, "mean": 1.5, "std": 0.8},
    ],
    "shifts": [-1.0, 0.0, 1.0],
    "scales": [0.5, 1.0],
}
P_G = (Gaussian(weight=1.0, mean=0.5, std=1.2),)


@pytest.fixture
def chosen():
    return parse_values(Family, VALUES)


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


def test_golden_section_finds_the_ratio_and_the_ends():
    a, b = np.array([1.0, 3.0, 0.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.0])
    y, value = section4.maximise(a, b)
    np.testing.assert_allclose(y, [0.5, 0.75, 0, 1], atol=1e-7)
    np.testing.assert_allclose(value[2:], 0, atol=1e-12)
    assert value[0] == pytest.approx(-LOG4)
    assert check_maximum().holds


def test_the_optimal_discriminator_is_a_half_where_there_is_nothing():
    zero, one = np.zeros(1), np.ones(1)
    assert optimal_discriminator(zero, zero) == 0.5
    assert optimal_discriminator(one, zero) == 1
    assert optimal_discriminator(one, one) == 0.5


def test_the_entropy_of_a_normal_has_a_closed_form():
    value = section4.entropy(lambda x: density(NORMAL, x), -12, 12)
    assert value == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-10)


def jsd(p, q):
    return section4.jsd(lambda x: density(p, x), lambda x: density(q, x), GRID.low, GRID.high)


def test_jsd_is_0_for_equal_and_log_2_for_disjoint_densities():
    far = moved(NORMAL, 8.0, 0.1), moved(NORMAL, -8.0, 0.1)
    assert jsd(MIXTURE, MIXTURE) == pytest.approx(0, abs=1e-10)
    assert jsd(*far) == pytest.approx(math.log(2), abs=1e-9)
    p, q = (density(mixture, X) for mixture in far)
    assert section4.criterion(p, q, X) == pytest.approx(0, abs=1e-9)


def test_jsd_is_the_mean_of_two_divergences():
    def to_mixture(x, p, q):
        return norm.pdf(x, *p) * math.log(2 / (1 + norm.pdf(x, *q) / norm.pdf(x, *p)))

    p, q = (0.0, 1.0), (1.5, 0.8)
    expected = (
        quad(to_mixture, -9, 9, (p, q), epsabs=1e-11)[0]
        + quad(to_mixture, -9, 9, (q, p), epsabs=1e-11)[0]
    ) / 2
    assert jsd(NORMAL, moved(NORMAL, 1.5, 0.8)) == pytest.approx(expected, abs=1e-8)


# Theorem 1


def test_the_criterion_is_minus_log_4_at_equality():
    p = density(MIXTURE, X)
    assert section4.criterion(p, p, X) == pytest.approx(-LOG4, abs=1e-12)
    assert check_minimum(p, X).holds
    assert not check_minimum(p / 2, X).holds


def test_theorem_1_over_a_family(chosen):
    members = measure_family(chosen)
    assert len(members) == len(family(chosen)) == 3 * 2 + 2
    assert check_identity(members).holds
    assert check_only_minimum(members).holds
    closest = min(members, key=lambda member: member.criterion)
    assert closest.name == "shift 0, scale 1"
    assert closest.criterion == pytest.approx(-LOG4, abs=1e-9)


def test_a_wrong_constant_fails_theorem_1(chosen):
    members = measure_family(chosen)
    wrong = [type(m)(m.name, m.criterion - 0.01, m.jsd, m.total_variation) for m in members]
    assert not check_identity(wrong).holds
    assert not check_only_minimum(wrong).holds


# Proposition 1


def test_the_optimal_discriminator_passes_and_a_wrong_one_fails(chosen):
    p, q = density(chosen.p_data, X), density(P_G, X)
    d = optimal_discriminator(p, q)
    logits = np.log(p) - np.log(q)
    assert check_discriminator(d, p, q, X).value == 0
    assert check_value(logits, p, q, X).value == pytest.approx(0, abs=1e-9)
    swapped = check_discriminator(1 - d, p, q, X)
    assert not swapped.holds
    assert not check_value(-logits, p, q, X).holds


def test_what_is_no_number_does_not_hold(chosen):
    p, q = density(chosen.p_data, X), density(P_G, X)
    assert not check_discriminator(np.full_like(X, np.nan), p, q, X).holds


def test_a_network_learns_the_optimal_discriminator(chosen):
    p, q = density(chosen.p_data, X), density(P_G, X)
    network = mlp([16], torch.Generator().manual_seed(0))
    data, samples = (quantiles(mixture, 2048, X) for mixture in (chosen.p_data, P_G))
    untrained = check_discriminator(probabilities(network, X), p, q, X)
    fit_discriminator(network, data, samples, 150)
    trained = check_discriminator(probabilities(network, X), p, q, X)
    assert trained.value < 0.03 < 0.2 < untrained.value
    assert check_value(apply(network, X), p, q, X).holds


# Proposition 2


def test_the_procedure_lowers_the_criterion_and_reaches_the_data():
    p, start = density(MIXTURE, X), density(moved(NORMAL, -2.0, 1.0), X)
    end, curve = descend(p, start, X, 0.2, 150)
    assert len(curve) == 151
    assert max(np.diff(curve)) < 1e-12
    assert curve[0] > -1.2
    assert curve[-1] == pytest.approx(-LOG4, abs=1e-8)
    assert all(check.holds for check in check_descent(p, end, curve, X))
    assert integral(end, X) == pytest.approx(1)


def test_the_data_are_where_the_procedure_stays():
    p = density(MIXTURE, X)
    np.testing.assert_allclose(descend(p, p, X, 0.5, 3)[0], p, rtol=1e-12)


def test_a_start_without_tails_does_no_harm():
    p, narrow = density(MIXTURE, X), density(moved(NORMAL, 0.0, 0.2), X)
    assert np.any(narrow == 0)
    end, curve = descend(p, narrow, X, 0.2, 20)
    assert np.all(np.isfinite(end))
    assert max(np.diff(curve)) < 0


def test_a_step_of_1_is_the_mean_with_the_data():
    # exp(−log(1 − D*)) = (p_data + p_g) / p_g.
    p, q = density(MIXTURE, X), density(NORMAL, X)
    np.testing.assert_allclose(descend(p, q, X, 1.0, 1)[0], (p + q) / 2, atol=1e-10)
