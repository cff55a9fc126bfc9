"""Train the runs of a repro as jobs: of Slurm, or side by side on this machine."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from paper_repro.cluster import local, slurm
from paper_repro.cluster.job import JOBS, log_path
from paper_repro.cluster.progress import State, read_state
from paper_repro.core.errors import UserError
from paper_repro.core.files import digest, held, holder
from paper_repro.core.params import Params, read_params
from paper_repro.core.recipe import recipe_of
from paper_repro.core.runs import Run, runs
from paper_repro.data.fetch import fetch
from paper_repro.data.prepare import prepare
from paper_repro.forecast.repro import run_through
from paper_repro.forecast.stages import changed_stages, needed_stages, trainings
from paper_repro.pipeline.run_list import require_current_lists
from paper_repro.training.checkpoint import CHECKPOINTS, LOCK

# The options of sbatch that are passed on, by their short and long names. Of the others some are
# ours, since by them jobs are known again, find their log, wait for each other and train once.
PASSED_ON = (
    *("-p/--partition", "-A/--account", "-q/--qos", "-C/--constraint", "-w/--nodelist"),
    *("-x/--exclude", "-L/--licenses", "-t/--time", "-G/--gpus", "--reservation"),
    *("--gres", "--gpus-per-node", "--gpus-per-task", "--cpus-per-gpu", "--gpu-bind"),
    *("--mem", "--mem-per-cpu", "--mem-per-gpu", "--tmp", "--mail-type", "--mail-user"),
    *("--comment", "--begin", "--nice"),
)
FLAGS = ("--exclusive", "-H/--hold")
SHARED = "a GPU trains several small runs faster together than in turn: --per-gpu, see CLUSTER.md"
MOST = 10_000  # slots or cores: each slot takes memory before anything runs
BUSY = (
    "another `paper_repro submit` is at work in this folder ({holder}); wait until it has ended, "
    "or end it with Ctrl-C"
)

Alive = dict[str, slurm.Job]  # jobs that wait or run, by their runs' keys
Work = dict[str, State]  # what is to be trained, by key; what a run starts from comes before it


def submit(
    target: str,
    *,
    on: str = "slurm",
    gpus: str | None = None,
    per_gpu: int | None = None,
    jobs: int | None = None,
    time: str | None = None,
    mem: str | None = None,
    cpus: int | None = None,
    sbatch: Sequence[str] = (),
    then_repro: bool = False,
    dry_run: bool = False,
) -> None:
    """Train, as jobs, the runs that ``dvc repro`` of a target would train.

    Data are fetched and prepared here. A run that is finished or queued is left alone, so that the
    same command may be typed again at any time.

    Parameters
    ----------
    on : "slurm", or "local" for this machine.
    gpus : on this machine, the devices, by commas: a run at a time on each,
    per_gpu : or so many.
    jobs : on this machine's CPU, how many runs at once.
    time, mem : of a job, as sbatch takes them.
    cpus : cores of a run.
    sbatch : more options of sbatch.
    then_repro : whether ``dvc repro`` of the target follows once all runs are trained.
    dry_run : only print what would be submitted; data are fetched and prepared all the same.

    Raises
    ------
    UserError
        If an option does not belong to that place, there is no such target, data or parameters are
        bad, Slurm refuses a job, or a run failed on this machine.
    """
    of_local = {"gpus": gpus, "per-gpu": per_gpu, "jobs": jobs}
    of_slurm = {"time": time, "mem": mem, "sbatch": sbatch}
    other, foreign = ("local", of_local) if on == "slurm" else ("slurm", of_slurm)
    for name, value in foreign.items():
        if value:
            hint = "; on Slurm, ask with --sbatch=--gpus=1" if name == "gpus" else ""
            raise UserError(f"--{name}: only with --on {other}{hint}")
    if jobs and (gpus or per_gpu):
        raise UserError(
            "--jobs: only without --gpus and --per-gpu, which say how many runs at once"
        )
    for name, count in (("per-gpu", per_gpu), ("jobs", jobs), ("cpus", cpus)):
        if count is not None and not 1 <= count <= MOST:
            raise UserError(f"--{name} {count}: must be 1 to {MOST:,}")
    options = _options({"time": time, "mem": mem, "cpus-per-task": cpus}, sbatch)
    places = local.slots(gpus, jobs, cpus, per_gpu) if on == "local" else []
    require_current_lists()
    repro = ["-m", "dvc", "repro", target] if then_repro else None
    with held(JOBS / LOCK, BUSY):
        queued = slurm.queue() if on == "slurm" else {}  # first, lest a job ends in between
        alive = {key: job for key, job in queued.items() if job.alive}
        work, waiting = _work(_stale_runs(target, alive), alive)
        if not work:
            print("nothing to submit")
        if on == "local":
            _run_here(work, places, repro, dry_run)
        else:
            numbers = {key: alive[key].number for key in waiting}
            _queue(work, alive, numbers, options, dry_run)
            if repro:
                _queue_repro(target, repro, alive, list(numbers.values()), options, dry_run)
    if not then_repro:
        print(f"when all are done: dvc repro {shlex.quote(target)}")


def _options(given: dict[str, object], sbatch: Sequence[str]) -> list[str]:
    """Return the user's options of sbatch (`UserError` if one is not passed on)."""
    options = [f"--{name}={value}" for name, value in given.items() if value]
    allowed = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for names in PASSED_ON:
        allowed.add_argument(*names.split("/"))
    for names in FLAGS:
        allowed.add_argument(*names.split("/"), action="store_true")
    for text in sbatch:
        try:
            words = shlex.split(text) if text else ["--"]  # of which argparse leaves nothing
        except ValueError as error:
            raise UserError(f"--sbatch {text}: {error}") from None
        try:
            _, others = allowed.parse_known_args(words)
        except argparse.ArgumentError as error:
            raise UserError(f"--sbatch: {error}") from None
        if others:
            raise UserError(
                f"--sbatch {others[0]}: is not passed on; there are "
                f"{', '.join(names.rpartition('/')[2] for names in (*PASSED_ON, *FLAGS))}"
            )
        options += words
    return options


