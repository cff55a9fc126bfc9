"""When, for how long and on what code and machine a stage made a run's results.

A rerun can't reproduce these, and no number depends on them. They lie apart from the records, in
``reports/<profile>/circumstances/<run>/<stage>.json``: in git, but no output and no dependency of
any stage. So a rerun that reproduces every number changes nothing but these files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import Field, TypeAdapter

from paper_repro.core.records import Closed, Sealed, read_record, write_record
from paper_repro.core.runs import Run, repro

C = TypeVar("C")


class Commit(Closed):
    """The commit that code was run from; `git` says why there is none."""

    commit: str | None
    uncommitted_changes: bool | None
    git: NotRequired[str]


class Gpu(Closed):
    """What decides a GPU's numbers and speed besides its name."""

    products: Literal["float32", "rounded"]  # of float32 matrices, as tried on it
    driver: str | None
    cuda: str | None  # that torch was built for
    multiprocessors: int
    mig: bool  # whether it is a slice of one
    mps: bool  # whether processes share it by MPS


class Environment(Commit):
    """On what code and machine something was made."""

    code_sha256: str
    versions: dict[str, str]
    device: str
    threads: int
    cores: int | None
    float32_products: NotRequired[str]  # on the CPU; older ones have none
    instructions: NotRequired[str]  # vector instructions of the CPU, likewise
    gpu: NotRequired[Gpu]  # where there is one; older ones have none


class Start(Environment):
    """One start of training, until it ended or was interrupted."""

    from_update: int
    started: str  # ISO 8601, UTC
    seconds: float
    peak_memory_bytes: NotRequired[int]  # older ones have none


class Training(Sealed):
    """``train.json``: every start, and the seconds of all together."""

    seconds: float
    starts: Annotated[list[Start], Field(min_length=1)]


class Measurement(Sealed, Environment):
    """The file of a stage that measures a trained run."""

    seconds: NotRequired[float]  # some older ones have none


TRAINING, MEASUREMENT = TypeAdapter(Training), TypeAdapter(Measurement)


def circumstances_path(run: Run, stage: str) -> Path:
    """Return where the circumstances of a run's stage lie."""
    return Path("reports", run.profile, "circumstances", run.key, f"{stage}.json")


def write_circumstances(run: Run, stage: str, content: Mapping[str, Any] | None) -> None:
    """Write a stage's circumstances, before its results; None removes those of earlier results.

    Before, so that a stage that is killed leaves no new results with old circumstances.
    """
    path = circumstances_path(run, stage)
    if content is None:
        path.unlink(missing_ok=True)
    else:
        write_record(path, content)


def read_circumstances(run: Run, stage: str, kind: TypeAdapter[C]) -> C | None:
    """Return a stage's circumstances; None if none are recorded (`UserError` if damaged)."""
    path, again = circumstances_path(run, stage), repro(run.profile, f"{stage}@{run.key}")
    return read_record(path, kind, again) if path.exists() else None


def measured_by(run: Run) -> list[str]:
    """Return the stages that measured a run and recorded it."""
    folder = circumstances_path(run, "train").parent
    return sorted(path.stem for path in folder.glob("[!.]*.json") if path.stem != "train")
