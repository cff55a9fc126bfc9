import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from paper_repro.figures import figure1 as module
from paper_repro.figures.figure1 import figure1, measures, play
from paper_repro.theory import settings
from paper_repro.theory.density import density, integral, points, total_variation
from paper_repro.theory.settings import Gaussian, Grid
from paper_repro.theory.toy import LOGISTIC_STD, Game, Generator, apply, generator_density
from tests.small import parse_values, write_files

X = points(Grid(low=-4.0, high=4.0, points=401))

VALUES = {
    "seed": 0,
    "grid": {"low": -4.0, "high": 4.0, "points": 401},
    "p_data": [{"weight": 1.0, "mean": 0.0, "std": 0.5}],
    "start": {"mean": 0.7, "std": 0.4},
    "generator_units": [8],
    "discriminator_units": [8, 8],
    "generator_loss": "minimax",
    "k": 2,
    "batch_size": 128,
    "discriminator_learning_rate": 0.01,
    "generator_learning_rate": 0.001,
    "steps_a": 6,
    "discriminator_steps_b": 200,
    "generator_steps_c": 20,
    "steps_d": 300,
}


def chosen(**changes):
    return parse_values(settings.Figure1, VALUES | changes)


class Affine(torch.nn.Module):
    def __init__(self, shift, scale):
        super().__init__()
        self.shift, self.scale = shift, scale

    def forward(self, z):
        return self.shift + self.scale * z


@pytest.mark.parametrize("scale", [2.0, -2.0])
def test_an_affine_generator_has_a_uniform_density(scale):
    p = generator_density(Affine(-0.5 * scale, scale), X)
    np.testing.assert_allclose(p[np.abs(X) < 0.97], 0.5, rtol=1e-9)
    np.testing.assert_allclose(p[np.abs(X) > 1.03], 0, atol=1e-12)


def test_both_branches_of_a_folding_generator_count():
    class Fold(torch.nn.Module):
        def forward(self, z):
            return torch.abs(2 * z - 1)

    p = generator_density(Fold(), X)
    np.testing.assert_allclose(p[(X > 0.03) & (X < 0.97)], 1, rtol=1e-9)


def test_a_constant_generator_is_an_atom():
    p = generator_density(Affine(1.0, 0.0), X)
    step = X[1] - X[0]
    assert p.sum() * step == pytest.approx(1)
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
    mixture = [
        {"weight": 0.25, "mean": -2.0, "std": 0.1},
        {"weight": 0.75, "mean": 1.0, "std": 0.5},
    ]
    data = Game(chosen(p_data=mixture, batch_size=20_000))._data()
    assert data.shape == (20_000, 1)
    assert (data < -1).double().mean().item() == pytest.approx(0.25, abs=0.015)
    assert data[data > -1].std().item() == pytest.approx(0.5, abs=0.015)


def test_each_step_moves_one_player_only():
    game = Game(chosen())

    def states():
        return [
            torch.cat([p.detach().flatten().clone() for p in network.parameters()])
            for network in (game.discriminator, game.generator)
        ]

    start = states()
    game.step_discriminator()
    after_d = states()
    game.step_generator()
    after_g = states()
    assert not torch.equal(start[0], after_d[0])
    assert torch.equal(start[1], after_d[1])
    assert torch.equal(after_d[0], after_g[0])
    assert not torch.equal(after_d[1], after_g[1])


def test_the_panels_are_what_the_paper_says():
    run = chosen()
    p_data = density(run.p_data, X)
    a, b, c, d = (measures(panel, p_data, X) for panel in play(run))
    assert (a["discriminator_steps"], a["generator_steps"]) == (12, 6)
    assert (b["discriminator_steps"], b["generator_steps"]) == (212, 6)
    assert (c["discriminator_steps"], c["generator_steps"]) == (212, 26)
    assert (d["discriminator_steps"], d["generator_steps"]) == (812, 326)
    assert b["total_variation"] == a["total_variation"]  # G stood still
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
    assert result["total_variation"] == 0
    assert result["deviation_from_optimal_d"] == 0
    assert result["deviation_from_half"] == 0
    assert result["mean_d_on_data"] == pytest.approx(0.5)


def test_the_stage_writes_the_figure_and_its_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files({"theory": {"figure1": VALUES}}, theory={"figure1": {"steps_d": 50}})
    figure1("quick")
    result = json.loads(Path("reports/quick/figure1.json").read_text())
    assert [panel["panel"] for panel in result["panels"]] == ["a", "b", "c", "d"]
    assert result["settings"] == VALUES | {"steps_d": 50}
    assert len(result["arrows"]["z"]) == len(result["arrows"]["d"]) == module.ARROWS
    with Image.open("reports/quick/figure1.png") as picture:
        assert picture.size == (1350, 540)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    for quarter in np.array_split(pixels[60:], 4, axis=1):  # below the legend
        red, green, blue = quarter[..., 0], quarter[..., 1], quarter[..., 2]
        assert np.any((blue > 200) & (red < 60) & (green < 60))  # D
        assert np.any((green > 100) & (red < 60) & (blue < 60))  # p_g
        assert np.any(quarter.sum(axis=-1) < 60)  # p_data, the lines and arrows
    files = [Path(f"reports/quick/figure1.{suffix}") for suffix in ("json", "png", "pdf")]
    before = [file.read_bytes() for file in files]
    figure1("quick")
    assert [file.read_bytes() for file in files] == before
