"""The numbers of the published release, and whether a rerun agrees with them.

``release.json`` says what was published: each run's number, the machine and the time. A rerun has
other seeds or another machine; the report then sets the two beside each other.
"""

import statistics
from pathlib import Path
from typing import Any

from paper_repro.core.circumstances import TRAINING, read_circumstances
from paper_repro.core.files import write_json
from paper_repro.core.params import profiles, read_params
from paper_repro.core.provenance import commit
from paper_repro.core.records import write_record
from paper_repro.core.runs import runs
from paper_repro.pipeline.presentation import ABLATIONS
from paper_repro.report.citation import read_citation
from paper_repro.report.crate import crate
from paper_repro.report.published import PAPER, margin
from paper_repro.report.results import (
    AgainstRelease,
    Kind,
    Release,
    ReleasedRun,
    Results,
    Row,
    Seed,
    read_listed_results,
    read_model,
    results_path,
)
from paper_repro.report.verdict import answer, welch_interval

CRATE = "ro-crate-metadata.json"
SAME = 0.05  # nats; machines round differently
KINDS = {"reproduced": "agrees", "not reproduced": "differs", "inconclusive": "undecided"}


def release_path(profile: str) -> Path:
    """Return where a profile's release is described."""
    return Path("reports", profile, "release.json")


def read_release(profile: str) -> Release | None:
    """Return a profile's release; None if nothing was published (`UserError` if it is damaged)."""
    path = release_path(profile)
    if not path.exists():
        return None
    found = read_model(path, Release, "paper_repro release")
    return found if found.runs else None


def described(results: Results) -> Release:
    """Return what a release of some results says of them."""
    listed, found = runs(read_params(results.profile)), []
    names = {"run", "number", "test_se", "epochs", "recipe_sha256"}
    for row, seed in results.seeds:
        made: dict[str, Any] = {"device": "not recorded", "threads": 0, "torch": "not recorded"}
        made |= {"commit": None, "seconds": 0.0}
        if trained := read_circumstances(listed[seed.run], "train", TRAINING):
            last = trained["starts"][-1]
            made = {name: last[name] for name in ("device", "threads", "commit")}
            made |= {"torch": last["versions"]["torch"], "seconds": trained["seconds"]}
        told = seed.model_dump(include=names)
        found.append(ReleasedRun(experiment=row.experiment, **told, **made))
    return Release(version=read_citation()["version"], commit=commit()["commit"], runs=found)


def release() -> None:
    """Record every report's results as the published release, and describe its folder.

    Writes ``release.json`` and, of all files there, ``ro-crate-metadata.json`` (`UserError` as
    `read_listed_results`).
    """
    for profile in profiles():
        published = read_release(profile)
        measured = published and any(run.spread for run in published.runs)  # by tests/spread.py
        if profile == ABLATIONS or measured or not results_path(profile).is_file():
            continue
        results, path = read_listed_results(profile), release_path(profile)
        write_record(path, described(results).model_dump())
        present = (found for found in sorted(path.parent.rglob("[!.]*")) if found.is_file())
        files = [found for found in present if found.name != CRATE]
        write_json(path.with_name(CRATE), crate(results, path.parent, files))
        print(f"release: {path}")


def against_release(profile: str, rows: list[Row]) -> list[AgainstRelease]:
    """Return what `compared` does; nothing if all of it is the release itself."""
    lines, published = compared(profile, rows), read_release(profile)
    complete = published and {run.run for run in published.runs} <= {line.name for line in lines}
    return [] if complete and all(line.kind == "same" for line in lines) else lines


def compared(profile: str, rows: list[Row]) -> list[AgainstRelease]:
    """Return each run, and each experiment's mean over several, beside the release's.

    A run is the same if seed, recipe and data are and the number differs by less than `SAME` nats;
    else it is within the spread of the release's own reruns or not, if that is known. A mean is
    compared with that of the release's runs by the same recipe, on the same data. It is the same if
    it is of the same runs. Else it agrees if Welch's 90 % interval of the difference lies within
    the margin of the rule for numbers, differs if it lies outside, and is undecided else.
    """
    published = read_release(profile)
    if published is None:
        return []
    lines: list[AgainstRelease] = []
    for row in rows:
        recipes = {seed.recipe_sha256 for seed in row.seeds}
        theirs = {
            run.run: run
            for run in published.runs
            if run.experiment == row.experiment and run.recipe_sha256 in recipes
        }
        found = [_run(seed, theirs.get(seed.run)) for seed in row.seeds]
        lines += found
        counted = {seed.run for seed in row.counted}
        if len(counted) < len(row.seeds):  # the mean is over the runs of ten chains
            theirs = {name: run for name, run in theirs.items() if name in counted}
        if row.mean is not None and theirs and len(theirs.keys() | counted) > 1:
            kinds = [line.kind for line in found if line.name in counted]
            same = kinds == ["same"] * len(theirs)
            numbers = [run.number for run in theirs.values()]
            lines.append(_mean(row, row.mean, numbers, same=same))
    return lines


def _run(seed: Seed, theirs: ReleasedRun | None) -> AgainstRelease:
    """Return a run beside the release's of the same name and recipe."""
    if theirs is None:
        return AgainstRelease(name=seed.run, ours=seed.number, released=None, kind="no counterpart")
    distance = seed.number - theirs.number
    kind: Kind = "same" if abs(distance) < SAME else "another number"
    if kind != "same" and theirs.spread is not None:
        low, high = theirs.spread
        kind = "within the spread" if low <= seed.number <= high else "outside the spread"
    return AgainstRelease(
        name=seed.run, ours=seed.number, released=theirs.number, kind=kind, difference=distance
    )


def _mean(row: Row, mean: float, released: list[float], *, same: bool) -> AgainstRelease:
    """Return an experiment's mean beside that of the release's runs, maybe of the same ones."""
    interval, kind = None, "same" if same else "undecided"
    if not same:
        interval = welch_interval([seed.number for seed in row.counted], released)
    if interval and row.experiment in PAPER:
        kind = KINDS[answer(interval, margin(row.experiment))]
    theirs = statistics.fmean(released)
    return AgainstRelease(
        name=row.experiment,
        ours=mean,
        released=theirs,
        kind=kind,  # type: ignore[arg-type]
        difference=mean - theirs,
        interval=interval,
    )
