"""The table of measurements: what each run's model was found to give in nats, a row an estimate.

What ``results.json`` says of runs and experiments are selections from it, and means. (What
``mixing.json`` and ``parzen_audit.json`` hold goes there as it is.) Columns, where a row has them:

=========== ========================================================================================
run         the run's key
epoch       of the model that was measured
sampling    how it was sampled: `IN_TRAINING`, for the training curve; `CONSECUTIVE`, one draw after
            the other, of a Markov chain the steps of a single one; `THINNED`, draws of many chains
            that lie far apart
set         of samples, counted from 0, drawn from the published weights; none in `evaluation.json`
chain       the chain whose steps the samples are, counted from 0; none of a generator
grid        of σ, by its name in `sample_sets.json`
images      the validation images on which σ was chosen: "first_images" or "all_images"
fold        of the test data, counted from 1; none for all folds together, or for data without
sigma       bandwidth σ in pixels' units; none for all folds together
end_of_grid whether σ is the least or the largest of its grid: a better one may lie beyond
valid_mean  mean over validation images, in nats, and `valid_se` its error, of the training curve
test_mean   mean over test images, in nats, and `test_se` its error: over images, or over folds, by
            divisor n − 1; `test_se_population` by n
test_images how many these are
=========== ========================================================================================

What Table 1 shows of a run is a selection; so are ten chains of each run, once all have them::

    chains = measured[measured.chain.notna() & measured["set"].notna() & by_default(measured)]
    by_run = chains.groupby("run").test_mean.agg(["mean", "std"])  # over the chains of each run
    by_run["mean"].agg(["mean", "std"])  # over runs
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import pandas as pd

from paper_repro.diagnostics.sample_sets import DEFAULT_GRID, SAMPLE_SETS
from paper_repro.evaluation.trained_run import WEIGHTS
from paper_repro.report.run_files import RunFiles

IN_TRAINING, CONSECUTIVE, THINNED = "in training", "consecutive", "thinned"
FIRST_IMAGES = "first_images"
COUNTS = ("set", "chain", "fold", "test_images")  # whole numbers, where a row has them
COLUMNS = (
    *("run", "epoch", "sampling", "set", "chain", "grid", "images", "fold", "sigma"),
    *("end_of_grid", "valid_mean", "valid_se", "test_mean", "test_se", "test_se_population"),
    "test_images",
)
DEFAULT = {"sampling": CONSECUTIVE, "grid": DEFAULT_GRID, "images": FIRST_IMAGES}
Row = dict[str, Any]


def measurements(listed: Iterable[RunFiles]) -> pd.DataFrame:
    """Return all estimates of the runs that were trained (`UserError` as `RunFiles`)."""
    rows = [
        {"run": files.run.key} | row
        for files in listed
        if files.trained
        for recorded in (_in_training, _evaluated, _sets_of_samples)
        for row in recorded(files)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(COUNTS, "Int64") | {"end_of_grid": "boolean"})


def by_default(measured: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are by the measure as the authors' script has it, all folds together."""
    found = measured.fold.isna()
    for column, value in DEFAULT.items():
        found &= measured[column] == value
    return found


def _in_training(files: RunFiles) -> Iterator[Row]:
    """Return the rows of ``validation.csv``."""
    curve = files.table("validation.csv").rename(columns={"valid_nats": "valid_mean"})
    for row in curve[["epoch", "valid_mean", "valid_se", "sigma"]].to_dict("records"):
        yield {"sampling": IN_TRAINING, **row}  # type: ignore[dict-item]


def _evaluated(files: RunFiles) -> Iterator[Row]:
    """Return the rows of ``evaluation.json``."""
    training, found = files.training, files.evaluation
    selected = {"epoch": training["best_epoch"]}
    drawn = DEFAULT | ({"chain": 0} if files.chains else {})
    if training["best_epoch"] != training["epochs"]:
        yield from _estimates(found["selected"], drawn | selected)
    yield from _estimates(found["last"], drawn | {"epoch": training["epochs"]})
    if "thinned" in found:
        yield from _estimates(found["thinned"], DEFAULT | selected | {"sampling": THINNED})


def _sets_of_samples(files: RunFiles) -> Iterator[Row]:
    """Return the rows of ``sample_sets.json``; of a Markov chain, each set is one of its own."""
    if not files.published:
        return
    epoch = files.measured("generator.json", WEIGHTS)["epoch"]
    for index, by_grid in enumerate(files.measured("sample_sets.json", SAMPLE_SETS)["sets"]):
        drawn = {"epoch": epoch, "sampling": CONSECUTIVE, "set": index}
        drawn |= {"chain": index} if files.chains else {}
        for grid, by_images in by_grid.items():
            for images, found in by_images.items():
                yield from _estimates(found, drawn | {"grid": grid, "images": images})


def _estimates(found: object, drawn: Row) -> Iterator[Row]:
    """Return one estimate of a record, and those of its folds, if the data have any."""
    estimate = cast("Mapping[str, Any]", found)
    row = drawn | {name: value for name, value in estimate.items() if name in COLUMNS}
    if "valid_mean_by_sigma" in estimate:
        means = list(estimate["valid_mean_by_sigma"].values())
        row["end_of_grid"] = max(means) in (means[0], means[-1])
    yield row
    for number, fold in enumerate(estimate.get("folds", []), 1):
        yield from _estimates(fold, drawn | {"fold": number})
