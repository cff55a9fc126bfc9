"""Trainings side by side on one machine: a slot a device, or a share of the cores."""

import datetime
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import torch

from paper_repro import system
from paper_repro.core.errors import Interrupted, UserError

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


class Pool:
    """Runs commands by name, as many at once as there are slots."""

    def __init__(self, places: Sequence[dict[str, str]], logs: Path) -> None:
        self.places: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for place in places:
            self.places.put(place)
        self.workers = len(places)
        self.logs = logs
        self.guard = threading.Lock()  # of what follows
        self.stopping = False
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def run(
        self, commands: Mapping[str, Sequence[str]], after: Mapping[str, str]
    ) -> dict[str, int | None]:
        """Run all commands; return their exit codes, None of one whose forerunner failed.

        Parameters
        ----------
        after : by name, another that must have succeeded.

        Raises
        ------
        Interrupted
            On SIGINT or SIGTERM, after every child has had SIGTERM and ended.
        """
        codes: dict[str, int | None] = {}
        waiting, going = list(commands), dict[Future[int | None], str]()
        with ThreadPoolExecutor(self.workers) as executor:
            try:
                while waiting or going:
                    for name in list(waiting):
                        below = after.get(name)
                        if below in waiting or below in going.values():
                            continue
                        waiting.remove(name)
                        if below is not None and codes.get(below, 0) != 0:
                            codes[name] = None
                            self._tell(name, f"not started, because {below} failed")
                        else:
                            going[executor.submit(self._one, name, commands[name])] = name
                    for done in wait(going, return_when=FIRST_COMPLETED).done:
                        codes[going.pop(done)] = done.result()
            except KeyboardInterrupt:
                self._stop()
                raise Interrupted(
                    "interrupted; every run was told to save; the same command goes on from there"
                ) from None
        return codes

    def _one(self, name: str, command: Sequence[str]) -> int | None:
        place = self.places.get()
        path = self.logs / f"{name}.log"
        try:
            with self.guard, path.open("ab") as log:
                if self.stopping:
                    return None
                where = place["CUDA_VISIBLE_DEVICES"]
                where = (
                    f"{f'GPU {where}' if where else 'CPU'}, {place['OMP_NUM_THREADS']} thread(s)"
                )
                log.write(f"{_marker(name)}on {where}\n".encode())
                log.flush()
                child = self.children[name] = subprocess.Popen(
                    command,
                    env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"} | place,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a Ctrl-C is for us to pass on, once
                )
            self._tell(name, f"started on {where}, log {path}")
            code = child.wait()
            with path.open("ab") as log:
                log.write(f"{_marker(name)}exit {code}\n".encode())
            self._tell(name, "done" if not code else "saved" if code in SAVED else f"exit {code}")
            return code
        finally:
            self.places.put(place)

    def _stop(self) -> None:
        with self.guard:
            self.stopping = True
            for child in self.children.values():
                child.terminate()

    def _tell(self, name: str, what: str) -> None:
        print(f"{datetime.datetime.now():%H:%M:%S} {name}: {what}", flush=True)


def _marker(name: str) -> str:
    return f"-- {datetime.datetime.now():%Y-%m-%dT%H:%M:%S} {name}: "
