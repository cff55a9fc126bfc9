"""Which stages a repro of a target would run, and which runs it would train, as DVC sees it."""

import shlex
from collections import ChainMap
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from paper_repro.core.errors import UserError
from paper_repro.core.runs import Run

ABSENT = ("deleted", "not in cache")


@contextmanager
def _repository() -> Iterator[Repo]:
    """Open DVC's repository (`UserError` for what it finds wrong)."""
    try:
        with Repo() as repo:
            yield repo
    except (DvcException, ValueError) as error:  # the latter of git's files, or not UTF-8
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None


def needed_stages(target: str) -> set[str]:
    """Return the names of a target's stages and of all that they depend on.

    Raises
    ------
    UserError
        If there is no such target, or the pipeline can't be read.
    """
    if not target:  # to DVC, all
        raise UserError("the target is empty; name one as for `dvc repro`, such as report@paper")
    with _repository() as repo:
        return {
            stage.addressing.rpartition(":")[2]
            for stage in repo.stage.collect(target, with_deps=True)
        }


def changed_stages(target: str) -> dict[str, bool]:
    """Return those of `needed_stages` that DVC would run, but for those always run.

    Of each, whether it is for new parameters; else for files, which may only be absent.
    """
    return {
        stage.rpartition(":")[2]: any(isinstance(how, dict) for how in dependencies.values())
        for stage, (dependencies, _) in _status(target).items()
    }


def released(target: str = "dvc.yaml") -> None:
    """See that `dvc repro --allow-missing` will keep the released results.

    DVC would make a file that was changed anew, and train for hours, or fail, where the model or
    the data that it was made from are absent.

    Raises
    ------
    UserError
        Names files that are not what DVC's lock says, and can be restored only by git.
    """
    lost = [
        path
        for dependencies, outputs in _status(target).values()
        if any(how in ABSENT for how in (*dependencies.values(), *outputs.values()))
        for path, how in outputs.items()
        if how == "modified"
    ]
    if lost:
        raise UserError(
            f"{', '.join(lost)}: changed, and what it was made from is not here; restore it with "
            f"`git checkout {shlex.join(lost)}`"
        )


def _status(target: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return what changed of the stages that DVC would run: dependencies, outputs.

    Of a file DVC tells in a word how; of a file of parameters, by their names.
    """
    with _repository() as repo:
        status: dict[str, Any] = repo.status(targets=[target], with_deps=True)
    found = {}
    for stage, changes in status.items():
        if changes != ["always changed"]:
            told = ChainMap(*(change for change in changes if isinstance(change, dict)))
            found[stage] = told.get("changed deps", {}), told.get("changed outs", {})
    return found


def starts_from(run: Run, others: Iterable[Run]) -> bool:
    """Return whether a run starts from the model of one of the others."""
    return run.stacked_on is not None and run.stacked_on.stem in {other.key for other in others}


def trainings(listed: Iterable[Run], changed: Container[str]) -> list[Run]:
    """Return those of some runs that a repro trains, given the stages that DVC would run."""
    listed = list(listed)
    stale = [
        run
        for run in listed
        if f"train@{run.key}" in changed or f"prepare@{run.profile}-{run.dataset}" in changed
    ]
    return [run for run in listed if run in stale or starts_from(run, stale)]
