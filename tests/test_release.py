"""A rerun beside the published release."""

import json

import pytest

from paper_repro.core.recipe import recorded
from paper_repro.core.records import write_record
from paper_repro.report import release, tables
from paper_repro.report.release import against_release, read_release
from paper_repro.report.report import report
from paper_repro.report.results import (
    AgainstRelease,
    Estimate,
    Release,
    ReleasedRun,
    Results,
    read_results,
)
from tests import rows
from tests.small import ROOT
from tests.spread import interval
from tests.test_report import report_two_seeds

pytestmark = pytest.mark.usefixtures("undrawn")


def row(numbers, experiment="mnist", recipe="r", first=0):
    """An experiment's row of seeds with these numbers."""
    seeds = [
        rows.seed(f"paper-{experiment}-{i}", number=number, recipe_sha256=recipe)
        for i, number in enumerate(numbers, first)
    ]
    return rows.row(experiment, seeds)


@pytest.fixture
def released(tmp_path, monkeypatch):
    """A release of three runs of MNIST: 219, 220 and 221 nats."""
    monkeypatch.chdir(tmp_path)
    assert against_release("paper", [row([219.0])]) == []  # without one
    common = {"experiment": "mnist", "test_se": 2.0, "epochs": 3, "recipe_sha256": "r"}
    common |= {"device": "CPU", "threads": 2, "torch": "2", "commit": None, "seconds": 1.0}
    runs = [ReleasedRun(run=f"paper-mnist-{i}", number=219.0 + i, **common) for i in range(3)]
    made = Release(version="1", commit=None, runs=runs)
    release.release_path("paper").parent.mkdir(parents=True)
    write_record(release.release_path("paper"), made.model_dump())


def test_beside_a_new_run_the_mean_of_the_released_ones_is_the_same(released):
    found = against_release("paper", [row([219.0, 220.0, 221.0]), row([100.0], "dbn")])
    assert [line.kind for line in found] == [*["same"] * 4, "no counterpart"]
    assert (found[3].name, found[3].difference, found[3].interval) == ("mnist", 0, None)


def test_table_1_has_no_released_number_beside_one_of_thinned_samples():
    chain = row([100.0, 120.0], "dbn")
    for seed, mean in zip(chain.seeds, (150.0, 170.0), strict=True):
        seed.thinned = Estimate(sigma=0.2, test_mean=mean, test_se=1.0)
    chain.thinned_mean, chain.thinned_sd = 160.0, 14.1
    before = AgainstRelease(name="dbn", ours=110.0, released=108.0, kind="undecided")
    shown = tables.table1(Results.model_construct(rows=[chain], against_release=[before]))
    lines = [line for line in shown.splitlines() if line.startswith("| DBN")]
    assert [line.split(" | ")[3] for line in lines[:2]] == ["108.0", "–"]
    assert "160.0" in lines[1]


@pytest.mark.parametrize(
    ("data", "number", "kind"),
    [
        ("digits", 100.01, "same"),
        ("digits", 90.5, "within the spread"),
        ("digits", 121.0, "outside the spread"),
        ("photographs", 41.0, "within the spread"),
        ("photographs", 100.0, "outside the spread"),
        ("others", 100.0, "no counterpart"),
    ],
)
def test_a_number_is_held_against_the_spread_of_reruns_on_the_same_data(
    released, data, number, kind
):
    made = read_release("paper")
    reruns = (("digits", 100.0, (90.0, 120.0)), ("photographs", 40.0, (39.0, 41.0)))
    made.runs = [
        made.runs[0].model_copy(update={"recipe_sha256": name, "number": n, "spread": ends})
        for name, n, ends in reruns
    ]
    write_record(release.release_path("paper"), made.model_dump())
    (line,) = release.compared("paper", [row([number], recipe=data)])  # no mean of one run
    assert line.kind == kind


def test_the_spread_is_student_s_prediction_interval():
    low, high = interval([0.0, 2.0])  # mean 1, SD √2; t(1) at .9995 is 636.62, from printed tables
    assert (low + high) / 2 == pytest.approx(1)
    assert (high - low) / 2 == pytest.approx(636.62 * 3**0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("numbers", "kinds"),
    [
        ([219.0, 220.02, 221.0], []),  # the release itself
        ([219.0], ["same", "undecided"]),
        ([219.02, 220.5], ["same", "another number", "agrees"]),
        ([219.0, 220.0, 221.0, 222.0], [*["same"] * 3, "no counterpart", "agrees"]),
    ],
)
def test_runs_of_the_same_seed_and_recipe_are_compared_one_by_one(released, numbers, kinds):
    found = against_release("paper", [row(numbers)])
    assert [line.kind for line in found] == kinds
    for line, ours, theirs in zip(found, numbers, (219.0, 220.0, 221.0), strict=False):
        assert line.difference == pytest.approx(ours - theirs)


def test_other_seeds_have_no_counterpart_but_a_mean_and_another_recipe_has_none(released):
    found = against_release("paper", [row([219.0, 220.0, 221.0], first=7)])
    assert [line.kind for line in found] == [*["no counterpart"] * 3, "agrees"]
    assert found[-1].difference == 0
    found = against_release("paper", [row([219.0, 220.0, 221.0], recipe="other")])
    assert [line.kind for line in found] == ["no counterpart"] * 3


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([219.5, 220.5, 221.5], "agrees"),
        ([209.0, 210.0, 211.0], "differs"),
        ([214.0, 215.0, 216.0], "undecided"),
        ([200.0, 220.0, 240.0], "undecided"),
    ],
)
def test_a_mean_agrees_if_welch_s_interval_lies_within_the_margin(released, numbers, kind):
    *_, mean = against_release("paper", [row(numbers)])
    assert mean.kind == kind
    low, high = mean.interval
    assert low < mean.difference < high
    if kind == "agrees":  # both SDs 1: t(4) at .95 is 2.1318, from printed tables
        assert high - mean.difference == pytest.approx(2.1318 * (2 / 3) ** 0.5, abs=1e-3)


def test_what_is_released_is_what_was_reported_and_shows_beside_a_rerun(workspace):
    workspace.once(report_two_seeds)
    release.release()
    made, results = read_release("quick"), read_results("quick")
    assert {run.run: run.number for run in made.runs} == {
        seed.run: seed.number for seed in results.row("mnist").seeds
    }
    assert all(run.seconds > 0 and run.threads == 1 for run in made.runs)
    page = workspace.folder / "reports/quick/README.md"
    assert "beside the release" not in page.read_text()
    workspace.list(mnist=[1])
    report("quick")
    for shown in ("rerun beside the release", "| Paper | Release | Ours |", "| `quick-mnist-1` |"):
        assert shown in page.read_text()


def test_a_recipe_is_recorded_today_as_the_released_runs_recorded_theirs():
    """A key that is added later must not make another recipe of theirs."""
    compared = 0
    for path in (ROOT / "reports").glob("*/runs/*/training.json"):
        values = json.loads(path.read_text()).get("experiment_parameters")
        if values:
            assert recorded(values, path).model_dump(mode="json") == values, path
            compared += 1
    assert compared > 40
