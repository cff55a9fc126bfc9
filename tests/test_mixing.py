"""Mixing against processes whose correlations are known."""

import numpy as np
import pytest
import torch

from paper_repro.baselines.chain import efficiency, principal_directions
from paper_repro.core.measure import Thinned
from paper_repro.core.sampler import ChainSampler, thinned
from paper_repro.diagnostics.mixing import (
    MixingSettings,
    autocorrelation,
    burn_in,
    grid,
    numbers,
    visited,
    walked,
)
from tests.small import parse_values

N = 4000


def autoregressive(phi, chains=4, count=N, d=6):
    """Draws (chains, count, d): x_t = φ x_{t−1} + √(1 − φ²) ε, begun at equilibrium."""
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(chains, count, d))
    x = noise.copy()
    for t in range(1, count):
        x[:, t] = phi * x[:, t - 1] + (1 - phi**2) ** 0.5 * noise[:, t]
    return torch.from_numpy(x)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_effective_sample_size_is_that_of_a_known_process(phi):
    draws = autoregressive(phi)
    found = efficiency({f"pixel {i}": draws[..., i] for i in range(6)})
    expected = 4 * N * (1 - phi) / (1 + phi)
    assert found["draws"] == 4 * N
    assert found["ess_median"] == pytest.approx(expected, rel=0.1)
    assert 0.7 * expected < found["ess_least"] <= found["ess_median"]
    assert found["time"] == found["draws"] / found["ess_least"]
    assert found["rhat"] < 1.02


def test_chains_that_are_stuck_apart_are_told_by_the_functional_that_sees_it():
    draws = autoregressive(0.0, d=2)
    draws[:2, :, 1] += 5
    found = efficiency({"mixes": draws[..., 0], "stuck": draws[..., 1]})
    assert found["worst"] == "stuck"
    assert found["rhat"] > 1.5
    assert found["ess_least"] < 20


def test_chains_that_stand_still_are_worth_a_draw_each():
    still = torch.ones(4, 50)
    assert efficiency({"same": still})["ess_least"] == 1
    apart = still * torch.arange(4.0)[:, None]
    found = efficiency({"same": still, "apart": apart})
    assert found["rhat"] is None
    assert (found["worst"], found["draws"]) == ("apart", 200)
    assert found["ess_least"] < 5  # four chains


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_the_autocorrelation_is_its_definition_and_that_of_the_process(phi):
    draws = autoregressive(phi, chains=3)
    found = autocorrelation(draws, 20)
    centred = (draws - draws.mean((0, 1))).numpy()
    variance = (centred**2).sum(-1).mean()
    for k in (0, 1, 7, 20):
        products = (centred[:, : N - k] * centred[:, k:]).sum(-1).mean()
        assert float(found[k]) == pytest.approx(products / variance, abs=1e-9)
        assert float(found[k]) == pytest.approx(phi**k, abs=0.04)


def test_principal_directions_are_those_of_the_images():
    draw = np.random.default_rng(0)
    basis = np.linalg.qr(draw.normal(size=(5, 5)))[0]
    images = torch.from_numpy(draw.normal(size=(20000, 5)) * [5, 3, 1, 0.5, 0.1] @ basis.T)
    found = principal_directions(images + 2, 2)
    assert np.abs(basis[:, :2].T @ found.vectors.numpy()) == pytest.approx(np.eye(2), abs=0.03)
    torch.testing.assert_close(found.mean, images.mean(0) + 2)


def test_functionals_are_numbers_of_each_draw_in_its_place():
    found = numbers(DRAWS, DIRECTIONS, Parity())
    assert len(found) == 3 + 1 + 10
    assert all(values.shape == (2, 30) for values in found.values())
    assert found["intensity"][1, 7] == pytest.approx(float(DRAWS[1, 7].double().mean()))
    projected = (DRAWS[1, 5].double() - DIRECTIONS.mean) @ DIRECTIONS.vectors[:, 2]
    assert float(found["component 3"][1, 5]) == pytest.approx(float(projected))
    assert float(found["digit 1"][0, 4]) == float(DRAWS[0, 4, 0] > 0.5)


def test_digits_are_counted_as_by_hand():
    labels = torch.tensor([[0, 0, 1, 1, 1, 2, 2, 2, 2, 2], [3] * 10])
    found = visited(labels, [0.1] * 10)
    assert found["changes"] == pytest.approx(2 / 18)
    assert found["dwell"] == 20 / 4
    assert found["distinct"] == {"10": 2.0}  # three and one
    shares = [0.1, 0.15, 0.25, 0.5] + [0] * 6
    assert found["total_variation"] == pytest.approx(sum(abs(s - 0.1) for s in shares) / 2)


class Parity:
    """Stands in for the classifier: sure of digit 0 or 1, by the first pixel."""

    def probabilities(self, images):
        one = (images[:, 0] > 0.5).double()
        rest = torch.zeros(len(images), 8, dtype=torch.float64)
        return torch.cat([(1 - one)[:, None], one[:, None], rest], dim=1)


SETTINGS = parse_values(
    MixingSettings, {"chains": 4, "draws": 12, "thinning": [1, 3], "ensemble": 200, "steps": 100}
)
DIRECTIONS = principal_directions(torch.rand(50, 6, generator=torch.Generator().manual_seed(1)), 3)
DRAWS = torch.rand(2, 30, 6, generator=torch.Generator().manual_seed(0))


def forgetting(phi):
    """A sampler whose chains forget where they begin at that rate, and are U(0, 1) in the end."""

    def walk(start, rng):
        x = start
        while True:
            kept = torch.rand(x.shape, generator=rng, dtype=x.dtype) < phi
            x = torch.where(kept, x, torch.rand(x.shape, generator=rng, dtype=x.dtype))
            yield x

    images = torch.zeros(500, 6)  # far from where the chains end
    return ChainSampler(walk, lambda: images)


@pytest.mark.parametrize(("phi", "steps"), [(0.0, {0, 1}), (0.7, {5, 7, 10, 20}), (0.9999, {None})])
def test_chains_from_noise_and_from_images_become_alike_as_fast_as_they_forget(phi, steps):
    assert burn_in(forgetting(phi), DIRECTIONS, Parity(), SETTINGS, 0) in steps


def test_thinned_chains_are_the_consecutive_ones_at_every_so_manieth_step():
    sampler = forgetting(0.5)
    consecutive, apart = walked(sampler, SETTINGS, 16, 0)
    assert consecutive.shape == (4, 12, 6)
    assert torch.equal(apart[1], consecutive[:, :4])
    assert torch.equal(apart[3], consecutive[:, 2::3])
    again = thinned(sampler, Thinned(chains=4, burn_in=102, thinning=3), 12, 0, "mixing")
    assert torch.equal(again, consecutive[:, [4, 7, 10]])


def test_the_grid_of_steps_widens():
    assert grid(30) == [0, 1, 2, 3, 5, 7, 10, 20, 30]
    assert grid(1) == [0, 1]
