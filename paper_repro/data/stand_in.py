"""What ``PAPER_REPRO_STAND_IN`` declares, by name, to stand in for a data set.

It comes from ``PAPER_REPRO_MIRROR`` and goes to ``data/stand-in``, a folder of its own: only a
profile that asks for stand-ins sees it.
"""

import os
from typing import Any

from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_bytes, write_bytes, write_json
from paper_repro.data.catalogue import SOURCES, Source
from paper_repro.data.places import MIRROR, STAND_IN, Missing, Unavailable, user_mirror
from paper_repro.data.raw import earlier, hashes
from paper_repro.data.settings import STAND_INS

LONGEST_TITLE = 80  # characters of a stand-in's name
MARKUP = set("<>|`")  # would end up in tables and pages


def declared() -> dict[str, str]:
    """Return what the user declares to stand in for data sets, by data set.

    A `UserError` if no profile can replace a data set, or a name is no plain text.
    """
    found = {}
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
        found[dataset] = title
    return found


def _take(source: Source, stand_in: str) -> dict[str, str]:
    """Bring a stand-in's file from the user's mirror; return its hash by its name."""
    (file,) = source.files
    mirror = user_mirror(source)
    if mirror is None:
        raise UserError(
            f"{STAND_INS / source.name}: {file} is not there as the stand-in {stand_in!r}; "
            f"set {MIRROR} to where it is, or unset {STAND_IN} and delete the folder"
        )
    for name, form in mirror.forms:
        where = f"{mirror.name}{name}"
        try:
            content = mirror.read(name, form)
        except Missing:
            continue
        except Unavailable as error:
            raise UserError(f"{MIRROR}: the stand-in {stand_in!r}: {error}") from None
        if source.check(content, where) is None:
            raise UserError(
                f"{STAND_IN}: {source.name}: {where} is {source.title} itself and not {stand_in}; "
                f"take it out of {STAND_IN}"
            )
        write_bytes(STAND_INS / source.name / file, content)
        print(f"fetch: stand-in {where}")
        return {file: sha256_bytes(content)}
    names = " or ".join(name for name, _ in mirror.forms)
    raise UserError(f"{MIRROR}: the stand-in {stand_in!r}: {mirror.name}: no {names}")


def fetch_stand_in(source: Source, now: str | None) -> None:
    """Bring what the user declares now to stand in for a data set, and write its ``status.json``.

    A `UserError` if it is not whole, not of the format, or the data set itself; what lay there
    before is left alone.
    """
    folder = STAND_INS / source.name
    known, found = earlier(folder), hashes(source, folder)
    before = known["stand_in"] if known else None
    stand_in = now or before
    record: dict[str, Any] = {"dataset": source.name}
    if stand_in:
        if not known or found != known["sha256"] or stand_in != before:
            found = _take(source, stand_in)
        record |= {"status": "ok", "canonical": False, "stand_in": stand_in, "sha256": found}
        print(f"fetch: {source.title}: stand-in: {stand_in}")
    else:
        record |= {
            "status": "not run",
            "reason": f"no stand-in for {source.title} is declared",
            "todo": f"set {MIRROR} and {STAND_IN} as data/README.md says, and run again",
        }
    write_json(folder / "status.json", record)
