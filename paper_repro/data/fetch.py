"""Stage ``fetch``: bring the data sets' files to ``data/raw``, or record that they can't be had.

The stage runs at every repro and keeps what is there. Places in order: the user's own copies in
``data/incoming``; the folder or address in ``PAPER_REPRO_MIRROR``; public hosts; a package of the
npm registry. Whatever form a data set comes in, the same files are kept of it. A form counts only
if its bytes are those whose hash was published, or pass the check in the catalogue.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_bytes, sha256_file, write_bytes, write_json
from paper_repro.data import stand_in
from paper_repro.data.catalogue import SOURCES, Form, Source
from paper_repro.data.places import (
    INCOMING,
    VARIABLES,
    Missing,
    Place,
    Unavailable,
    hosts,
    npm_package,
    own_copies,
    tell,
    user_mirror,
)
from paper_repro.data.raw import intact
from paper_repro.data.settings import RAW
from paper_repro.pipeline.run_list import require_current_lists

PREFIX = "PAPER_REPRO_"  # of all our variables


def _places(source: Source, mirrored: bool) -> Iterator[Place]:
    """Yield the places that may have a data set, each asked only when its turn comes."""
    yield own_copies(source)
    mirror = user_mirror(source) if mirrored else None
    if mirror:
        yield mirror
    yield from hosts(source)
    if source.npm_package:
        yield npm_package(source)


def _look(
    source: Source, place: Place, wanted: set[str]
) -> tuple[dict[str, bytes], list[UserError]]:
    """Return those of the wanted files that a place has, and why others there can't be taken.

    On the disk every form is looked at, so that a damaged or partial one is named even where
    another serves. A `UserError` if a place that the user named has a damaged form and nothing in
    its stead.
    """
    found: dict[str, bytes] = {}
    damaged: list[tuple[Form, UserError]] = []
    there: set[str] = set()  # the folders of the forms that are there
    absent: dict[str, tuple[Form, str]] = {}  # the reason, by name
    for name, form in place.forms:
        serves = not wanted.isdisjoint(set(form.gives) - found.keys())
        if not serves and not place.local:
            continue
        where = f"{place.name}{name}"
        try:
            content = place.read(name, form)
            if problem := source.problem(form.published, content, where):
                raise UserError(f"{where}: {problem}")
            if serves:
                files = form.files(content)
                found |= {file: files[file] for file in wanted & files.keys()}
                print(f"fetch: {where}")
        except Missing as error:
            absent[name] = form, str(error)
            continue
        except Unavailable as error:
            tell(f"{source.name}: {error}")
            return found, []  # its time-outs count once
        except UserError as error:
            damaged.append((form, error))
        there.add(os.path.dirname(name))
    for name, (form, reason) in absent.items():
        if os.path.dirname(form.path) and os.path.dirname(name) in there:
            tell(f"{source.name}: {place.name}{name}: {reason}, beside others of its kind")
    if not there and absent and not place.silent:
        name, (_, reason) = next(iter(absent.items()))
        tell(f"{source.name}: {place.name}{name}: {reason}, nor another form of it")
    lost = [error for form, error in damaged if not found.keys() >= wanted & set(form.gives)]
    fatal = lost[0] if lost and place.advice else None
    for _, refused in damaged:
        if refused is not fatal:
            tell(f"{source.name}: {refused}")
    if fatal:
        raise UserError(f"{fatal}{place.advice}")
    return found, lost


def _bring(source: Source, wanted: set[str], places: Iterator[Place]) -> dict[str, bytes]:
    """Return the wanted files, all of them; nothing if no place has any.

    A `UserError` as `_look`, or if there are only some, or only bad ones.
    """
    found: dict[str, bytes] = {}
    refused: list[UserError] = []
    while found.keys() != wanted and (place := next(places, None)):
        more, bad = _look(source, place, wanted - found.keys())
        found |= more
        refused += bad
    if missing := sorted(wanted - found.keys()):
        if refused:
            raise refused[0]
        if found:
            lacking = f"{source.title}: incomplete: no source has {', '.join(missing)}"
            raise UserError(f"{lacking}; {source.todo}")
    return found


def _fetch_official(source: Source, mirrored: bool) -> None:
    """Bring a data set's own files and write their ``status.json``.

    A `UserError` as `_bring`, or if a damaged file has no replacement.
    """
    folder = RAW / source.name
    kept = intact(source, folder)
    if not source.canonical:  # another copy of the user's replaces the one that was taken
        copies = [INCOMING / name for name, _ in own_copies(source).forms]
        if any(path.exists() and sha256_file(path) not in kept.values() for path in copies):
            kept = {}
    wanted = source.files.keys() - kept.keys()
    brought = _bring(source, wanted, _places(source, mirrored))
    record: dict[str, Any] = {"dataset": source.name}
    if wanted != brought.keys():
        if damaged := [path for name in sorted(wanted) if (path := folder / name).exists()]:
            raise UserError(
                f"{damaged[0]}: damaged, and no source has it; delete it, or {source.todo}"
            )
        reason = f"{source.title} could not be obtained from any source"
        record |= {"status": "not run", "reason": reason, "todo": source.todo}
        tell(f"{reason}; {source.todo}")
    else:
        for name, content in brought.items():
            write_bytes(folder / name, content)
            kept[name] = sha256_bytes(content)
        record |= {"status": "ok", "canonical": source.canonical, "stand_in": None}
        record["sha256"] = {name: kept[name] for name in source.files}
        kind = "official bytes" if source.canonical else "unverified copy"
        print(f"fetch: {source.title}: {kind}")
    write_json(folder / "status.json", record)


def fetch_sources(sources: Mapping[str, Source]) -> None:
    """Bring the data sets' files to their folders, each with a ``status.json``.

    A `UserError` if a place has a file that is not what it should be and no other has the right
    one, or as `fetch_stand_in`; what lay there before is left alone.
    """
    for name in os.environ:
        if name.startswith(PREFIX) and name not in VARIABLES:
            raise UserError(f"{name}: nothing reads this; there are {', '.join(VARIABLES)}")
    declared = stand_in.declared()
    for source in sources.values():
        # What the mirror has of a data set that something stands in for is that.
        _fetch_official(source, mirrored=source.name not in declared)
    for source in sources.values():
        if source.stand_in:
            stand_in.fetch_stand_in(source, declared.get(source.name))


def fetch() -> None:
    """Fetch every data set of the catalogue (`UserError` as `fetch_sources`)."""
    require_current_lists()  # here, where every repro begins
    fetch_sources(SOURCES)