def _below(run: Run) -> str | None:
    """Return the key of the run from whose model a run starts."""
    return run.stacked_on.stem if run.stacked_on else None


def _stale_runs(target: str, queued: Container[str]) -> list[Run]:
    """Fetch and prepare the data; return the runs that ``dvc repro`` of a target would train.

    What a run starts from comes before it. Data that a queued run reads are not prepared again.
    """
    needed = needed_stages(target)  # a wrong target is told before the downloads
    fetch()
    keys = {stage.removeprefix("train@") for stage in needed if stage.startswith("train@")}
    profiles = {key.rsplit("-", 2)[0] for key in keys}
    params = {profile: read_params(profile) for profile in sorted(profiles)}
    listed = [run for each in params.values() for run in runs(each).values() if run.key in keys]
    read = {(run.profile, run.dataset) for run in listed if run.key in queued}
    for profile, dataset in sorted({(run.profile, run.dataset) for run in listed} - read):
        prepare(profile, dataset)
    # What they are prepared from may have changed without changing them, as DVC will find.
    changed = {stage for stage in changed_stages(target) if not stage.startswith("prepare@")}
    below = {run.key: _below(run) for run in listed}

    def depth(key: str | None) -> int:
        return 1 + depth(below.get(key)) if key else 0

    stale = sorted(trainings(listed, changed), key=lambda run: depth(run.key))
    for run in stale:
        _require_own_device(params[run.profile], run)
    return stale


def _require_own_device(params: Params, run: Run) -> None:
    device = recipe_of(params, run.experiment).device
    if re.fullmatch(r"cuda:[1-9]\d*", device):
        raise UserError(
            f"{params.where(run.experiment)}.device: {device}, but a job sees only the devices "
            "that it is given, from cuda:0 on; set it to `auto` or `cuda`"
        )


