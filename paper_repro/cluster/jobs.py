"""What the jobs of this folder are doing, from the queue and the checkpoints' headers."""

import os
import re
import sys
import time

from paper_repro.cluster import slurm
from paper_repro.cluster.job import JOBS, log_path
from paper_repro.cluster.progress import read_state
from paper_repro.core.errors import UserError
from paper_repro.core.files import holder
from paper_repro.training.checkpoint import CHECKPOINTS, LOCK

REFRESH_SECONDS = 5.0
COLUMNS = ("run", "state", "node", "epoch", "updates/s", "valid", "restarts", "log")


def jobs(*, watch: bool = False, cancel: bool = False) -> None:
    """Print a line for each job of this folder, of Slurm or from a log in ``jobs/``.

    Parameters
    ----------
    watch : print again and again, until no run waits or is in training, or Ctrl-C ends it.
    cancel : instead cancel all that Slurm has; trainings save first.

    Raises
    ------
    UserError
        If jobs are to be cancelled and Slurm doesn't answer.
    """
    if cancel:
        alive = [job for job in slurm.queue().values() if job.alive]
        if alive:
            slurm.cancel(alive)
        told = ", ".join(f"{job.number} ({job.key})" for job in alive)
        print(f"cancelled: {told}" if alive else "no job of this folder is queued")
        return
    try:
        while _show(clear=watch) and watch:
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        if not watch:
            raise


def _show(*, clear: bool) -> bool:
    """Print the lines, on a terminal that is cleared; return whether any may still change."""
    queued, trouble = dict[str, slurm.Job](), ""
    try:
        queued = slurm.queue()
    except slurm.NoCluster:  # all runs are this machine's
        pass
    except UserError as error:
        trouble = str(error)
    keys = sorted({*queued, *(path.stem for path in JOBS.glob("*.log"))})
    here = {key for key in keys if holder(CHECKPOINTS / key / LOCK)}
    rows = [_row(key, queued.get(key), key in here) for key in keys]
    if clear and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        print("\033[H\033[2J", end="")
    print(_table([COLUMNS, *rows]) if rows else "no jobs yet", flush=True)
    if trouble:
        print(f"paper_repro: {trouble}; this is from logs alone", file=sys.stderr)
    return bool(here or trouble or any(job.alive for job in queued.values()))


def _row(key: str, job: slurm.Job | None, in_training: bool) -> tuple[str, ...]:
    log = log_path(key)
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    marks = re.findall(r"-- [\d-]+T[\d:]+ \S+: (.*)", text)
    shown = marks[-1] if marks else ""
    ended_well = shown in ("", "exit 0")
    if job:
        shown, ended_well = f"{job.number} {job.state}", job.state == "COMPLETED"
    elif in_training:
        shown, ended_well = "in training here", False
    try:
        state = read_state(key)
    except UserError:  # no longer listed, or being written; the line has the rest
        state = None
    if state and state.trained and ended_well:
        shown = "finished"
    row = state.validation if state else None
    return (
        key,
        shown,
        job.node if job else "",
        f"{state.recipe.passes - state.epochs_left}/{state.recipe.passes}" if state else "",
        f"{state.rate:.1f}" if state and state.rate else "",
        f"{row['valid_nats']:.1f} nats" if row else "",
        str(job.restarts) if job else "",
        str(log) if log.exists() else "",
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
