"""The tables that no page's test looks into."""

import pytest

from paper_repro.diagnostics.sample_sets import AUTHORS_GRIDS, FINE_GRID, GSN_GRID
from paper_repro.report import tables
from paper_repro.report.benchmarks import epoch_seconds
from paper_repro.report.collect import length_lacked
from paper_repro.report.content import content
from paper_repro.report.results import Failed, Results, Row, Seed, Verdict, read_results
from paper_repro.report.tables import panels
from tests.conftest import ROOT


@pytest.mark.parametrize("profile", ["paper", "quick", "stand-in"])
def test_every_key_of_a_recipe_that_was_run_is_shown(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = read_results(profile)
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in tables.recipes(results).splitlines()
    )
    rows = [row for row in results.rows if row.seeds]
    assert head == ["Key", *(row.experiment for row in rows)]
    table = {line[0].strip("`"): dict(zip(head[1:], line[1:], strict=True)) for line in lines}
    for row in rows:
        recipe = results.inputs[row.seeds[0].run].parameters
        shown = {key: cells[row.experiment] for key, cells in table.items()}
        assert shown["batch_size"] == str(recipe["batch_size"])
        assert shown["epochs"] == str(recipe["epochs"])
        assert shown["parzen.sigma_points"] == str(recipe["parzen"]["sigma_points"])
        if "generator" not in recipe:  # another model of Table 1
            assert shown["family"] == recipe["family"]
            continue
        for player in ("generator", "discriminator"):
            for index, layer in enumerate(recipe[player]):
                assert f"layer: {layer['layer']}" in shown[f"{player}.{index}"]
                assert f"keep: {layer['keep']}" in shown[f"{player}.{index}"]
            assert shown.get(f"{player}.{len(recipe[player])}", "–") == "–"
        rate = (recipe["sgd"] or recipe["adam"])["learning_rate"]
        used, other = ("sgd", "adam") if recipe["sgd"] else ("adam", "sgd")
        assert shown[f"{used}.learning_rate"] == str(rate)
        assert shown.get(f"{other}.learning_rate", "–") == "–"


def test_a_model_that_was_not_trained_to_its_end_says_so_wherever_it_is_named():
    seed = Seed.model_construct(epochs=50)
    row = Row(experiment="deep_gsn", dataset="MNIST", status="ok", verdict=Verdict(kind="interim"))
    cut = row.model_copy(update={"seeds": [seed], "length": 1000})
    results = Results.model_construct(rows=[cut])
    assert tables.model_of(results, "deep_gsn") == "Deep GSN (50 of 1,000 epochs)"
    assert tables.status(cut) == "interim, 50 of 1,000 epochs"
    whole = cut.model_copy(update={"length": None})
    assert tables.model_of(Results.model_construct(rows=[whole]), "deep_gsn") == "Deep GSN"


def test_a_training_takes_as_long_as_the_epochs_that_it_has():
    """The bench may have timed another length than was trained."""
    cost = {"hours": 6.0, "epochs": 300}
    row = Row(experiment="deep_gsn", dataset="MNIST", status="ok", verdict=Verdict(kind="interim"))
    assert tables._a_run(row, cost) == "6.0 h, 300 epochs"
    seeds = [Seed.model_construct(epochs=50)]
    cut = row.model_copy(update={"seeds": seeds, "length": 1000})
    assert tables._a_run(cut, cost) == "1.0 h, 50 of 1,000 epochs"


def test_table_2_gives_the_time_of_the_epochs_that_were_trained(monkeypatch):
    monkeypatch.chdir(ROOT)
    results, an_epoch = read_results("paper"), epoch_seconds()
    assert results.mixing
    for found in results.mixing:
        epochs = results.row(found.experiment).seeds[0].epochs
        assert found.seconds_to_train == pytest.approx(epochs * an_epoch[found.experiment])


def test_the_kind_of_another_model_s_recipe_is_by_what_validation_chose(monkeypatch):
    """Of a CAE with the documented contraction, and a DBN with the documented rate, nothing."""
    monkeypatch.chdir(ROOT)
    kinds = {row.experiment: row.verdict.kind for row in read_results("paper").rows}
    for name, documented in (("dbn", "dbn_constant"), ("stacked_cae", "stacked_cae_0_05")):
        assert kinds[name] == "adapted recipe"
        assert kinds[documented] == "documented recipe"


@pytest.mark.parametrize(
    ("experiment", "whole"), [("deep_gsn", 1000), ("cifar10_fc", 250), ("cifar10_conv", 250)]
)
def test_a_run_is_interim_until_it_has_all_epochs(experiment, whole):
    short, full = ([Seed.model_construct(epochs=epochs)] for epochs in (whole - 1, whole))
    assert length_lacked(experiment, short) == length_lacked(experiment, full + short) == whole
    assert length_lacked(experiment, full) is None
    assert length_lacked("mnist", short) is None


def test_figure_2_has_its_panels_side_by_side_and_says_what_an_absent_one_needs():
    verdict = Verdict(kind="not run")
    failed = [Failed(run="r", status="not run", reason="TFD could not be obtained", todo="")]
    rows = [
        Row(experiment="mnist", dataset="MNIST", status="ok", verdict=verdict),
        Row(experiment="tfd", dataset="TFD", status="not run", verdict=verdict, failed=failed),
    ]
    results = Results.model_construct(rows=rows)
    head, _, line = panels(results, {"mnist": "paper-mnist-4"}).splitlines()
    assert head == "| a) MNIST | b) TFD, phase 2 |"
    assert "![Figure 2 a](runs/paper-mnist-4/figure2.png)" in line
    assert "| not run; needs your copy of TFD |" in line


def test_every_grid_of_sets_of_samples_has_its_words():
    assert list(content("texts/grids.yaml")) == [*AUTHORS_GRIDS, FINE_GRID, GSN_GRID]
