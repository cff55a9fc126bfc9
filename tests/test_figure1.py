import json
from pathlib import Path

import numpy as np
import pytest
import torch

from paper_repro.figures import figure1 as module
from paper_repro.figures.figure1 import figure1, measures, play
from paper_repro.theory import settings
from paper_repro.theory.density import density, integral, points, total_variation
from paper_repro.theory.settings import Gaussian, Grid
from paper_repro.theory.toy import LOGISTIC_STD, Game, Generator, apply, generator_density
from tests.small import parse_values, write_files

X = points(Grid(low=-4.0, high=4.0, points=401))

VALUES = {"seed": 0, "grid": {"low": -4.0, "high": 4.0, "points": 401}}
VALUES |= {"p_data": [{"weight": 1.0, "mean": 0.0, "std": 0.5}], "start": {"mean": 0.7, "std": 0.4}}
VALUES |= {"generator_units": [8], "discriminator_units": [8, 8], "generator_loss": "minimax"}
VALUES |= {"discriminator_learning_rate": 0.01, "generator_learning_rate": 0.001}
VALUES |= {"k": 2, "batch_size": 128}
VALUES |= {"steps_a": 6, "discriminator_steps_b": 200, "generator_steps_c": 20, "steps_d": 300}


def chosen(**changes):
    return parse_values(settings.Figure1, VALUES | changes)


@pytest.mark.parametrize(
    ("generator", "low", "high"),
    [
        (lambda z: 2 * z - 1, -1, 1),
        (lambda z: 1 - 2 * z, -1, 1),
        (lambda z: torch.abs(2 * z - 1), 0, 1),  # both branches count
    ],
)
def test_a_generator_of_one_slope_has_a_uniform_density(generator, low, high):
    p = generator_density(generator, X)
    np.testing.assert_allclose(p[(low + 0.03 < X) & (high - 0.03 > X)], 1 / (high - low), rtol=1e-9)
    np.testing.assert_allclose(p[(low - 0.03 > X) | (high + 0.03 < X)], 0, atol=1e-12)


def test_a_constant_generator_is_an_atom():
    p = generator_density(torch.ones_like, X)
    assert p.sum() * (X[1] - X[0]) == pytest.approx(1)
    assert np.count_nonzero(p > 1e-6) <= 2


def test_the_generator_starts_as_a_logistic_density():
    network = Generator(0.7, 0.4, [8], torch.Generator().manual_seed(0))
    s = 0.4 / LOGISTIC_STD
    expected = 1 / (4 * s * np.cosh((X - 0.7) / (2 * s)) ** 2)
    p = generator_density(network, X)
    assert total_variation(p, expected, X) < 2e-3
    assert integral(X * p, X) == pytest.approx(0.7, abs=1e-3)


def test_the_density_is_that_of_many_samples():
    game = Game(chosen())
    for _ in range(20):
        game.step()
    z = np.random.default_rng(0).random(200_000)
    counts, edges = np.histogram(apply(game.generator, z), bins=80, range=(-4, 4), density=True)
    middles = (edges[:-1] + edges[1:]) / 2
    p = np.interp(middles, X, generator_density(game.generator, X))
    np.testing.assert_allclose(counts, p, atol=0.03)


def test_the_game_draws_the_data():
    parts = ((0.25, -2.0, 0.1), (0.75, 1.0, 0.5))
    mixture = [{"weight": w, "mean": mean, "std": std} for w, mean, std in parts]
    data = Game(chosen(p_data=mixture, batch_size=20_000))._data()
    assert data.shape == (20_000, 1)
    assert (data < -1).double().mean().item() == pytest.approx(0.25, abs=0.015)
    assert data[data > -1].std().item() == pytest.approx(0.5, abs=0.015)


def test_the_panels_are_what_the_paper_says():
    run = chosen()
    p_data = density(run.p_data, X)
    states = list(play(run))
    a, b, c, d = panels = [measures(state, p_data, X) for state in states]
    steps = [(panel["discriminator_steps"], panel["generator_steps"]) for panel in panels]
    assert steps == [(12, 6), (212, 6), (212, 26), (812, 326)]
    assert b["total_variation"] == a["total_variation"]  # G stood still
    np.testing.assert_array_equal(states[2].d, states[1].d)  # and D
    assert b["deviation_from_optimal_d"] < a["deviation_from_optimal_d"]
    assert b["value"] > a["value"]
    assert c["total_variation"] < b["total_variation"]
    assert c["value"] < b["value"]
    assert abs(c["mean_of_p_g"]) < abs(b["mean_of_p_g"])  # p_data's mean is 0
    assert d["total_variation"] < 0.5 * c["total_variation"]


def test_a_perfect_pair_measures_as_one():
    p_data = density((Gaussian(weight=1.0, mean=0.0, std=0.5),), X)
    half = np.full_like(X, 0.5)
    panel = module.State("d", 1, 1, -1.386, p_data, half, np.zeros(module.ARROWS))
    result = measures(panel, p_data, X)
    for distance in ("total_variation", "deviation_from_optimal_d", "deviation_from_half"):
        assert result[distance] == 0
    assert result["mean_d_on_data"] == pytest.approx(0.5)


def test_the_stage_writes_the_figure_and_its_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files({"theory": {"figure1": VALUES}}, theory={"figure1": {"steps_d": 50}})
    figure1("quick")
    result = json.loads(Path("reports/quick/figure1.json").read_text())
    assert [panel["panel"] for panel in result["panels"]] == ["a", "b", "c", "d"]
    assert result["settings"] == VALUES | {"steps_d": 50}
    assert len(result["arrows"]["z"]) == len(result["arrows"]["d"]) == module.ARROWS
    files = [Path(f"reports/quick/figure1.{suffix}") for suffix in ("json", "png", "pdf")]
    before = [file.read_bytes() for file in files]
    figure1("quick")
    assert [file.read_bytes() for file in files] == before
