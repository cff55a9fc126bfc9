import json
import math
import statistics

import pandas as pd
import pytest

from paper_repro.__main__ import main
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.core.runs import read_run, runs
from paper_repro.data.settings import data_size
from paper_repro.evaluation.evaluate import evaluate
from paper_repro.evaluation.trained_run import measure_of
from paper_repro.figures.figure2 import figure2
from paper_repro.gan.model import recipe
from paper_repro.gan.train import train
from paper_repro.report import ablations
from paper_repro.report.released import changes
from paper_repro.report.run_files import run_files
from tests.small import read_from_root, rewrite
from tests.test_page import Tables, numbers

# Each run's one factor, as the issue of text against code has it.
CHANGED = {
    "mnist": [],
    "mnist_alternating": ["update"],
    "mnist_alternating_k2": ["update", "k"],
    "mnist_alternating_k5": ["update", "k"],
    "mnist_gaussian": ["noise"],
    "mnist_minimax": ["generator_loss"],
    "mnist_full_sum": ["discriminator_loss"],
    "mnist_unscaled_dropout": [f"discriminator.{layer}.scale" for layer in range(3)],
}


def test_each_committed_run_changes_one_thing(params):
    listed = runs(read_from_root("ablations")).values()
    assert {run.experiment for run in listed} == set(CHANGED)
    released = recipe.experiment(params, "mnist")
    counts = {"train": 50_000, "valid": 10_000, "test": 10_000}
    for run in listed:
        experiment = recipe.experiment(read_from_root("ablations"), run.experiment)
        assert set(changes("mnist", experiment.model_dump(mode="json"), counts)) == set(
            CHANGED[run.experiment]
        )
        assert experiment.parzen == released.parzen
    measures = [measure_of(read_from_root(p), run) for p in ("paper", "ablations")]
    assert measures[0] == measures[1]
    sizes = [data_size(read_from_root(p), "mnist") for p in ("paper", "ablations")]
    assert sizes[0] == sizes[1]


STUDIED = [f"ablations-{name}-{seed}" for name in ("mnist", "mnist_minimax") for seed in (0, 1)]


def make_study(workspace):
    variant = {"base": "mnist", "generator_loss": "minimax"}
    workspace.files["paper"]["experiments"]["mnist_minimax"] = variant
    workspace.files["ablations"]["experiments"]["mnist"] = {"epochs": 7}
    workspace.list("ablations", mnist=[0, 1], mnist_minimax=[0, 1])
    workspace.prepare(profile="ablations")
    for key in STUDIED:
        train(key)
        evaluate(key)
        figure2(key)


@pytest.fixture
def study(workspace):
    """Two experiments with two seeds each."""
    workspace.once(make_study)
    return workspace


def test_a_change_is_measured_against_the_same_seed_of_the_original(study):
    ablations.study("ablations")
    results = json.loads((ablations.FOLDER / "ablations.json").read_text())
    curves = {
        key: pd.read_csv(f"reports/ablations/runs/{key}/validation.csv").valid_nats.tolist()
        for key in STUDIED
    }
    original, minimax = results["rows"]
    assert (original["experiment"], minimax["experiment"]) == ("mnist", "mnist_minimax")
    for seed, run in enumerate(minimax["runs"]):
        ours = sum(curves[f"ablations-mnist_minimax-{seed}"][2:]) / 5
        theirs = sum(curves[f"ablations-mnist-{seed}"][2:]) / 5
        assert run["last_valid_mean"] == pytest.approx(ours)
        values = curves[f"ablations-mnist_minimax-{seed}"][2:]
        assert run["last_valid_sd"] == pytest.approx(statistics.stdev(values))
        assert run["difference"] == pytest.approx(ours - theirs)
        assert "generator_loss" in run["changed"]
    assert [run["difference"] for run in original["runs"]] == [0, 0]
    means = [run["last_valid_mean"] for run in minimax["runs"]]
    assert minimax["last_valid_mean"] == pytest.approx(sum(means) / 2)


def test_a_shorter_run_is_set_against_none(study):
    folder = study.folder / "reports/ablations/runs/ablations-mnist_minimax-0"
    rewrite(folder / "training.json", lambda record: record.update(epochs=6))
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"epochs": 6}))
    first, second = ablations.collect(run_files(read_params("ablations")))["rows"][1]["runs"]
    assert first["difference"] is None
    assert second["difference"] is not None


def test_the_page_shows_the_study(study):
    assert main(["study", "ablations"]) == 0
    results = json.loads((ablations.FOLDER / "ablations.json").read_text())
    page = (ablations.FOLDER / "index.html").read_text()
    lines = {line["Run"]: line for line in Tables(page).starting("Every run. Parzen estimates")}
    runs = {run["run"]: run for row in results["rows"] for run in row["runs"]}
    assert lines.keys() == runs.keys()
    for key, run in runs.items():
        line = lines[key]
        assert line["Epochs"] == "7"
        assert numbers(line["Against mnist, same seed"]) == [
            pytest.approx(run["difference"], abs=0.051)
        ]
        test = [run["last_test_mean"], run["last_test_se"]]
        assert numbers(line["Test, last epoch (nats)"]) == pytest.approx(test, abs=0.051)
    short = {line["What"]: line for line in Tables(page).starting("What each change does")}
    for row in results["rows"]:
        line = short[row["title"]]
        assert line["Seeds"] == "2"
        differences = [run["difference"] for run in row["runs"]]
        assert numbers(line["by seed"]) == pytest.approx(differences, abs=0.051)
        assert numbers(line["Against mnist, mean"]) == [
            pytest.approx(sum(differences) / 2, abs=0.051)
        ]
        if row["experiment"] == "mnist":
            assert line["95 % interval"] == "–"
            continue
        # t(1) at .975 is 12.7062, from printed tables
        half = 12.7062 * statistics.stdev(differences) / math.sqrt(2)
        expected = [sum(differences) / 2 - half, sum(differences) / 2 + half]
        assert numbers(line["95 % interval"]) == pytest.approx(expected, abs=0.06)
    assert "MNIST, one change at a time, 7 epochs, 2 seeds" in page
    assert page.count("<img") == 1 + len(runs)


def test_without_the_data_the_study_says_so(study):
    record = {"status": "not run", "reason": "MNIST is not there", "todo": "connect"}
    for key in STUDIED:
        run = read_run(key)[1]
        write_record(run.folder / "training.json", run.model_dump() | record)
    assert main(["study", "ablations"]) == 0
    page = (ablations.FOLDER / "index.html").read_text()
    assert "not run: MNIST is not there" in page
    assert "Nothing was trained." in page
