"""Files that are either whole or absent, their hashes, and reading that is bounded."""

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from paper_repro.core.errors import UserError

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp(\.\w+)?")  # what `replacing` calls its files
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
ASKED_SECONDS = 0.2  # longer than a lock is held by a process that asks who holds it
LARGEST = 1 << 40  # bytes of any file here
LARGEST_TEXT = 1 << 27  # bytes; the longest results have a few million


@contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, in which stands who does, against every process here and elsewhere.

    A `UserError` if another process holds it, which says `busy` with `{holder}` put in, or if the
    file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as lock:
        free = _lock(lock)
        if not free:  # `holder` takes it for an instant to ask
            time.sleep(ASKED_SECONDS)
            free = _lock(lock)
        if not free:
            raise UserError(f"{path.parent}: {busy.format(holder=_holder(lock))}")
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}\n")
        lock.flush()
        yield


def holder(path: Path) -> str | None:
    """Return which other process holds a lock file; None if none does (`UserError` as `held`)."""
    if not path.exists():
        return None
    with path.open("a+", encoding="utf-8") as lock:
        return None if _lock(lock) else _holder(lock)


def _lock(lock: TextIO) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise UserError(
            f"{lock.name}: this file system has no locks ({error.strerror}); put the repository "
            "where there are some, such as Lustre mounted with flock"
        ) from None
    return True


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    return lock.read().strip() or "another process"


def sweep(folder: Path) -> None:
    """Delete the temporary files that killed processes left in a folder; the living lock theirs."""
    for path in folder.glob(".*.tmp*"):
        if TEMPORARY.fullmatch(path.name):
            with contextlib.suppress(OSError), path.open("rb+") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path`, locked as long as it is written, and then remove it."""
    while True:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=f".tmp{path.suffix}"
        )
        try:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not os.fstat(handle).st_nlink:  # swept before it was locked
                continue
            try:
                yield Path(name)
            finally:
                Path(name).unlink(missing_ok=True)
            return
        finally:
            os.close(handle)


@contextmanager
def replacing(path: Path, size: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and takes its place.

    The folder is created; what killed processes left in it is swept. A `UserError` if the file
    can't be written (a full disk, which tells of `size`; no permission; a folder of that name):
    then `path` is as it was.
    """
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with _temporary(path) as temporary:
            try:
                yield temporary
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
            finally:
                written = temporary.stat().st_size
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; these are ordinary ones
            os.replace(temporary, path)
    except OSError as error:
        raise UserError(_why_not_written(path, error, size, written)) from None


def _why_not_written(path: Path, error: OSError, size: int | None, written: int) -> str:
    reason = f"{path}: can't be written: {error.strerror or error}"
    if error.errno not in NO_ROOM and error.errno is not None:  # numpy's have none
        return f"{reason}; correct that and run the same command again"
    needed = f"{size:,} bytes" if size is not None else f"more than {written:,} bytes"
    free = shutil.disk_usage(next(folder for folder in path.parents if folder.is_dir())).free
    return (
        f"{reason}: it needs {needed} and {free:,} are free; what was there before is as it was; "
        "make room and run the same command again"
    )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing (`UserError` as `replacing`)."""
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file or nothing (`UserError` as `replacing`)."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON with finite numbers only, in the order given, ending in a newline."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextmanager
def open_regular(path: Path | str, largest: int = LARGEST) -> Iterator[io.BufferedReader]:
    """Open a file of at most `largest` bytes for reading.

    A `FileNotFoundError` if there is none, a `UserError` if it is larger, unreadable or no regular
    file: a pipe would block.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path}: a folder, a pipe or a device; put the file itself there")
        if found.st_size > largest:
            raise UserError(f"{path}: more than {largest:,} bytes; not the file expected")
        stream = open(path, "rb")  # noqa: SIM115 (closed below; errors of its use are not ours)
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror or error}") from None
    with stream:
        yield stream


def read_bytes(path: Path, largest: int = LARGEST_TEXT) -> bytes:
    """Return a file's bytes (errors as `open_regular`)."""
    with open_regular(path, largest) as stream:
        return stream.read()


def read_text(path: Path) -> str:
    """Return a UTF-8 text (errors as `open_regular`; also a `UserError` if it is none)."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error}); restore it") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def read_json(path: Path, again: str = "dvc repro") -> Any:
    """Read a JSON file that an earlier stage wrote; `again` is the command that makes it.

    A `UserError` if the file is absent or is no JSON.
    """
    try:
        return json.loads(read_text(path), parse_constant=_no_number)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `{again}` to make it") from None
    except (ValueError, RecursionError) as error:  # of JSON, or a number of too many digits
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def sha256_bytes(content: bytes | memoryview) -> str:
    """Return the hexadecimal SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes (errors as `open_regular`)."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Return the SHA-256 of a JSON-like value, whatever the order of its keys."""
    return sha256_bytes(json.dumps(content, sort_keys=True, allow_nan=False).encode())
