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
from paper_repro.core.files import (
    digest,
    read_bytes,
    read_json,
    sha256_bytes,
    sha256_file,
    write_json,
)
from paper_repro.core.runs import Run, model_path, repro

SEAL, FILES = "content_sha256", "files"
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

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


class _OfRun(Sealed):
    """What records hold of the run that they are of: as `paper_repro.core.runs.Run`."""

    profile: str
    experiment: str
    dataset: str
    seed: int
    start: str
    stacked_on: NotRequired[dict[str, str]]


class NotRun(_OfRun):
    """What stands in the place of any record of a run that has no result."""

    status: Literal["not run", "diverged"]
    reason: str
    todo: str
    data: NotRequired[DataRecord]
    experiment_parameters: NotRequired[dict[str, Any]]


class Trained(_OfRun):
    """``training.json`` of a run that has a model."""

    status: Literal["ok"]
    data: DataRecord
    epochs: int
    updates: int
    selected: Literal["best", "last"]
    best_epoch: int
    experiment_parameters: dict[str, Any]
    validation: NotRequired[dict[str, int | float]]  # the last row of validation.csv
    parameters: dict[str, int]  # by network
    model_sha256: NotRequired[str]


def or_not_run(kind: type[R]) -> TypeAdapter[R | NotRun]:
    """Return what reads a stage's record, or in its place why there is none."""
    form: Any = Annotated[kind | NotRun, Field(discriminator="status")]
    return TypeAdapter(form)


TRAINING = or_not_run(Trained)
DATASET = TypeAdapter(DataRecord)


def write_record(path: Path, content: Mapping[str, Any], *beside: Path) -> None:
    """Write a record with its seal; last of a stage's files, since it names those beside it."""
    sealed = {name: value for name, value in content.items() if name not in (SEAL, FILES)}
    if beside:
        sealed[FILES] = {file.name: sha256_file(file) for file in beside}
    write_json(path, sealed | {SEAL: digest(sealed)})


def read_record(
    path: Path, kind: TypeAdapter[R], again: str = "dvc repro", *, in_git: bool = True
) -> R:
    """Return a record as its type says.

    A `UserError` if it is absent or damaged, or a file beside it is not the one that it is of. It
    names `again`, the command that makes it anew, and git, if that may have a copy.
    """
    advice = f"{'restore it with git, or ' if in_git else ''}delete it and run `{again}`"
    content = read_json(path, again)
    try:
        kind.validate_json(json.dumps(content))  # where lists may stand for tuples
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key or 'content'}: {first['msg']}; {advice}") from None
    if in_git and SEAL not in content:
        raise UserError(f"{path}: its checksum is gone; {advice}")
    if SEAL in content:
        if content[SEAL] != digest({k: v for k, v in content.items() if k != SEAL}):
            raise UserError(f"{path}: its content is not what its checksum says; {advice}")
        for name, expected in content.get(FILES, {}).items():
            file = path.with_name(Path(name).name)
            if file.exists() and sha256_file(file) != expected:
                if sha256_bytes(read_bytes(file).replace(b"\r\n", b"\n")) == expected:
                    raise UserError(
                        f"{file}: its line endings were changed; type `git config core.autocrlf "
                        "false`, delete it and restore it with git"
                    )
                raise UserError(f"{file}: not the file that {path} is of; {advice}")
    return cast("R", content)  # as it stands there: order of keys, whole numbers


def read_training(run: Run) -> Trained | NotRun:
    """Return what training recorded of a run (`UserError` as `read_record`)."""
    return read_record(
        run.folder / "training.json", TRAINING, repro(run.profile, f"train@{run.key}")
    )


def require_model(run: Run) -> Path:
    """Return where a run's model is (`UserError` if not the one that its record names)."""
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
