"""Several trainings at once on the cores of this machine, against one that has them all."""

import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

from paper_repro import system
from paper_repro.benchmarks.timing import spread, wait_for
from paper_repro.benchmarks.trial import RATE, trial_trainer
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.gan.model import recipe

ROUNDS = 3
SECONDS = 4.0  # of updates in a round
WARM_UP = 10  # updates
EXPERIMENT = "mnist"
CPU = torch.device("cpu")
_start: list[Barrier] = []  # in a process of the pool: where all of them wait for each other


def _enter(barrier: Barrier) -> None:
    _start.append(barrier)


def _updates_a_second(
    shape: tuple[int, ...], threads: int, seconds: float, device: torch.device
) -> float:
    """Return the rate of a training, begun when all others of the pool are ready, too."""
    torch.set_num_threads(threads)
    trainer, x = trial_trainer(recipe.experiment(read_params(), EXPERIMENT), shape, device)
    with fast_float32():
        for _ in range(WARM_UP):
            trainer.update(x, RATE, 0.5)
        wait_for(device)
        _start[0].wait()
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            trainer.update(x, RATE, 0.5)
            done += 1
        wait_for(device)
        return done / (time.perf_counter() - started)


def together(
    runs: int,
    threads: int,
    shape: tuple[int, ...],
    seconds: float,
    device: torch.device = CPU,
) -> float:
    """Return updates a second of so many processes together, each a training."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(runs, _enter, (context.Barrier(runs),)) as pool:
        return sum(pool.starmap(_updates_a_second, [(shape, threads, seconds, device)] * runs, 1))


def bench_throughput(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return updates a second of all runs together, by the number of runs at once.

    Parameters
    ----------
    shape : of an image.
    """
    cores = system.cores()
    counts = [2**power for power in range(cores.bit_length()) if 2**power <= cores]
    rates: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(ROUNDS):
        for count in counts:
            rates[count].append(together(count, cores // count, shape, SECONDS))
    rows = [
        {"runs": count, "threads": cores // count, "updates_a_second": spread(found)}
        for count, found in rates.items()
    ]
    return {"experiment": EXPERIMENT, "cores": cores, "rows": rows}
