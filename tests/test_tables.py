"""The pages' tables: each number in its column."""

import pytest

from paper_repro.report import tables
from paper_repro.report.collect import length_lacked
from paper_repro.report.published import PAPER
from paper_repro.report.results import Fold, Results
from paper_repro.report.templating import table, text
from paper_repro.report.verdict import judge
from tests import rows


def cells(table):
    """Return a table in Markdown as its lines, each by column."""
    head, _, *lines = (line.strip("| ").split(" | ") for line in table.splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_a_table_in_a_text_is_a_line_a_column():
    rows = "\na: 1: 2\nb:\n\na: x | y\nb: **z**\n\n"
    assert table(rows) == "| a | b |\n| --- | --- |\n| 1: 2 |  |\n| x \\| y | **z** |\n"
    assert table("\n\n").strip() == ""


def test_a_single_seed_of_five_that_did_not_diverge_has_a_headline_without_an_interval():
    verdict = judge([225.0], 225.0, 5.5, diverged=4)
    row = rows.row(seeds=[rows.seed(number=225.0, epochs=9)], verdict=verdict, paper=PAPER["mnist"])
    shown = text("headline.md.j2", row=row, rule="#rule", seeds=5, by_grids=[], shorter=None)
    assert "These runs cannot tell." in shown
    assert "interval of that difference" not in shown


def results_of(*seeds, **values):
    made = rows.row("tfd", seeds, dataset="TFD", **values)
    return Results.model_construct(rows=[made], against_release=[])


def test_a_run_s_numbers_are_each_in_their_column():
    numbers = {"test_mean": 1.0, "test_se": 2.0, "last_test_mean": 3.0, "last_test_se": 4.0}
    numbers |= {"curve_mean": 5.0, "curve_se": 6.0, "valid_mean": 7.0}
    seed = rows.seed(**numbers, best_epoch=8, epochs=9, selected="best")
    seed.sigma, seed.sigma_at_end_of_grid = [0.2, 0.1, 0.2], True
    (line,) = cells(text("runs.md.j2", results=results_of(seed)))
    assert line == {
        "Run": "`r`",
        "Epoch": "8 of 9, best on validation",
        "σ": "0.1000, 0.2000, end of grid",
        "Test": "1.0\xa0±\xa02.0",
        "Last epoch, test": "3.0\xa0±\xa04.0",
        "Validation, in training": "5.0\xa0±\xa06.0",
        "Validation, fresh samples": "7.0",
    }


def test_folds_and_both_errors_of_their_mean_have_a_line_each():
    folds = [Fold(sigma=0.1 * i, test_mean=10.0 * i, test_se=i, test_images=i) for i in (1, 2)]
    measured = rows.seed(folds=folds, test_mean=15.0, test_se=5.0, test_se_population=3.5)
    lines = cells(text("folds.md.j2", results=results_of(measured, rows.seed())))
    assert [line["Fold"] for line in lines] == ["1", "2", "mean", "mean"]
    assert [line["σ"] for line in lines] == ["0.1000", "0.2000", "", ""]
    shown = ["10.0 ± 1.0", "20.0 ± 2.0", "15.0 ± 5.0", "15.0 ± 3.5"]
    assert [line["Test"].replace("\xa0", " ") for line in lines] == shown
    assert [line["± is of"].split()[-1] for line in lines[2:]] == ["1", "2"]  # divisors


@pytest.mark.parametrize(
    ("seeds", "sd", "shown"),
    [(1, None, "15.0\xa0±\xa05.0 (1 run)"), (2, 7.0, "15.0 (2 runs, SD 7.0)")],
)
def test_table_1_has_the_mean_with_the_error_of_one_run_or_the_spread_of_several(seeds, sd, shown):
    results = results_of(*[rows.seed(test_se=5.0)] * seeds, mean=15.0, seed_sd=sd)
    line = next(line for line in cells(tables.table1(results)) if line["Ours"] != "–")
    assert (line["Model"], line["Data"]) == ("Adversarial nets", "TFD")
    assert line["Paper"] == "2057\xa0±\xa026"
    assert line["Ours"] == shown


def test_a_model_that_was_not_trained_to_its_end_says_so_wherever_it_is_named():
    cut = rows.row("deep_gsn", [rows.seed(epochs=50)], length=1000)
    results = Results.model_construct(rows=[cut])
    assert tables.model_of(results, "deep_gsn") == "Deep GSN (50 of 1,000 epochs)"
    assert tables.status(cut) == "interim, 50 of 1,000 epochs"
    # The bench may have timed another length than was trained.
    assert tables.a_run(cut, {"hours": 6.0, "epochs": 300}) == "1.0 h, 50 of 1,000 epochs"


@pytest.mark.parametrize(
    ("experiment", "whole"), [("deep_gsn", 1000), ("cifar10_fc", 250), ("cifar10_conv", 250)]
)
def test_a_run_is_interim_until_it_has_all_epochs(experiment, whole):
    short, full = ([rows.seed(epochs=epochs)] for epochs in (whole - 1, whole))
    assert length_lacked(experiment, short) == length_lacked(experiment, full + short) == whole
    assert length_lacked(experiment, full) is None
    assert length_lacked("mnist", short) is None
