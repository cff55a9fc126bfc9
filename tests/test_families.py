"""Table 1's other models through the same stages as the paper's own."""

import itertools
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.families import Family
from paper_repro.core.runs import model_path, read_run
from paper_repro.diagnostics.walk import choose, is_coarse, walked
from paper_repro.evaluation.trained_run import open_run
from paper_repro.training.train import train
from tests.test_baselines import CAE, DBN, GSN
from tests.test_report import go

SMALL = {"validate_every": 2, "hidden": [5, 4]}
RECIPES = {"dbn": DBN | SMALL, "stacked_cae": CAE | SMALL, "deep_gsn": GSN | SMALL}
THINNED = {"chains": 5, "burn_in": 3, "thinning": 2}
WALK = {"chains": 3, "stds": [0.3, 1.0, 1.4]}
MIXING = {"chains": 2, "draws": 40, "thinning": [1, 2], "ensemble": 8, "steps": 3}


@pytest.fixture(params=RECIPES)
def family(request, workspace):
    """The workspace with a run of another family, by its key."""
    name = request.param
    workspace.prepare(labels=np.arange(64, dtype=np.uint8) % 10)
    paper, quick = workspace.files["paper"], workspace.files["quick"]
    paper["experiments"][name] = RECIPES[name]
    paper["mixing"] = quick["mixing"] = MIXING
    quick["measure"][name] = RECIPES[name]["parzen"] | {"thinned": THINNED}
    if name == "stacked_cae":
        quick["measure"][name]["walk"] = WALK
    workspace.list(mnist=[0], **{name: [0]})
    quick["presentation"] |= {"mixing": ["mnist", name]}
    workspace.write()
    return f"quick-{name}-0"


def trained(key):
    """Train a run and, if it has one to choose, choose its walk; return the run's folder."""
    go(key, "train", *["walk"] * ("stacked_cae" in key))
    return read_run(key)[1].folder


def outputs(key):
    folder = read_run(key)[1].folder
    tables = (folder / name for name in ("training.json", "curve.csv", "validation.csv"))
    return [path.read_bytes() for path in (model_path(key), *tables)]


def test_an_interrupted_run_gives_the_bytes_of_an_uninterrupted_one(family, monkeypatch):
    train(family)
    expected = outputs(family)
    for path in Path("checkpoints").rglob("*.safetensors"):
        path.unlink()
    trainer = Family(family.split("-")[1]).training_module().training
    update, number = trainer.update, itertools.count(1)

    def counting(self, epoch, index):
        if next(number) in (3, 30):  # within an epoch of each layer, where there are two
            signal.raise_signal(signal.SIGTERM)
        return update(self, epoch, index)

    monkeypatch.setattr(trainer, "update", counting)
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(family)
    train(family)
    assert outputs(family) == expected


def test_normalised_images_which_its_units_cannot_take_are_refused(family, workspace, refused):
    name = family.split("-")[1]
    workspace.files["paper"]["experiments"][name] = RECIPES[name] | {"dataset": "cifar10"}
    workspace.write()
    said = refused("train", family)
    assert re.search(rf"params\.yaml: experiments\.{name}\.dataset: .*contrast-normalised", said)


def test_a_chain_is_measured_by_consecutive_steps_and_thinned(family):
    folder = trained(family)
    go(family, "evaluate")
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["measure"]["thinned"] == THINNED
    assert found["selected"]["samples"] == found["thinned"]["samples"] == 60
    assert found["selected"]["test_mean"] != found["thinned"]["test_mean"]


@pytest.mark.parametrize("family", ["stacked_cae"], indirect=True)
def test_samples_follow_the_walk_that_was_chosen(family):
    train(family)
    with pytest.raises(UserError, match=r"walk\.json: no such file; run `dvc repro .*walk@"):
        open_run(family).sampler()
    assert main(["walk", family]) == 0
    chosen = json.loads(Path("reports/quick/runs", family, "walk.json").read_text())
    assert [width["std"] for width in chosen["widths"]] == WALK["stds"]
    drawn, named = (open_run(family).sampler(std=std) for std in (None, chosen["std"]))
    assert torch.equal(drawn.sample(9, 0, "a"), named.sample(9, 0, "a"))
    other = open_run(family).sampler(std=7.0)
    assert not torch.equal(drawn.sample(9, 0, "a"), other.sample(9, 0, "a"))


def test_a_width_is_the_middle_one_of_those_that_chains_cannot_tell_from_the_best():
    def width(std, *means):
        return {"std": std, "sigmas": [0.2] * len(means), "valid_means": list(means)}

    grid = [width(1.0, 0, 2), width(1.2, 9, 11), width(1.4, 8, 13), width(1.7, 10.5, 10.5)]
    # Best is 1.4 (two of one score: the first), 10.5 with a standard error of 2.5.
    assert choose(grid) == (1.4, 1.4, [1.2, 1.4, 1.7])
    assert choose(grid[:3]) == (1.2, 1.4, [1.2, 1.4])  # of two the narrower
    assert choose([width(1.0, 5, 5), width(2.0, 4, 4)]) == (1.0, 1.0, [1.0])
    assert is_coarse([0.1, 0.3, 0.4], 0.3)
    assert is_coarse([0.3, 0.4, 0.7], 0.4)
    assert not is_coarse([0.1, 0.3, 0.4, 0.5], 0.4)
    assert not is_coarse([1.0, 1.5], 1.5)


