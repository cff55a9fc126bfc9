"""Several trainings at once on the cores of this machine, against one that has them all."""

import multiprocessing
import threading
import time
from typing import Any

import torch

from paper_repro import system
from paper_repro.benchmarks.timing import spread, wait_for
from paper_repro.benchmarks.trial import EXPERIMENT, RATE, trial_trainer
from paper_repro.core.float32_matmul import fast_float32

ROUNDS = 3
SECONDS = 4.0  # of updates in a round
WARM_UP = 10  # updates


@fast_float32()
def _updates_a_second(
    start: threading.Barrier, threads: int, seconds: float, device: torch.device
) -> float:
    """Return the rate of a training that begins when all others have come to `start`, too."""
    torch.set_num_threads(threads)
    trainer, x = trial_trainer(device)
    for _ in range(WARM_UP):
        trainer.update(x, RATE, 0.5)
    wait_for(device)
    start.wait()
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        trainer.update(x, RATE, 0.5)
        done += 1
    wait_for(device)
    return done / (time.perf_counter() - started)


def together(runs: int, threads: int, seconds: float, device: torch.device) -> float:
    """Return updates a second of so many processes together, each a training."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(runs) as pool:
        each = manager.Barrier(runs), threads, seconds, device
        return sum(pool.starmap(_updates_a_second, [each] * runs, 1))


def bench_throughput() -> dict[str, Any]:
    """Return updates a second of all runs together, by the number of runs at once."""
    cores = system.cores()
    rates: dict[int, list[float]] = {2**power: [] for power in range(cores.bit_length())}
    for _ in range(ROUNDS):
        for count, found in rates.items():
            found.append(together(count, cores // count, SECONDS, torch.device("cpu")))
    rows = [
        {"runs": count, "threads": cores // count, "updates_a_second": spread(found)}
        for count, found in rates.items()
    ]
    return {"experiment": EXPERIMENT, "cores": cores, "rows": rows}
