"""``make bench``: every benchmark on this machine, its numbers and a page, in one run."""

import datetime
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch

from paper_repro.benchmarks.experiments import bench_experiment, timed_experiments
from paper_repro.benchmarks.gpu import bench_gpu
from paper_repro.benchmarks.parzen import bench_many_samples, bench_parzen
from paper_repro.benchmarks.sampling import bench_sampling
from paper_repro.benchmarks.throughput import bench_throughput
from paper_repro.benchmarks.update import bench_update
from paper_repro.core import provenance
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.report.benchmarks import FOLDER, benchmarks_page
from paper_repro.training.loop import resolve_device


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return a call's result from a fresh process, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _bench_experiments(device: torch.device) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for name in timed_experiments(read_params()):
        row = _alone(bench_experiment, name, device)
        rows.append(row)
        print(
            f"bench: {name}: {row['seconds_an_update']['median'] * 1e3:.1f} ms an update, "
            f"{row['hours']:.1f} h for {row['epochs']} epochs",
            flush=True,
        )
    return {"rows": rows}


def bench(device: str = "auto", *, gpu: bool = False, page: bool = False) -> None:
    """Run all benchmarks and write their numbers and page into ``reports/benchmarks``.

    Parameters
    ----------
    gpu : only what training on a GPU can do, in five minutes.
    page : only write the page anew, from the numbers that are there.

    Raises
    ------
    UserError
        If the device is absent or, for the page alone, a part's numbers.
    """
    if page:
        benchmarks_page()
        return
    if gpu:
        bench_gpu(resolve_device("cuda" if device == "auto" else device, "bench"))
        return
    where = resolve_device(device, "bench")
    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    runs: dict[str, Callable[[], Any]] = {
        "update": lambda: _alone(bench_update, where),
        "parzen": lambda: _alone(bench_parzen),
        "many_samples": lambda: _alone(bench_many_samples),
        "sampling": lambda: _alone(bench_sampling),
        "throughput": bench_throughput,
        "experiments": lambda: _bench_experiments(where),
    }
    parts: dict[str, Any] = {}
    for name, run in runs.items():
        parts[name] = run()
        print(f"bench: {name}, {time.monotonic() - clock:.0f} s so far", flush=True)
    parts["summary"] = {
        "started": started.isoformat(timespec="seconds"),
        "seconds": time.monotonic() - clock,
        "provenance": provenance.environment(where, __name__),
    }
    for name, part in parts.items():
        write_record(FOLDER / f"{name}.json", part)
    benchmarks_page()
    print(f"bench: {FOLDER / 'index.html'}")
