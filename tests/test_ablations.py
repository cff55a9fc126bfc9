import json
import math
import statistics
from pathlib import Path

import pandas as pd
import pytest

from paper_repro.__main__ import main
from paper_repro.core.params import read_params
from paper_repro.core.runs import runs
from paper_repro.data.settings import data_size
from paper_repro.evaluation.trained_run import measure_of
from paper_repro.gan.model import recipe
from paper_repro.pipeline.presentation import presentation
from paper_repro.report.collect import Collected
from paper_repro.report.released import changes, released_recipe
from paper_repro.report.results import read_results
from paper_repro.report.run_files import run_files
from paper_repro.report.step_sizes import compared
from paper_repro.report.templating import text as render
from tests.small import read_from_root, rewrite
from tests.test_report import go

pytestmark = pytest.mark.usefixtures("undrawn")

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
    ablations = read_from_root("ablations")
    apart = presentation(ablations).step_sizes
    listed = [run for run in runs(ablations).values() if run.experiment not in apart]
    assert {run.experiment for run in listed} == set(CHANGED)
    released = recipe.experiment(params, "mnist")
    counts = {"train": 50_000, "valid": 10_000, "test": 10_000}
    for run in listed:
        experiment = recipe.experiment(ablations, run.experiment)
        original = released_recipe(run.experiment, "mnist")
        found = changes(original, experiment.model_dump(mode="json"), counts)
        assert set(found) == set(CHANGED[run.experiment])
        assert experiment.parzen == released.parzen
    assert measure_of(params, run) == measure_of(ablations, run)
    assert data_size(params, "mnist") == data_size(ablations, "mnist")


STUDIED = [f"ablations-{name}-{seed}" for name in ("mnist", "mnist_minimax") for seed in (0, 1)]


def make_study(workspace):
    variant = {"base": "mnist", "generator_loss": "minimax"}
    workspace.files["paper"]["experiments"]["mnist_minimax"] = variant
    workspace.files["ablations"]["experiments"]["mnist"] = {"epochs": 7}
    workspace.list("ablations", mnist=[0, 1], mnist_minimax=[0, 1])
    workspace.prepare(profile="ablations")
    for key in STUDIED:
        go(key, "train", "evaluate", "figure2")


@pytest.fixture
def study(workspace):
    """Two experiments with two seeds each."""
    workspace.once(make_study)
    return workspace


def validation(key):
    return pd.read_csv(f"reports/ablations/runs/{key}/validation.csv").valid_nats.tolist()


def test_a_change_is_measured_against_the_same_seed_and_the_page_shows_it(study):
    assert main(["report", "ablations"]) == 0
    results = read_results("ablations")
    assert (results.claims, results.figure1) == ([], None)
    (variant,) = results.variants
    assert variant.experiment == "mnist_minimax"
    assert "generator_loss" in variant.changed
    differences = []
    for seed, one in enumerate(variant.seeds):
        ours, original = (
            statistics.fmean(validation(f"ablations-{name}-{seed}")[2:])
            for name in ("mnist_minimax", "mnist")
        )
        found = (one.valid_mean, one.original_valid_mean, one.epoch)
        assert found == pytest.approx((ours, original, 7))
        differences.append(ours - original)
    assert variant.difference == pytest.approx(sum(differences) / 2)
    # t(1) at .975 is 12.7062, from printed tables
    half = 12.7062 * statistics.stdev(differences) / math.sqrt(2)
    expected = (variant.difference - half, variant.difference + half)
    assert variant.interval == pytest.approx(expected, rel=1e-4)
    text = Path("reports/ablations/README.md").read_text(encoding="utf-8")
    for part in ("variants.md.j2", "runs.md.j2"):
        assert render(part, results=results).strip() in text
    assert text.count("figure2.png") == 2  # of each experiment's first run


def test_a_shorter_run_is_set_against_the_original_s_epochs_as_far_as_it_goes(study):
    folder = study.folder / "reports/ablations/runs/ablations-mnist_minimax-0"
    table = pd.read_csv(folder / "validation.csv")
    table[table.epoch <= 6].to_csv(folder / "validation.csv", index=False)
    rewrite(folder / "training.json", lambda record: record.update(epochs=6, best_epoch=1))
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"epochs": 6, "best_epoch": 1}))
    found = Collected(read_params("ablations"), run_files(read_params("ablations")))
    first, second = found.variants()[0].seeds
    assert (first.epoch, second.epoch) == (6, 7)
    original = validation("ablations-mnist-0")
    assert first.original_valid_mean == pytest.approx(sum(original[1:6]) / 5)


@pytest.mark.parametrize("rate", ["0_1", "0_05", "0_02", "0_01"])
def test_runs_at_other_rates_end_at_the_same_sum_by_the_same_schedule(rate):
    params = read_from_root("ablations")
    both = [recipe.experiment(params, f"mnist_{kind}rate_{rate}") for kind in ("", "alternating_")]
    assert [one.update for one in both] == ["simultaneous", "alternating"]
    assert both[0].model_dump(exclude={"update"}) == both[1].model_dump(exclude={"update"})
    ours, first = both[0], recipe.experiment(params, "mnist_rate_0_1")
    summed = [
        s.learning_rate * (1 - s.learning_rate_decay**-n) / (1 - 1 / s.learning_rate_decay)
        for s, n in ((ours.sgd, 500 * ours.epochs), (first.sgd, 50_000))
    ]
    assert summed[0] == pytest.approx(summed[1], rel=1e-4)
    assert ours.epochs / ours.validate_every == 20
    parts = [x.epochs / x.sgd.momentum.saturate_epoch for x in (ours, first)]
    assert parts[0] == parts[1]


def test_step_sizes_are_compared_by_their_last_five_estimates():
    ways = {
        ("simultaneous", 0.1): range(10),
        ("alternating", 0.1): [0] * 9 + [5],
        ("simultaneous", 0.05): [1] * 5,
    }
    measured = pd.DataFrame(
        [(*way, 0, *line) for way, nats in ways.items() for line in enumerate(nats, 1)],
        columns=["update", "rate", "seed", "epoch", "valid_nats"],
    )
    assert compared(measured) == [
        {"rate": 0.1, "seed": 0, "simultaneous": 7.0, "alternating": 1.0, "epochs": 10},
        {"rate": 0.05, "seed": 0, "simultaneous": 1.0, "alternating": None, "epochs": 5},
    ]
