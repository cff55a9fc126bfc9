"""What ``results.json`` holds, its JSON Schema, and what the report's code works with.

Numbers and enumerations; how they are shown is the pages' business. Nothing here depends on when or
on what machine something was made: that is in the folder ``circumstances``. Log-likelihoods and
distances between them are in nats.
"""

import json
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from paper_repro.core.errors import UserError
from paper_repro.core.params import read_params
from paper_repro.core.records import DataRecord, read_record
from paper_repro.core.runs import repro, runs
from paper_repro.diagnostics.parzen_audit import Audit
from paper_repro.diagnostics.sample_sets import GRIDS, PROTOCOL_GRIDS
from paper_repro.figures.figure1 import Figure1
from paper_repro.figures.mixing import Mixing
from paper_repro.pipeline.presentation import report_stage

M = TypeVar("M", bound=BaseModel)
Answer = Literal["reproduced", "not reproduced", "inconclusive"]
Unanswered = Literal["not run", "diverged", "not comparable", "exploration", "interim"]
Status = Literal["ok", "not run", "diverged"]


class Closed(BaseModel):
    """No key but those named, and each of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


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


class Estimate(Closed):
    """A Parzen estimate; the error is over test images."""

    sigma: float
    test_mean: float
    test_se: float


class Fold(Estimate):
    """The estimate on one fold of TFD."""

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
    without published weights. `thinned` is of Markov chains only, whose other numbers are of
    consecutive steps of one chain. `number` is what is judged: the mean over sets of samples of a
    run that a protocol names, else `test_mean`. `recipe_sha256` is a hash of the recipe, device
    left out, and of the data.
    """

    run: str
    seed: int
    epochs: int
    updates: int
    best_epoch: int
    selected: Literal["best", "last"]
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
    thinned: Estimate | None
    recipe_sha256: str
    weights_sha256: str | None
    sets: Sets | None
    number: float


class Verdict(Closed):
    """What is said of a number by the rule that the page prints.

    `distance` is ours minus the paper's, `interval` its 90 % interval. `finished` seeds are trained
    or have diverged.
    """

    kind: (
        Answer | Unanswered | Literal["no published number", "adapted recipe", "documented recipe"]
    )
    distance: float | None = None
    interval: tuple[float, float] | None = None
    finished: int = 0

    @property
    def answer(self) -> Answer | None:
        """The answer; None where there is no verdict."""
        return self.kind if self.kind in get_args(Answer) else None  # type: ignore[return-value]


class Alternative(Closed):
    """What another grid of σ would make of the verdict; `mean` is over seeds."""

    grid: str
    mean: float
    interval: tuple[float, float] | None
    answer: Answer | None


class Failed(Closed):
    """A listed run without a result: it was not run, or it diverged."""

    run: str
    status: Status
    reason: str
    todo: str


class Row(Closed):
    """One experiment. `mean` and `seed_sd` are over seeds.

    The mean is that of the seeds' `number`, of a model that is sampled by a Markov chain over the
    runs with published weights: each by its mean over chains, whose standard deviation within a run
    is `chain_sd`. `alternatives` has what other grids of σ would make of
    it, if all seeds were measured by them. `margin` is that of the rule. `other_model` is the name
    in Table 1 of a model that is not the paper's own; `thinned_…` are those of a Markov chain, and
    `near_start` says that chains from training images and from noise did not agree within the steps
    that are left out, so that thinned samples partly are where they started.
    `length` is how many epochs the released script has, if ours has fewer.
    """

    experiment: str
    dataset: str
    status: Status
    stand_in: str | None = None
    comparable: bool = False
    changed: list[str] = []
    paper: Published | None = None
    failed: list[Failed] = []
    seeds: list[Seed] = []
    mean: float | None = None
    seed_sd: float | None = None
    margin: float | None = None
    other_model: str | None = None
    chain_sd: float | None = None
    thinned_mean: float | None = None
    thinned_sd: float | None = None
    near_start: bool = False
    length: int | None = None
    verdict: Verdict
    alternatives: list[Alternative] = []

    @property
    def data(self) -> str:
        """The data that its runs saw: the data set, or what stood in for it."""
        return self.stand_in or self.dataset

    @property
    def counted(self) -> list[Seed]:
        """The seeds behind the mean: of a Markov chain's, those of which several were run."""
        chained = [seed for seed in self.seeds if self.other_model and seed.sets]
        return chained or self.seeds

    @property
    def by_grid(self) -> dict[str, list[float]]:
        """For each grid of σ that all measured seeds have, their means over sets of samples."""
        sets = [seed.sets.grids for seed in self.seeds if seed.sets]
        return {
            grid: [one[grid]["first_images"] for one in sets]
            for grid in (sets or [{}])[0]
            if all(grid in one for one in sets)
        }

    @property
    def opposite(self) -> list[str]:
        """The grids of σ, among those that the protocol names, by which the answer would turn."""
        turned = {"reproduced": "not reproduced", "not reproduced": "reproduced"}
        said = turned.get(self.verdict.kind)
        named = [other for other in self.alternatives if other.grid in PROTOCOL_GRIDS]
        return [GRIDS[other.grid].short for other in named if said and other.answer == said]

    @property
    def listed(self) -> bool:
        """Whether its profile has a run of it, with a result or without."""
        return bool(self.seeds) or any(failed.run for failed in self.failed)


