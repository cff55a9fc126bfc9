"""What a job of `submit` runs: a training, if all is as it was when it was submitted."""

import contextlib
import os
from pathlib import Path

from paper_repro.cluster.progress import read_state
from paper_repro.core.dataset import processed_folder
from paper_repro.core.errors import UserError
from paper_repro.core.files import read_json, write_json
from paper_repro.core.params import Params
from paper_repro.core.recipe import recipe_of
from paper_repro.core.runs import Run, model_path, read_run
from paper_repro.training.checkpoint import CHECKPOINTS
from paper_repro.training.loop import resolve_device
from paper_repro.training.train import train

JOBS = Path("jobs")  # logs, and how often a job was restarted
RESTARTS = 3  # without a new update, before a job gives up


def log_path(key: str) -> Path:
    """Return the log of a run, or of the job that runs `dvc repro`."""
    return JOBS / f"{key}.log"


def job(key: str, expected: str) -> None:
    """Train a run as a job.

    Parameters
    ----------
    expected : its `stamp` when the job was submitted.

    Raises
    ------
    UserError
        If recipe, data or code are others now, if the job was restarted again and again without a
        new update, or as `train`.
    """
    params, run = read_run(key)
    _look_anew(run)
    state = read_state(key)
    if state is None or state.stamp != expected:
        raise UserError(
            f"{key}: its recipe, data or code changed after it was submitted; nothing was trained; "
            "submit it again with what it should be"
        )
    _require_progress(params, run)
    train(key)


def _look_anew(run: Run) -> None:
    """List the folders that are read.

    A client of NFS may remember for a while that a file was absent which another node has written
    since; who lists the folder is told.
    """
    for folder in (
        *(CHECKPOINTS, CHECKPOINTS / run.key, model_path(run.key).parent),
        *(processed_folder(run.profile, run.dataset), run.folder),
        *([run.folder.with_name(run.stacked_on.stem)] if run.stacked_on else []),
    ):
        with contextlib.suppress(FileNotFoundError):
            os.listdir(folder)


def _require_progress(params: Params, run: Run) -> None:
    """Raise a `UserError` if Slurm restarted this job too often without a new update."""
    number = os.environ.get("SLURM_JOB_ID")
    if number is None:
        return
    device = resolve_device(
        recipe_of(params, run.experiment).device, f"{params.where(run.experiment)}.device"
    )
    state, path = read_state(run.key, [device.type]), JOBS / f"{run.key}.json"
    update = state.update if state else 0
    before = read_json(path) if path.exists() else {}
    again = int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
    same = again and (before.get("job"), before.get("update")) == (number, update)
    vain = before["vain"] + 1 if same else 0
    write_json(path, {"job": number, "update": update, "vain": vain})
    if vain >= RESTARTS:
        raise UserError(
            f"{run.key}: restarted {vain} times at update {update} without a new one; submit it "
            "again with more --time or --mem, or where it is not preempted so soon"
        )
