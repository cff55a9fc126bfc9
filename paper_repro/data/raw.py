"""The files of a data set as ``data/raw`` and ``data/stand-in`` keep them."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_file
from paper_repro.core.records import Closed, read_record
from paper_repro.data.catalogue import Source


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


STATUS: TypeAdapter[Fetched | NotFetched] = TypeAdapter(
    Annotated[Fetched | NotFetched, Field(discriminator="status")]
)


def earlier(folder: Path) -> Fetched | None:
    """Return what an earlier fetch recorded of files that it had (`UserError` if damaged)."""
    path = folder / "status.json"
    record = read_record(path, STATUS, in_git=False) if path.exists() else None
    return record if record and record["status"] == "ok" else None


def hashes(source: Source, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that are there, by name."""
    found = {}
    for name in source.files:
        with suppress(FileNotFoundError, UserError):
            found[name] = sha256_file(folder / name)
    return found


def intact(source: Source, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that are there and as they should be, by name.

    What is as it came was checked then; else, as where ``status.json`` is gone, it is checked now.
    """
    known = earlier(folder)
    recorded = known["sha256"] if known else {}

    def good(name: str, sha256: str) -> bool:
        if sha256 == recorded.get(name):
            return True
        path = folder / name
        with suppress(UserError):
            return not source.problem(source.files[name], path.read_bytes(), str(path))
        return False

    return {name: sha256 for name, sha256 in hashes(source, folder).items() if good(name, sha256)}
