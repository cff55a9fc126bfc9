"""TFD's two phases and its five folds, from images to the report."""

import json
import re
import statistics

import numpy as np
import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, write_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.params import read_params
from paper_repro.core.runs import model_path, runs
from paper_repro.core.tensor_file import load_tensors
from paper_repro.evaluation.evaluate import evaluate
from paper_repro.evaluation.trained_run import open_run
from paper_repro.forecast import plan as planning
from paper_repro.gan.model import recipe
from paper_repro.parzen.likelihood import log_likelihoods
from paper_repro.report.report import report
from paper_repro.training import loop
from paper_repro.training.train import train
from tests.small import collect

pytestmark = pytest.mark.usefixtures("undrawn")

FIRST, SECOND = "quick-tfd_pretrain-0", "quick-tfd-0"


@pytest.fixture
def phases(workspace):
    """Both phases in small, on images of 4 × 5 in five folds."""
    below = workspace.experiment | {"dataset": "tfd", "noise": "gaussian", "selection": "last"}
    below["parzen"] = below["parzen"] | {"sigma_images": None}
    pretrain = below | {"generator": [dict(layer) for layer in below["generator"]]}
    pretrain["generator"][2] |= {"init": {"sparse": 3}}
    new = [
        {"layer": "relu", "units": 9, "init": {"uniform": 0.2}},
        {"layer": "sigmoid", "units": 7, "init": {"uniform": 0.2}, "bias": -2.0},
    ]
    stacked = [layer | {"init": "pretrained"} for layer in pretrain["generator"]]
    stacked[2] |= {"bias": 0.0}
    workspace.files["paper"]["experiments"] |= {
        "tfd_pretrain": pretrain,
        "tfd": below | {"pretrained": "tfd_pretrain", "generator": new + stacked},
    }
    workspace.list(tfd_pretrain=[0], tfd=[0])
    draw = np.random.default_rng(0)
    counts = {"train": 60}
    for fold in range(1, 6):
        counts |= {f"valid{fold}": 10 + fold, f"test{fold}": 20 + fold}
    parts = {p: (draw.random((n, 4, 5)) * 255).astype(np.uint8) for p, n in counts.items()}
    write_dataset(processed_folder("quick", "tfd"), "tfd", parts, canonical=False, stand_in="Dots")
    return workspace


def test_phase_2_starts_from_the_last_epoch_of_phase_1_with_velocities_at_0(phases, monkeypatch):
    train(FIRST)
    seen = {}
    run = loop.Loop.run

    def watched(self):
        seen.update({name: tensor.clone() for name, tensor in self.training.state().items()})
        return run(self)

    monkeypatch.setattr(loop.Loop, "run", watched)
    train(SECOND)
    below, _ = load_tensors(model_path(FIRST), "last.generator.")
    for name, tensor in below.items():
        _, index, kind = name.split(".")
        assert torch.equal(seen[f"generator.layers.{int(index) + 2}.{kind}"], tensor)
    velocities = [tensor for name, tensor in seen.items() if name.startswith("velocity.")]
    assert velocities
    assert not any(tensor.any() for tensor in velocities)
    after, record = load_tensors(model_path(SECOND), "last.generator.")
    assert not torch.equal(after["layers.4.weight"], below["layers.2.weight"])  # nothing is frozen
    assert record["stacked_on"]["model"] == str(model_path(FIRST))
    # The schedules start anew.
    curve = (phases.folder / f"reports/quick/runs/{SECOND}/curve.csv").read_text().splitlines()
    assert [float(x) for x in curve[1].split(",")[2:4]] == pytest.approx([0.1, 0.5], rel=1e-3)


def test_phase_2_is_trained_anew_on_another_phase_1(phases):
    def trained():
        train(FIRST)
        train(SECOND)
        tensors, _ = load_tensors(model_path(SECOND), "last.generator.")
        return tensors["layers.0.weight"]

    first = trained()
    assert torch.equal(trained(), first)
    phases.files["paper"]["experiments"]["tfd_pretrain"]["epochs"] = 3
    phases.write()
    assert not torch.equal(trained(), first)


