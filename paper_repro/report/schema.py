"""What ``results.json`` holds, as types; ``results.schema.json`` is made from them.

Log-likelihoods and distances between them are in nats.
"""

from typing import Any, Literal, NotRequired

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from paper_repro.core import records
from paper_repro.core.records import Closed, DataRecord, Sealed
from paper_repro.report.verdict import Answer


class Published(Closed):
    """A number of the paper: mean and the standard error that stands beside it."""

    mean: float
    se: float


class Trend(Closed):
    """A straight line through the last third of a run's validation estimates, by least squares.

    In nats per 100 epochs; the error takes neighbouring estimates as independent.
    """

    slope: float
    se: float


class Fold(Closed):
    """The estimate on one fold of TFD; the error is over the fold's test images."""

    sigma: float
    test_mean: float
    test_se: float
    test_images: int


class Sets(Closed):
    """The estimates of a published generator, of `epoch`, over `count` sets of samples.

    `mean` and `sd` are over sets, by the default grid of σ; `grids` has the mean over sets of every
    grid, σ chosen on the measure's validation images (`first_images`) or on all.
    """

    epoch: int
    count: int
    mean: float
    sd: float
    grids: dict[str, dict[Literal["first_images", "all_images"], float]]


class Seed(Closed):
    """One run, by the generator that was selected; `last_…` by the last epoch's.

    `sigma` holds one value a fold. `test_se` is over test images or, with folds, over these, by the
    standard deviation with divisor n − 1; `test_se_population` by that with n. `curve_mean` is the
    validation estimate of the epoch on the training curve, by which it was chosen, if it was, and
    `curve_se` its error over images; `valid_mean` is measured again, with fresh samples.
    `valid_trend` is null for a run with too few validation estimates; `weights_sha256` and `sets`
    without a published generator. `number` is what is judged: the mean over sets of samples of a
    run that a protocol names, else `test_mean`.
    """

    run: str
    seed: int
    epochs: int
    updates: int
    best_epoch: int
    sigma: list[float]
    sigma_at_end_of_grid: bool
    curve_mean: float
    curve_se: float
    valid_mean: float
    valid_trend: Trend | None
    test_mean: float
    test_se: float
    test_se_population: float | None
    folds: list[Fold]
    last_test_mean: float
    last_test_se: float
    parameters: dict[Literal["generator", "discriminator"], int]
    selected: Literal["best", "last"]
    weights_sha256: str | None
    sets: Sets | None
    number: float


class Verdict(Closed):
    """What is said of a number by the rule that the page prints.

    `answer` is null where there is no verdict; `distance` is ours minus the paper's, `interval` its
    90 % interval.
    """

    text: str
    answer: Answer | None
    distance: float | None
    interval: tuple[float, float] | None


class Alternative(Closed):
    """What another grid of σ would make of the verdict; `mean` is over seeds."""

    grid: str
    mean: float
    interval: tuple[float, float] | None
    answer: Answer | None


class Failed(Closed):
    """A listed run without a result: it was not run, or it diverged."""

    run: str
    status: str
    reason: str
    todo: str


class Row(Closed):
    """One experiment. `mean`, `seed_sd` and `mean_interval` (95 %, Student's t) are over seeds.

    The mean is that of the seeds' `number`. `alternatives` has what other grids of σ would make of
    it, if all seeds were measured by them. `margin` is that of the rule.
    """

    experiment: str
    title: str
    dataset: str
    status: str
    reason: NotRequired[str]
    todo: NotRequired[str]
    canonical_data: bool
    stand_in: str | None
    comparable: bool
    changed: list[str]
    adam: bool
    paper: Published | None
    failed: list[Failed]
    seeds: list[Seed]
    mean: float | None
    seed_sd: float | None
    mean_interval: tuple[float, float] | None
    margin: float | None
    verdict: Verdict
    alternatives: list[Alternative]


class Claim(Closed):
    """A line of the ledger; `number` as the page shows it, `file` from the report's folder.

    `note` says how to read the measure, where that is not plain; `question` that the line is no
    claim of the paper but asks about our training.
    """

    id: str
    where: str
    claim: str
    measure: str
    rule: str
    note: str | None
    question: bool
    number: str
    verdict: str
    file: str


class Variant(Closed):
    """Validation estimates of a variant and its original, the same seed at the same epochs."""

    run: str
    original: str
    changed: list[str]
    epochs: list[int]
    valid_nats: list[float]
    original_valid_nats: list[float]
    mean_difference: float
    median_difference: float
    sd_difference: float


class Provenance(Closed):
    """What a run's numbers were made from: data and full recipe."""

    data: DataRecord
    parameters: dict[str, Any]


class Audit(records.Audit):
    """The audit of the measure, with the place of its picture."""

    picture: str


class Results(Sealed):
    """Everything that a profile's page shows."""

    profile: str
    provenance: dict[str, Provenance]
    rows: list[Row]
    claims: list[Claim]
    variants: list[Variant]
    audit: Audit | None
    theory: records.Theory
    figure1: records.Figure1


RESULTS = TypeAdapter(Results)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``results.json``: no key more, and none less but those optional."""
    found = RESULTS.json_schema()
    return {"$schema": GenerateJsonSchema.schema_dialect, **found}
