"""What stages record for later ones and for the report: JSON files, typed and sealed.

A record says by a checksum whether it is as it was written, and by others whether the files beside
it are. Records hold what a rerun must reproduce, and `paper_repro.core.circumstances` has the rest:
dates, durations, machines, versions. Log-likelihoods are in nats.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from paper_repro.core.errors import UserError
from paper_repro.core.files import digest, read_json, sha256_file, write_json
from paper_repro.core.runs import Presentation, Run, model_path, repro

SEAL, FILES = "content_sha256", "files"
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
# What the tables of every run begin with; a family of models has columns of its own beside.
CURVE = ("epoch", "updates")
VALIDATION = ("epoch", "valid_nats", "valid_se", "sigma")

R = TypeVar("R")


@with_config(STRICT)
class Closed(TypedDict):
    """No key but those named, and each of its type."""


class Sealed(Closed):
    """A record with its seal: a checksum of the rest, and of files beside it by name."""

    content_sha256: NotRequired[str]
    files: NotRequired[dict[str, str]]


class DataRecord(Closed):
    """``dataset.json``, and what records of runs hold of it: see `paper_repro.core.dataset`."""

    name: str
    status: Literal["ok", "not run"]
    reason: str | None
    todo: str | None
    canonical: bool
    stand_in: str | None
    shape: list[int]
    counts: dict[str, int]
    sha256: dict[str, str]


class Fetched(Closed):
    """``status.json`` of a data set whose files are there."""

    dataset: str
    status: Literal["ok"]
    canonical: bool
    stand_in: str | None
    sha256: dict[str, str]


class NotFetched(Closed):
    """``status.json`` of a data set that could not be had."""

    dataset: str
    status: Literal["not run"]
    reason: str
    todo: str


class NotRun(Sealed):
    """What stands in the place of any record of a run that has no result."""

    profile: str
    experiment: str
    dataset: str
    seed: int
    start: str
    status: Literal["not run", "diverged"]
    reason: str
    todo: str
    data: NotRequired[DataRecord]
    stacked_on: NotRequired[dict[str, str]]
    experiment_parameters: NotRequired[dict[str, Any]]


class Trained(Sealed):
    """``training.json`` of a run that has a model."""

    profile: str
    experiment: str
    dataset: str
    seed: int
    start: str
    status: Literal["ok"]
    data: DataRecord
    stacked_on: NotRequired[dict[str, str]]
    epochs: int
    updates: int
    selected: Literal["best", "last"]
    best_epoch: int
    experiment_parameters: dict[str, Any]
    validation: NotRequired[dict[str, int | float]]  # the last row of validation.csv
    parameters: dict[str, int]  # by network
    model_sha256: NotRequired[str]


class Measured(Closed):
    """The estimate of one set of test images."""

    sigma: float
    valid_mean: float
    test_mean: float
    test_se: float
    test_images: int
    samples: int
    valid_mean_by_sigma: Annotated[dict[str, float], Field(min_length=1)]


class OverFolds(Closed):
    """The mean over folds; the errors are by divisor n − 1 and n."""

    valid_mean: float
    test_mean: float
    test_se: float
    test_se_population: float
    folds: Annotated[list[Measured], Field(min_length=1)]


class Evaluation(Sealed):
    """``evaluation.json`` of a run that has a model.

    `thinned` is a Markov chain's, of the selected epoch, by draws that lie apart.
    """

    status: Literal["ok"]
    selected: Measured | OverFolds
    last: Measured | OverFolds
    thinned: NotRequired[Measured | OverFolds]
    measure: NotRequired[dict[str, Any]]


class Figure2(Sealed):
    """``figure2.json``: the training images nearest to the samples in the fifth column."""

    status: Literal["ok"]
    epoch: int
    nearest_training_index: list[int]
    squared_distance: Annotated[list[float], Field(min_length=1)]


class End(Closed):
    """Where a strip of figure 3 begins or ends."""

    digit: int
    draw: int
    probability: float
    sure: bool


class Figure3(Sealed):
    """``figure3.json``: how its ends were chosen."""

    status: Literal["ok"]
    epoch: int
    rule: str
    draws: int
    sure_from: float
    images_a_segment: int
    strips: list[list[End]]
    classifier: dict[str, int | float]


class Memorisation(Closed):
    """Samples' distances to their nearest training images, beside those of held-out images."""

    samples_median: float
    held_out_median: float
    nearer_probability: float
    p_value: float
    copy_distance: float
    copies: float
    copies_allowed: float