class Claim(Closed):
    """A statement of the paper, or a question of ours, as measured; its text is in claims.yaml.

    `file` is where the numbers are from, seen from the report's folder.
    """

    id: str
    verdict: (
        Answer
        | Unanswered
        | Literal["holds", "does not hold", "undecided", "too few seeds", "not measured"]
    )
    values: dict[str, float | int | None] = {}
    file: str = "results.json"


class Against(Closed):
    """A variant's run against its original of the same seed, by the last epochs of both."""

    run: str
    epoch: int
    valid_mean: float
    original_valid_mean: float

    @property
    def difference(self) -> float:
        """The run's minus the original's."""
        return self.valid_mean - self.original_valid_mean


class Variant(Closed):
    """An experiment that is another one with something changed, against that one.

    `difference` is the mean over seeds, `interval` Student's 95 %.
    """

    experiment: str
    changed: list[str]
    seeds: list[Against]
    difference: float
    interval: tuple[float, float] | None


class Mixes(Closed):
    """How the samples of a run follow each other; what that costs, if it was timed.

    `seconds_a_step` is for one chain and for many together, by their number.
    """

    run: str
    experiment: str
    measured: Mixing
    seconds_a_step: dict[str, float]


class Inputs(Closed):
    """What a run was made from: its data and its full recipe."""

    data: DataRecord
    parameters: dict[str, Any]


class ReleasedRun(Closed):
    """A run of the release; `seconds` of training in all.

    `spread`, if it was measured, is where its number may lie on another machine.
    """

    run: str
    experiment: str
    number: float
    test_se: float
    epochs: int
    recipe_sha256: str
    device: str
    threads: int
    torch: str
    commit: str | None
    seconds: float
    spread: tuple[float, float] | None = None


class Release(Closed):
    """What was published: the package's version and commit, and its runs."""

    version: str
    commit: str | None
    runs: list[ReleasedRun]
    content_sha256: str | None = None


Kind = Literal[
    "same",
    "within the spread",
    "outside the spread",
    "another number",
    "no counterpart",
    "agrees",
    "differs",
    "undecided",
]


class AgainstRelease(Closed):
    """A run, or the mean over an experiment's, beside the published release's.

    `kind`: a run of the same seed and recipe gave the same number or another one, within the spread
    of reruns or not, or has none to compare with; a mean agrees, differs, or neither can be said.
    """

    name: str
    ours: float
    released: float | None
    kind: Kind
    difference: float | None = None
    interval: tuple[float, float] | None = None


class Results(Closed):
    """Everything that a profile's page shows, but for its pictures."""

    profile: str
    inputs: dict[str, Inputs]
    rows: list[Row]
    claims: list[Claim]
    variants: list[Variant]
    against_release: list[AgainstRelease]
    mixing: list[Mixes]
    audit: Audit | None
    figure1: Figure1 | None
    content_sha256: str | None = None

    @property
    def own(self) -> list[Row]:
        """The rows of the paper's own experiments that it gives a number for."""
        return [row for row in self.rows if row.paper and not row.other_model]

    @property
    def seeds(self) -> list[tuple[Row, Seed]]:
        """Every run with the row that it belongs to."""
        return [(row, seed) for row in self.rows for seed in row.seeds]

    def row(self, experiment: str) -> Row | None:
        """Return an experiment's row, if the profile has one."""
        return next((row for row in self.rows if row.experiment == experiment), None)


def results_path(profile: str) -> Path:
    """Return where a profile's results lie."""
    return Path("reports", profile, "results.json")


def read_model(path: Path, model: type[M], again: str = "dvc repro") -> M:
    """Return a sealed record as one of the models here (arguments and errors of `read_record`)."""
    return model.model_validate_json(json.dumps(read_record(path, TypeAdapter(model), again)))


def read_results(profile: str) -> Results:
    """Return a profile's results from their file (`UserError` as `read_record`)."""
    return read_model(results_path(profile), Results)


def read_listed_results(profile: str) -> Results:
    """Return `read_results` (a `UserError`, too, if they have runs that are listed no more)."""
    results = read_results(profile)
    if unlisted := results.inputs.keys() - runs(read_params(profile)).keys():
        raise UserError(
            f"{results_path(profile)}: has {', '.join(sorted(unlisted))}, listed no more; run "
            f"`{repro(profile, report_stage(profile))}`"
        )
    return results


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``results.json``."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **Results.model_json_schema()}
