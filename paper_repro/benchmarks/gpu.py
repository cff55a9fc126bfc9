"""``paper_repro bench --gpu``: how fast training is on a GPU.

``reports/benchmarks/gpu.json`` is written after each part, so that it may be ended at any time; a
part that fails leaves a line there instead.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from paper_repro.benchmarks.experiments import bench_experiment, timed_experiments
from paper_repro.benchmarks.plain_loop import PlainLoop
from paper_repro.benchmarks.throughput import together
from paper_repro.benchmarks.timing import Call, by_turns, spread
from paper_repro.benchmarks.trial import RATE, trial_trainer
from paper_repro.benchmarks.update import ways
from paper_repro.core import provenance
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.report.benchmarks import FOLDER
from paper_repro.training import recorded

PROCESSES = (1, 2, 5)
ROUNDS, ROUND = 5, 0.5  # seconds of each call in a round
SIDE = 8192  # of the square matrices that are multiplied


def _timed(calls: Mapping[str, Call], device: torch.device) -> dict[str, Any]:
    times = by_turns(calls, device, rounds=ROUNDS, seconds=ROUND)
    return {name: spread(values) for name, values in times.items()}


def _as_graph(call: Call, device: torch.device) -> Call:
    """Return a call's replay on a GPU; elsewhere the call."""
    if device.type != "cuda":
        return call
    call()
    reported, rng = torch.zeros(1, device=device), torch.Generator(device)
    return recorded.capture(lambda: (call(), reported)[1], rng, device)[0]


@fast_float32()
def limits(device: torch.device) -> dict[str, float]:
    """Return the most FLOP a second: those of a large product."""
    a, b, out = (torch.rand(SIDE, SIDE, device=device) for _ in range(3))
    product = _timed({"product": lambda: torch.mm(a, b, out=out)}, device)["product"]
    return {"float32_flop_a_second": 2 * SIDE**3 / product["median"]}


@fast_float32()
def update(device: torch.device) -> dict[str, Any]:
    """Return the seconds of MNIST's update by each way to make it."""
    (trainer, x), (slow, _) = trial_trainer(device), trial_trainer(device)
    slow.recorded.wanted = False
    made, flop = ways(trainer, x)
    calls: dict[str, Call] = {
        "plain": made["plain"],
        "twin": made["twin"],
        "unrecorded": lambda: slow.update(x, RATE, 0.5),
        "recorded": made["float32"],
        "products": _as_graph(made["float32_products"], device),
    }
    return {"gflop": flop / 1e9, "seconds": _timed(calls, device)}


def compiled(device: torch.device) -> dict[str, Any]:
    """Return the seconds of the plain loop's update as torch compiles it."""
    trainer, x = trial_trainer(device)
    loop = PlainLoop(trainer.experiment, x.shape[1], device)
    made = torch.compile(loop.update, mode="reduce-overhead")

    def call() -> None:
        torch.compiler.cudagraph_mark_step_begin()
        made(x)

    return {"seconds": _timed({"plain": call}, device)}


def processes(device: torch.device) -> dict[str, float]:
    """Return updates a second of processes that share the device."""
    return {str(runs): together(runs, 1, ROUNDS * ROUND, device) for runs in PROCESSES}


def experiments(device: torch.device) -> list[dict[str, Any]]:
    """Return what each experiment costs, as `bench` does."""
    rows: list[dict[str, Any]] = []
    for name in timed_experiments(read_params()):
        started = time.monotonic()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        rows.append(bench_experiment(name, device))
        print(f"bench: {name}, {time.monotonic() - started:.0f} s", flush=True)
    return rows


def bench_gpu(device: torch.device) -> None:
    """Measure all parts on a device, the most important first, and write them down one by one."""
    found: dict[str, Any] = {"failed": {}}
    with fast_float32():
        found["provenance"] = provenance.environment(device, __name__)
    parts: dict[str, Callable[[torch.device], Any]] = {
        "limits": limits,
        "update": update,
        "processes": processes,
        "experiments": experiments,
        "compiled": compiled,
    }
    for name, part in parts.items():
        started = time.monotonic()
        try:
            found[name] = part(device)
        except RuntimeError as error:
            found["failed"][name] = str(error).partition("\n")[0]
        write_record(FOLDER / "gpu.json", found)
        said = found["failed"].get(name, f"{time.monotonic() - started:.0f} s")
        print(f"bench: {name}: {said}", flush=True)