class Interpolation(Closed):
    """Largest steps along lines in z, and by how much finer ones are smaller."""

    lines: int
    steps: dict[str, int]
    coarse: float | None
    fine: float | None
    finest: float | None
    shrinks: float | None
    shrinks_finer: float | None


class SampleChecks(Sealed):
    """``sample_checks.json``."""

    status: Literal["ok"]
    samples: int
    memorisation: Memorisation
    interpolation: Interpolation


class Weights(Sealed):
    """``generator.json``: what is published as ``generator.safetensors``, in half precision."""

    status: Literal["ok"]
    epoch: int
    parameters: int


class OneSet(Closed):
    """The estimate of one set of samples, σ from one grid and chosen on some validation images."""

    sigma: float
    valid_mean: float
    test_mean: float
    test_se: float


class ByImages(Closed):
    """Estimates by the validation images on which σ was chosen."""

    first_images: OneSet  # those of the measure
    all_images: OneSet


SampleSet = dict[str, ByImages]  # by grid of σ; `grids` in diagnostics/sample_sets.py has all
DEFAULT_GRID, FINE_GRID, GSN_GRID = "default", "log_91", "sigma_0.2"
AUTHORS_GRIDS = (DEFAULT_GRID, "log_15", "linear_10")  # that their script has had


class SampleSets(Sealed):
    """``sample_sets.json``: a published generator on several sets of samples."""

    status: Literal["ok"]
    sets: Annotated[list[SampleSet], Field(min_length=1)]
    samples: int
    grids: dict[str, list[float]]
    measure: dict[str, Any]
    data: dict[str, str]


class Efficiency(Closed):
    """What so many draws are worth, by the functional that mixes worst and the one in the middle.

    `time` is the integrated autocorrelation time of the worst, in draws; R̂ is
    the largest, null where chains stand still apart.
    """

    ess_least: float
    ess_median: float
    rhat: float | None
    worst: str
    draws: int
    time: float


class Digits(Closed):
    """How chains move between digits."""

    changes: float  # share of steps at which the digit changes
    dwell: float  # mean length of a stretch of one digit, in draws
    distinct: dict[str, float]  # by window, the mean number of digits within so many draws
    total_variation: float  # of the digits' shares from those of the data


class Estimate(Closed):
    """The Parzen estimate of the test images at the σ best on validation images."""

    sigma: float
    test_mean: float
    test_se: float


class ThinnedBy(Estimate):
    """The estimate of chains' draws that lie so many steps apart."""

    every: int


class Mixing(Sealed):
    """``mixing.json``: how a run's samples follow each other; `autocorrelation` is by lag."""

    status: Literal["ok"]
    epoch: int
    stand_in: str | None
    efficiency: Efficiency
    autocorrelation: dict[str, float]
    digits: Digits
    burn_in: int | None
    thinning: list[ThinnedBy]
    classifier_accuracy: float
    settings: dict[str, Any]


class AuditRow(Estimate):
    """The estimate of `n` samples on the default grid of σ and, as `fine`, on a finer one."""

    samples: str
    n: int
    fine: Estimate


class AuditPoint(Estimate):
    """The estimate of `n` samples of our generator."""

    n: int


class Audit(Sealed):
    """What the measure says of samples that no trained model made, and of more or other samples."""

    status: Literal["ok"]
    run: str
    stand_in: str | None
    rows: list[AuditRow]
    curve: list[AuditPoint]
    draws: list[Estimate]
    sigma_grid: list[float]
    settings: dict[str, Any]


class Check(Closed):
    """A statement of section 4 in numbers: it holds if `value` is within `tolerance`."""

    id: str
    value: float | None
    tolerance: float
    holds: bool


class Theory(Sealed):
    """Section 4 in numbers, with what the curves of its picture show."""

    checks: list[Check]
    family: list[dict[str, Any]]
    descent: list[float]
    settings: dict[str, Any]


class Panel(Closed):
    """One panel of figure 1."""

    panel: str
    discriminator_steps: int
    generator_steps: int
    value: float
    total_variation: float
    deviation_from_optimal_d: float
    deviation_from_half: float
    mean_d_on_data: float
    mean_d_on_samples: float
    mean_of_p_g: float


class Figure1(Sealed):
    """``figure1.json``."""

    panels: Annotated[list[Panel], Field(min_length=1)]
    arrows: dict[str, list[float]]
    support: float
    settings: dict[str, Any]


def _or_not_run(kind: type[R]) -> TypeAdapter[R | NotRun]:
    """Return what reads a stage's record, or in its place why there is none."""
    form: Any = Annotated[kind | NotRun, Field(discriminator="status")]
    return TypeAdapter(form)


