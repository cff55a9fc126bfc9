"""Trainings side by side on one machine: a slot a device, or a share of the cores."""

import datetime
import os
import subprocess
import time
from collections.abc import Mapping, Sequence

import torch

from paper_repro import system
from paper_repro.cluster.job import log_path
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.training.interrupt import on_signals

LOOK_SECONDS = 0.1
SAVED = (130, 143, -15)  # exit codes of a training that was warned, the last two before it listened


def slots(
    gpus: str | None, count: int | None, cores: int | None, per_gpu: int | None = None
) -> list[dict[str, str]]:
    """Return what each slot adds to the environment of its runs.

    Parameters
    ----------
    gpus : numbers of devices, by commas, as torch counts them here.
    count : slots on the CPU. With neither, a slot on each device, or one if there is none.
    cores : threads of a run; None for an equal share.
    per_gpu : slots on each device; None for one.

    Raises
    ------
    UserError
        If there is no such device, or one is named twice.
    """
    found = torch.cuda.device_count()
    known = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(found)))).split(",")
    chosen = list(range(found)) if count is None else []
    if gpus is not None:
        chosen = [int(part) if part.isdecimal() else -1 for part in gpus.split(",")]
        if not set(chosen) <= set(range(found)) or len(set(chosen)) < len(chosen):
            raise UserError(
                f"--gpus {gpus}: must be different numbers by commas, below the {found} CUDA "
                "device(s) that torch finds here"
            )
    if per_gpu and not chosen:
        raise UserError(f"--per-gpu {per_gpu}: torch finds no CUDA device here; on the CPU, --jobs")
    # The devices by turns, so that a few runs are spread over all of them.
    visible = [known[index] for index in chosen] * (per_gpu or 1) or [""] * (count or 1)
    threads = cores or max(1, system.cores() // len(visible))
    return [{"CUDA_VISIBLE_DEVICES": one, "OMP_NUM_THREADS": str(threads)} for one in visible]


def run_in(
    places: Sequence[dict[str, str]],
    commands: Mapping[str, Sequence[str]],
    after: Mapping[str, str],
) -> dict[str, int | None]:
    """Run commands by name, one at a time in each slot.

    Parameters
    ----------
    places : the `slots`.
    after : by name, another command that must have succeeded.

    Returns
    -------
    dict
        Their exit codes, None of one whose forerunner failed.

    Raises
    ------
    Interrupted
        On SIGINT, SIGTERM or SIGHUP, after every child has had SIGTERM and ended.
    """
    codes: dict[str, int | None] = {}
    free, waiting = list(places), list(commands)
    going: dict[str, tuple[subprocess.Popen[bytes], dict[str, str]]] = {}
    with on_signals() as stop:
        try:
            while (waiting or going) and not stop.requested:
                for name in list(waiting):
                    below = after.get(name, "")
                    if codes.get(below, 0) != 0:
                        waiting.remove(name)
                        codes[name] = None
                        _tell(name, f"not started, because {below} failed")
                    elif free and (not below or below in codes):
                        waiting.remove(name)
                        slot = free.pop(0)
                        going[name] = _started(name, commands[name], slot), slot
                time.sleep(LOOK_SECONDS)
                for name, (child, slot) in list(going.items()):
                    if child.poll() is not None:
                        codes[name] = _ended(name, child)
                        free.append(slot)
                        del going[name]
        finally:  # whatever ends us, a closed stdout too, no child goes on by itself
            for child, _ in going.values():
                child.terminate()
            for child, _ in going.values():
                child.wait()
        for name, (child, _) in going.items():
            _ended(name, child)
    if stop.requested:
        raise Interrupted(
            "interrupted; every run was told to save; the same command goes on from there"
        )
    return codes


def _started(name: str, command: Sequence[str], slot: dict[str, str]) -> subprocess.Popen[bytes]:
    gpu, threads = slot["CUDA_VISIBLE_DEVICES"], slot["OMP_NUM_THREADS"]
    where = f"{f'GPU {gpu}' if gpu else 'CPU'}, {threads} thread(s)"
    _mark(name, f"on {where}")
    _tell(name, f"started on {where}, log {log_path(name)}")
    with log_path(name).open("ab") as log:
        return subprocess.Popen(
            command,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"} | slot,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C is for us to pass on, once
        )


def _ended(name: str, child: subprocess.Popen[bytes]) -> int:
    """Wait until a child has ended, say how, and return its exit code."""
    code = child.wait()
    _mark(name, f"exit {code}")
    _tell(name, "done" if not code else "saved" if code in SAVED else f"exit {code}")
    return code


def _mark(name: str, what: str) -> None:
    with log_path(name).open("a", encoding="utf-8") as log:
        log.write(f"-- {datetime.datetime.now():%Y-%m-%dT%H:%M:%S} {name}: {what}\n")


def _tell(name: str, what: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {name}: {what}", flush=True)