def _work(stale: Iterable[Run], alive: Alive) -> tuple[Work, list[str]]:
    """Return what is to be trained, and the keys of the runs that are queued and stay so.

    Of what is left out it is printed why. A run to be trained whose job is alive is to replace it:
    that waits for another model, or would refuse to train.
    """
    work: Work = {}
    waiting: list[str] = []
    elsewhere: set[str] = set()  # trained by no job of ours
    for run in stale:
        key, below = run.key, _below(run)
        state, job = read_state(key), alive.get(key)
        if state is None:
            print(f"{key}: not run: its data are absent")
            continue
        edited = job is not None and job.stamp != state.stamp
        anew = below in work or below in waiting  # it will start from another model
        if below in elsewhere:
            elsewhere.add(key)
            print(f"{key}: left out until {below} is trained")
        elif job and below not in work and not (edited and job.state == "PENDING"):
            waiting.append(key)
            hint = f", with what it was before an edit; to cancel it: scancel {job.number}"
            print(
                f"{key}: already queued as job {job.number} ({job.state}){hint if edited else ''}"
            )
        elif not job and (other := holder(CHECKPOINTS / key / LOCK)):
            elsewhere.add(key)
            print(f"{key}: already in training, by {other}")
        elif state.finished and not anew:
            print(f"{key}: finished")
        else:
            work[key] = replace(state, update=0, validation=None) if anew else state
    return work, waiting


def _arguments(state: State) -> list[str]:
    """Return what Python is called with to train a run."""
    return ["-m", "paper_repro", "job", state.run.key, state.stamp]


def _tell(state: State, how: str) -> None:
    key = state.run.key
    print(f"{key}: {how}, {state.epochs_left} epoch(s) left, log {log_path(key)}", flush=True)


def _queue(
    work: Work, alive: Alive, numbers: dict[str, str], options: Sequence[str], dry_run: bool
) -> None:
    """Submit jobs to Slurm, and add their numbers to those of the jobs that they may wait for."""
    for key, state in work.items():
        below = _below(state.run)
        after = [numbers[below]] if below in numbers else []
        call = slurm.command(key, state.stamp, _arguments(state), after, options)
        if dry_run:
            _tell(state, "would be submitted")
            print(f"  {shlex.join(call)}")
            numbers[key] = f"<{key}>"
            continue
        numbers[key] = slurm.submit(call)
        how = f"job {numbers[key]}{f' after {below}' if after else ''}"
        if key in alive:
            slurm.cancel([alive[key]])
            how += f", in place of job {alive[key].number}"
        _tell(state, how)


def _queue_repro(
    target: str,
    arguments: Sequence[str],
    alive: Alive,
    after: Sequence[str],
    options: Sequence[str],
    dry_run: bool,
) -> None:
    """Submit the last job, in place of one that waits for fewer runs."""
    key = f"repro-{digest(target)[:8]}"
    earlier = alive.get(key)
    if earlier and earlier.state != "PENDING":
        print(f"dvc repro {target}: already job {earlier.number} ({earlier.state})")
        return
    call = slurm.command(key, "0", arguments, after, options)
    if dry_run:
        print(f"dvc repro: would be submitted\n  {shlex.join(call)}")
        return
    number = slurm.submit(call)
    if earlier:
        slurm.cancel([earlier])
    print(f"dvc repro: job {number} after all of them, log {log_path(key)}")


def _run_here(
    work: Work, places: list[dict[str, str]], repro: list[str] | None, dry_run: bool
) -> None:
    """Train side by side on this machine, and then run DVC, if wanted."""
    for state in work.values():
        _tell(state, "to be trained here")
    if work:
        threads = places[0]["OMP_NUM_THREADS"]
        print(f"{len(places)} run(s) at once, {threads} thread(s) each", flush=True)
        devices = [place["CUDA_VISIBLE_DEVICES"] for place in places]
        if devices[0] and len(set(devices)) == len(devices) < len(work):
            print(SHARED, flush=True)
    if dry_run:
        return
    codes = local.run_in(
        places,
        {key: [sys.executable, *_arguments(state)] for key, state in work.items()},
        {key: below for key, state in work.items() if (below := _below(state.run)) in work},
    )
    if failed := [key for key, code in codes.items() if code]:
        without = [key for key, code in codes.items() if code is None]
        hint = f"; not started because of that: {', '.join(without)}" if without else ""
        raise UserError(
            f"failed: {', '.join(f'{key} (see {log_path(key)})' for key in failed)}{hint}; the "
            "others are done; run the same command again once that is mended"
        )
    if repro:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        code = run_through([sys.executable, *repro], os.environ | {"PATH": path})
        if code:
            raise UserError(f"dvc repro: exit {code}; all runs are trained, so run it again")
