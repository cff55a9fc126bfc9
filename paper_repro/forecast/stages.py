"""Which stages a repro of a target would run, and which runs it would train, as DVC sees it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from paper_repro.core.errors import UserError
from paper_repro.core.runs import Run


@contextmanager
def _repository() -> Iterator[Repo]:
    """Open DVC's repository (`UserError` for what it finds wrong)."""
    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None


def needed_stages(target: str) -> set[str]:
    """Return the names of a target's stages and of all that they depend on.

    Raises
    ------
    UserError
        If there is no such target, or the pipeline can't be read.
    """
    with _repository() as repo:
        return {
            stage.addressing.rpartition(":")[2]
            for stage in repo.stage.collect(target, with_deps=True)
        }


def changed_stages(target: str) -> set[str]:
    """Return those of `needed_stages` that DVC would run, but for those always run."""
    with _repository() as repo:
        status: dict[str, Any] = repo.status(targets=[target], with_deps=True)
    return {
        stage.rpartition(":")[2]
        for stage, changes in status.items()
        if changes != ["always changed"]
    }


def starts_from(run: Run, others: Iterable[Run]) -> bool:
    """Return whether a run starts from the model of one of the others."""
    return run.stacked_on is not None and run.stacked_on.stem in {other.key for other in others}


def trainings(listed: Iterable[Run], changed: set[str]) -> list[Run]:
    """Return those of some runs that a repro trains, given the stages that DVC would run."""
    listed = list(listed)
    stale = [
        run
        for run in listed
        if {f"train@{run.key}", f"prepare@{run.profile}-{run.dataset}"} & changed
    ]
    return [run for run in listed if run in stale or starts_from(run, stale)]
