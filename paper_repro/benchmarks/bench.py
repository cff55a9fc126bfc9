"""``make bench``: every benchmark on this machine, its numbers and a page, in one run."""

import datetime
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from paper_repro.benchmarks.experiments import bench_experiment, bench_layers
from paper_repro.benchmarks.parzen import bench_growth, bench_many_samples, bench_parzen
from paper_repro.benchmarks.sampling import bench_sampling
from paper_repro.benchmarks.throughput import bench_throughput
from paper_repro.benchmarks.update import SHAPE, bench_update
from paper_repro.core import provenance
from paper_repro.core.files import write_json
from paper_repro.core.params import read_params
from paper_repro.core.recipe import recipe_of
from paper_repro.gan.joint_update import serves
from paper_repro.gan.model.recipe import Experiment
from paper_repro.report.benchmarks import FOLDER, benchmarks_page
from paper_repro.report.published import OTHERS
from paper_repro.training.loop import resolve_device

HELP_CALLS = 11
HELP = [sys.executable, "-m", "paper_repro", "--help"]
SLOW_BFLOAT16 = 2.0  # times float32: where hardware has no such products one takes minutes


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return a call's result from a fresh process, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _bench_experiments(device: torch.device) -> dict[str, Any]:
    params = read_params()
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys([*params.group("seeds"), *OTHERS]):
        experiment = recipe_of(params, name)
        if isinstance(experiment, Experiment):
            both = (
                serves(experiment)
                and experiment.precision == "float32"
                and not _bfloat16_is_slow(rows)
            )
            precisions = ("float32", "bfloat16") if both else (experiment.precision,)
            calls: list[Any] = [(bench_experiment, name, p, device) for p in precisions]
        elif params.base(name) != name:  # of the same size
            continue
        else:  # Table 1's other models
            calls = [(bench_layers, name, device)]
        for call in calls:
            rows.append(_alone(*call))
            row = rows[-1]
            print(
                f"bench: {name}, {row['precision']}: "
                f"{row['seconds_an_update']['median'] * 1e3:.1f} ms an update, "
                f"{row['hours']:.1f} h for {row['epochs']} epochs",
                flush=True,
            )
    return {"rows": rows}


def _bench_help() -> dict[str, Any]:
    seconds = []
    for _ in range(HELP_CALLS):
        started = time.perf_counter()
        subprocess.run(HELP, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "help_seconds": statistics.median(seconds)}


def _bfloat16_is_slow(rows: list[dict[str, Any]]) -> bool:
    """Return whether the first experiment's update was far slower in bfloat16 than in float32."""
    seconds: dict[str, float] = {
        row["precision"]: row["seconds_an_update"]["median"] for row in rows[:2]
    }
    return seconds.get("bfloat16", 0.0) > SLOW_BFLOAT16 * seconds.get("float32", 0.0)


def bench(device: str = "auto", *, page: bool = False) -> None:
    """Run all benchmarks and write their numbers and page into ``reports/benchmarks``.

    Parameters
    ----------
    page : only write the page anew, from the numbers that are there.

    Raises
    ------
    UserError
        If the device is absent or, for the page alone, a part's numbers.
    """
    if page:
        benchmarks_page()
        return
    where = resolve_device(device, "bench")
    started, clock = datetime.datetime.now(datetime.UTC), time.monotonic()
    parts: dict[str, Any] = {}
    runs: dict[str, Callable[[], Any]] = {
        "command_line": _bench_help,
        "update": lambda: _alone(bench_update, where),
        "parzen": lambda: _alone(bench_parzen),
        "growth": lambda: _alone(bench_growth),
        "many_samples": lambda: _alone(bench_many_samples),
        "sampling": lambda: _alone(bench_sampling),
        "throughput": lambda: bench_throughput(SHAPE),
        "experiments": lambda: _bench_experiments(where),
    }
    for name, run in runs.items():
        parts[name] = run()
        print(f"bench: {name}, {time.monotonic() - clock:.0f} s so far", flush=True)
    summary = {
        **{
            name: spread["median"]
            for part in ("update", "parzen")
            for name, spread in parts[part]["ratios"].items()
        },
        "help_seconds": parts["command_line"]["help_seconds"],
        "many_samples_peak_memory_bytes": parts["many_samples"]["peak_memory_bytes"],
        "started": started.isoformat(timespec="seconds"),
        "seconds": time.monotonic() - clock,
        "provenance": provenance.environment(where, __name__),
    }
    for name, part in parts.items():
        write_json(FOLDER / f"{name}.json", part)
    write_json(FOLDER / "summary.json", summary)
    benchmarks_page()
    print(f"bench: {FOLDER / 'index.html'}")