TRAINING = _or_not_run(Trained)
EVALUATION = _or_not_run(Evaluation)
FIGURE2 = _or_not_run(Figure2)
FIGURE3 = _or_not_run(Figure3)
SAMPLE_CHECKS = _or_not_run(SampleChecks)
AUDIT = _or_not_run(Audit)
WEIGHTS = _or_not_run(Weights)
SAMPLE_SETS = _or_not_run(SampleSets)
MIXING = _or_not_run(Mixing)
THEORY = TypeAdapter(Theory)
FIGURE1 = TypeAdapter(Figure1)
DATASET = TypeAdapter(DataRecord)
STATUS: TypeAdapter[Fetched | NotFetched] = TypeAdapter(
    Annotated[Fetched | NotFetched, Field(discriminator="status")]
)


def reported(
    shown: Presentation, run: Run, trained: Trained
) -> tuple[Literal["best", "last"], int]:
    """Return of which generator a run's number and its published weights are, and its epoch.

    The last for a run that is judged, as the protocol says; else the one that its recipe selects.
    """
    if shown.judges(run, trained["epochs"]):
        return "last", trained["epochs"]
    return trained["selected"], trained["best_epoch"]


def metrics(training: Trained, evaluation: Evaluation) -> dict[str, Any]:
    """Return what ``metrics.json`` holds for ``dvc metrics``: a few numbers of both records."""

    def short(measured: Measured | OverFolds, *names: str, prefix: str = "") -> dict[str, Any]:
        found = {f"{prefix}{name}": measured[name] for name in names if name in measured}  # type: ignore[literal-required]
        folds = cast("list[Measured]", measured.get("folds", []))
        return found | {
            f"{prefix}fold{index}_test_mean": fold["test_mean"]
            for index, fold in enumerate(folds, 1)
        }

    return {
        "status": "ok",
        **short(evaluation["selected"], "test_mean", "test_se", "valid_mean", "sigma"),
        "best_epoch": training["best_epoch"],
        "epochs": training["epochs"],
        **short(evaluation["last"], "test_mean", "test_se", "sigma", prefix="last_"),
    }


def write_record(path: Path, content: Mapping[str, Any], *beside: Path) -> None:
    """Write a record with its seal; last of a stage's files, since it names the others.

    Parameters
    ----------
    beside : files of the same folder that the record is of.
    """
    sealed = {name: value for name, value in content.items() if name not in (SEAL, FILES)}
    if beside:
        sealed[FILES] = {file.name: sha256_file(file) for file in beside}
    write_json(path, sealed | {SEAL: digest(sealed)})


def read_record(
    path: Path, kind: TypeAdapter[R], again: str = "dvc repro", *, in_git: bool = True
) -> R:
    """Return a record as its type says.

    Parameters
    ----------
    again : the command that makes it anew, for errors.
    in_git : whether git may have a copy.

    Raises
    ------
    UserError
        If it is absent or damaged, or a file beside it is not the one that it is of.
    """
    advice = f"{'restore it with git, or ' if in_git else ''}delete it and run `{again}`"
    content = read_json(path, again)
    try:
        kind.validate_json(json.dumps(content))  # where lists may stand for tuples
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key or 'content'}: {first['msg']}; {advice}") from None
    if SEAL in content:
        if content[SEAL] != digest({k: v for k, v in content.items() if k != SEAL}):
            raise UserError(f"{path}: its content is not what its checksum says; {advice}")
        for name, expected in content.get(FILES, {}).items():
            file = path.with_name(Path(name).name)
            if file.exists() and sha256_file(file) != expected:
                raise UserError(f"{file}: not the file that {path} is of; {advice}")
    return cast("R", content)  # as it stands there: order of keys, whole numbers


def read_training(run: Run) -> Trained | NotRun:
    """Return what training recorded of a run (`UserError` as `read_record`)."""
    return read_record(
        run.folder / "training.json", TRAINING, repro(run.profile, f"train@{run.key}")
    )


def require_model(run: Run) -> Path:
    """Return where a run's model is.

    Raises
    ------
    UserError
        If there is none, or another than its ``training.json`` names, or if that is damaged.
    """
    path, again = model_path(run.key), repro(run.profile, f"train@{run.key}")
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `{again}`")
    expected = read_training(run).get("model_sha256")  # none of runs from before it was recorded
    if expected is not None and sha256_file(path) != expected:
        raise UserError(
            f"{path}: damaged, or not the model that {run.folder / 'training.json'} tells of; "
            f"run `{again}`"
        )
    return path