@pytest.mark.parametrize("family", ["stacked_cae"], indirect=True)
def test_every_width_walks_from_the_same_images_by_the_same_numbers(family):
    train(family)
    run, stds = open_run(family), [0.3, 1.4]
    together = run.sampler(std=torch.tensor(stds, dtype=torch.float64)[:, None, None])
    drawn = walked(together, 2, 3, 20, 0)
    for std, ours in zip(stds, drawn, strict=True):
        alone = run.sampler(std=std).chains(3, 0, "walk")
        assert torch.equal(ours, torch.stack([next(alone) for _ in range(20)], 1))


@pytest.mark.slow
def test_the_page_shows_the_model_beside_the_paper_s_and_how_its_samples_follow(family):
    for key in ("quick-mnist-0", family):
        trained(key)
        go(key, "evaluate", "mixing")
    go("quick-mnist-0", "figure2")
    go("quick", "report")
    results = json.loads(Path("reports/quick/results.json").read_text())
    name = family.split("-")[1]
    (row,) = [row for row in results["rows"] if row["experiment"] == name]
    assert row["thinned_mean"] == row["seeds"][0]["thinned"]["test_mean"]
    assert row["verdict"]["kind"] == "not comparable"
    assert [found["experiment"] for found in results["mixing"]] == ["mnist", name]
    ours = results["mixing"][0]["measured"]["efficiency"]
    assert ours["draws"] == MIXING["chains"] * MIXING["draws"]
    page = Path("reports/quick/README.md").read_text()
    shown = f"{row['thinned_mean']:.1f}".replace("-", "−")
    assert re.search(rf"`{family}` \|[^|]*\| {shown}", page.partition("| Test, thinned |")[2])
    assert f"runs/{family}/mixing.png" in page
    assert Path("reports/quick/curves/mixing.png").is_file()
    assert Path(f"reports/quick/curves/{name}.png").is_file()


def test_a_generator_s_draws_are_worth_their_number(workspace):
    """The same code on independent samples: ESS ≈ n, τ ≈ 1, nothing to burn in."""
    workspace.prepare(labels=np.arange(64, dtype=np.uint8) % 10)
    workspace.files["quick"]["mixing"] = MIXING | {"chains": 5, "draws": 400, "ensemble": 100}
    workspace.files["quick"]["presentation"] = {"mixing": ["mnist"]}
    workspace.write()
    train(workspace.key)
    assert main(["mixing", workspace.key]) == 0
    found = json.loads((workspace.run.folder / "mixing.json").read_text())
    assert found["efficiency"]["ess_median"] == pytest.approx(2000, rel=0.1)
    assert found["efficiency"]["ess_least"] > 1500
    assert found["efficiency"]["rhat"] < 1.02
    assert max(abs(rho) for lag, rho in found["autocorrelation"].items() if lag != "0") < 0.1
    assert found["burn_in"] == 1


def test_weights_that_are_published_draw_the_same_samples(family):
    folder = trained(family)
    go(family, "weights", "sample_sets")
    record = json.loads((folder / "sample_sets.json").read_text())
    assert len(record["sets"]) == 10
    model_path(family).unlink()
    go(family, "verify")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("family", "rbm", ": no family 'rbm' (there: gan, dbn"),
        ("family", None, ": no family None (there: gan, dbn"),
        ("annealed", True, ""),
    ],
)
def test_another_family_s_key_and_a_family_that_there_is_not_are_one_line(
    workspace, capsys, key, value, message
):
    workspace.change(**{key: value})
    assert main(["train", workspace.key]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert f"params.yaml: experiments.mnist.{key}{message}" in said


def test_a_chain_among_the_diagnosed_is_one_line(family, workspace, capsys):
    trained(family)
    workspace.files["quick"]["presentation"] = {"diagnosed": [family.split("-")[1]]}
    workspace.write()
    capsys.readouterr()
    for stage in ("figure3", "sample_checks", "parzen_audit"):
        assert main([stage, family]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith("paper_repro: presentation.diagnosed: ")


def test_samples_that_chains_can_not_share_are_refused(family, workspace, capsys):
    trained(family)
    quick = workspace.files["quick"]
    quick["mixing"] = MIXING | {"chains": 7}
    workspace.write()
    assert main(["mixing", family]) == 2
    said = capsys.readouterr().err
    assert "quick/params.yaml: mixing.chains: 7 chains can't share 60 samples alike" in said
    quick["measure"][family.split("-")[1]]["thinned"] = THINNED | {"chains": 7}
    workspace.write()
    assert main(["evaluate", family]) == 2
    said = capsys.readouterr().err
    assert "samples (60) must be a multiple of thinned.chains (7)" in said