def test_phase_2_without_phase_1_or_on_another_than_its_layers_describe_is_one_line(
    phases, refused
):
    said = refused("train", SECOND)
    assert f"{model_path(FIRST)}: no such file; run `dvc repro profiles/quick/dvc.yaml:" in said
    train(FIRST)
    for layer in phases.files["paper"]["experiments"]["tfd"]["generator"][2:4]:
        layer["units"] += 1
    phases.write()
    assert "can't be stacked: pretrained layers.0.weight is (7, 13)" in refused("train", SECOND)


def test_phase_2_whose_phase_1_is_not_listed_is_refused(phases):
    phases.list(tfd_pretrain=[0], tfd=[0, 1])
    with pytest.raises(UserError, match=r"seeds\.tfd: quick-tfd-1 is stacked on .*-1, which is"):
        runs(read_params("quick"))


def test_every_fold_has_its_own_sigma_on_one_set_of_samples(phases):
    train(FIRST)
    evaluate(FIRST)
    folder = phases.folder / f"reports/quick/runs/{FIRST}"
    measured = json.loads((folder / "evaluation.json").read_text())["selected"]
    samples = open_run(FIRST).sampler("last").sample(50, 0, "evaluation")
    sigmas = recipe.experiment(read_params("quick"), "tfd_pretrain").parzen.sigmas()
    means = []
    for index in range(5):
        parts = (
            processed_folder("quick", "tfd") / f"{p}{index + 1}.npy" for p in ("valid", "test")
        )
        valid, test = (torch.from_numpy(np.load(p)).flatten(1).float() / 255 for p in parts)
        assert len(valid) == 11 + index
        best = log_likelihoods(valid, samples, sigmas).mean(1).argmax()
        on_test = log_likelihoods(test, samples, [sigmas[best]])[0]
        fold = measured["folds"][index]
        assert fold["sigma"] == sigmas[best]
        assert fold["test_images"] == 21 + index
        assert fold["test_mean"] == pytest.approx(float(on_test.mean()))
        means.append(float(on_test.mean()))
    assert measured["test_mean"] == pytest.approx(np.mean(means))
    assert measured["test_se"] == pytest.approx(np.std(means, ddof=1) / 5**0.5)
    assert measured["test_se_population"] == pytest.approx(np.std(means) / 5**0.5)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["fold5_test_mean"] == measured["folds"][4]["test_mean"]


def test_both_phases_stand_in_the_report_with_their_folds(phases):
    for key in (FIRST, SECOND):
        for command in ("train", "evaluate", "figure2"):
            assert main([command, key]) == 0
    report("quick")
    folder = phases.folder / "reports/quick"
    table = (folder / "README.md").read_text()
    assert all(text in table for text in ("divisor 4", "divisor 5", "25 test images"))
    found = json.loads((folder / "results.json").read_text())["rows"]
    rows = {row["experiment"]: row for row in found}
    assert rows["tfd"]["paper"] == {"mean": 2057.0, "se": 26.0}
    assert rows["tfd_pretrain"]["paper"] is None
    for row in rows.values():
        (seed,) = row["seeds"]
        folds = [fold["test_mean"] for fold in seed["folds"]]
        assert seed["test_mean"] == pytest.approx(statistics.fmean(folds))
        assert row["stand_in"] == "Dots"
    # What phase 1 changes of the paper's is changed in phase 2.
    changed = collect("quick").row("tfd").changed
    assert {"tfd_pretrain.epochs", "tfd_pretrain.data.train", "epochs"} <= set(changed)


def test_phase_2_is_announced_where_phase_1_changes(phases, monkeypatch, capsys):
    def announced(key):
        capsys.readouterr()
        monkeypatch.setattr(planning, "changed_stages", lambda target: {f"train@{key}": False})
        planning.plan("quick")
        return capsys.readouterr().out

    train(FIRST)
    train(SECOND)
    line = announced(FIRST)
    assert f"train {FIRST} (0 updates" in line  # its checkpoint counts
    assert re.search(rf"train {SECOND} \([1-9]\d* updates", line)
    line = announced(SECOND)
    assert FIRST not in line
    assert f"train {SECOND} (0 updates" in line
