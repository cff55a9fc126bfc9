"""``paper_repro bench --gpu``: how fast training is on a GPU, what limits it, whether it is right.

Within `SECONDS`, so that a rented GPU is enough. ``reports/benchmarks/gpu.json`` is written after
each part; a part for which too little time is left, or that fails, leaves a line there instead.
"""

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from paper_repro.benchmarks.experiments import timed_experiments
from paper_repro.benchmarks.plain_loop import PlainLoop
from paper_repro.benchmarks.throughput import together
from paper_repro.benchmarks.timing import by_turns, spread, wait_for
from paper_repro.benchmarks.trial import RATE, trial_trainer
from paper_repro.benchmarks.update import bare_products
from paper_repro.core import provenance
from paper_repro.core.files import write_json
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.recipe import family_in
from paper_repro.data.catalogue import SOURCES
from paper_repro.forecast.duration import trial_training, warm_ups
from paper_repro.gan.model import recipe
from paper_repro.gan.update import Trainer
from paper_repro.report.benchmarks import FOLDER
from paper_repro.training import recorded
from paper_repro.training.checkpoint import CheckpointFile, Progress

SECONDS = 280.0  # of everything
EXPERIMENT = "mnist"
PROCESSES = (1, 2, 5)
ROUNDS, ROUND = 5, 0.5  # seconds of each call in a round
SIDE = 8192  # of the square matrices that are multiplied
COPIED = 2**28  # numbers
NODES = 1000  # of an empty graph
UPDATES = 20  # before and after a comparison of bytes


class _Bench:
    """The parts, all of one experiment's networks on one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.params = read_params()
        self.experiment = recipe.experiment(self.params, EXPERIMENT)
        self.shape = SOURCES[self.experiment.dataset].shape

    def trainer(self) -> tuple[Trainer, torch.Tensor]:
        return trial_trainer(self.experiment, self.shape, self.device)

    def unrecorded(self) -> Trainer:
        trainer, _ = self.trainer()
        trainer.recorded.wanted = False
        return trainer

    def timed(self, calls: dict[str, Callable[[], object]]) -> dict[str, Any]:
        times = by_turns(calls, self.device, rounds=ROUNDS, seconds=ROUND)
        return {name: spread(values) for name, values in times.items()}

    def seconds(self, call: Callable[[], object]) -> float:
        wait_for(self.device)
        started = time.perf_counter()
        call()
        wait_for(self.device)
        return time.perf_counter() - started

    def captured(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return a call's replay on a GPU; elsewhere the call."""
        if self.device.type != "cuda":
            return call
        call()
        reported, rng = torch.zeros(1, device=self.device), torch.Generator(self.device)
        return recorded.capture(lambda: (call(), reported)[1], rng, self.device)[0]

    @fast_float32()
    def limits(self) -> dict[str, Any]:
        """Return what the device can do at most, in FLOP, bytes and seconds."""
        a, b, out = (torch.rand(SIDE, SIDE, device=self.device) for _ in range(3))
        numbers, copy = (torch.zeros(COPIED, device=self.device) for _ in range(2))
        one = torch.zeros(1, device=self.device)
        calls: dict[str, Callable[[], object]] = {"product": lambda: torch.mm(a, b, out=out)}
        made = self.timed(
            calls
            | {
                "copy": lambda: copy.copy_(numbers),
                "nodes": self.captured(lambda: [one.add_(1) for _ in range(NODES)]),
            }
        )
        torch.backends.cuda.matmul.allow_tf32 = True  # ends with this function
        rounded, flop = self.timed(calls), 2 * SIDE**3
        return {
            "float32_flop_a_second": flop / made["product"]["median"],
            "tf32_flop_a_second": flop / rounded["product"]["median"],
            "copied_bytes_a_second": 2 * 4 * COPIED / made["copy"]["median"],
            "seconds_a_node": made["nodes"]["median"] / NODES,
        }

    @fast_float32()
    def correctness(self) -> dict[str, Any]:
        """Return whether updates have the same bytes recorded and not, and in one go and two."""
        trainer, x = self.trainer()
        slow, (resumed, _) = self.unrecorded(), self.trainer()

        def made(*trainers: Trainer) -> None:
            for _ in range(UPDATES):
                for one in trainers:
                    one.update(x, 0.1, 0.5)

        _copy(trainer, slow)  # their biases are those of other random images
        made(trainer, slow)
        _copy(trainer, resumed)
        made(trainer, slow, resumed)
        return {
            "replayed_is_unrecorded": _same(trainer, slow),
            "resumed_is_uninterrupted": _same(trainer, resumed),
        }

    @fast_float32()
    def update(self) -> dict[str, Any]:
        """Return the seconds of an update by each way to make it."""
        (trainer, x), (other, _) = self.trainer(), self.trainer()
        twin = Trainer(self.experiment, other.gan, other.draws, plain=True)
        slow, loop = self.unrecorded(), PlainLoop(self.experiment, x.shape[1], self.device)
        bare, flop = bare_products(self.experiment, x.shape[1], self.device)
        calls: dict[str, Callable[[], object]] = {
            "plain": lambda: loop.update(x),
            "twin": lambda: twin.update(x, RATE, 0.5),
            "unrecorded": lambda: slow.update(x, RATE, 0.5),
            "recorded": lambda: trainer.update(x, RATE, 0.5),
            "products": self.captured(bare),
        }
        return {"gflop": flop / 1e9, "seconds": self.timed(calls)}

    def compiled(self) -> dict[str, Any]:
        """Return the seconds of the plain loop's update as torch compiles it."""
        x = self.trainer()[1]
        loop = PlainLoop(self.experiment, x.shape[1], self.device)
        compiled = torch.compile(loop.update, mode="reduce-overhead")

        def call() -> None:
            torch.compiler.cudagraph_mark_step_begin()
            compiled(x)

        return {"first_seconds": self.seconds(call), "seconds": self.timed({"plain": call})}

    def processes(self) -> dict[str, float]:
        """Return updates a second of processes that share the device."""
        each = 1, self.shape, ROUNDS * ROUND, self.device
        return {str(runs): together(runs, *each) for runs in PROCESSES}

    @fast_float32()
    def costs(self) -> dict[str, float]:
        """Return the seconds of what happens now and then: validation, saving, recording."""
        family = family_in(self.params, EXPERIMENT)
        training = trial_training(self.experiment, family, self.shape, self.device)
        trainer, x = self.trainer()
        for _ in range(warm_ups(self.device)):
            trainer.update(x, RATE, 0.5)
        training.validate(1)
        with tempfile.TemporaryDirectory() as folder:
            file = CheckpointFile(Path(folder), "bench", "bench")
            draws = training.rng.get_state()
            saving = self.seconds(lambda: file.save(training.state(), draws, Progress()))
        validation = self.seconds(lambda: training.validate(2))
        recording = self.seconds(lambda: trainer.update(x, RATE, 0.6))
        return {"validation": validation, "saving": saving, "recording": recording}

    def experiments(self, left: Callable[[], float]) -> list[dict[str, Any]]:
        """Return what each experiment costs, as `bench` does, while there is time."""
        rows: list[dict[str, Any]] = []
        for name, timing in timed_experiments(self.params):
            started = left()
            if started < 15:
                continue
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.device)
            rows.append(timing(name, self.device))
            print(f"bench: {name}, {started - left():.0f} s", flush=True)
        return rows


def _copy(one: Trainer, other: Trainer) -> None:
    """Give another trainer what a checkpoint of the first would."""
    state = one.state()
    for name, tensor in other.state().items():
        tensor.copy_(state[name])
    other.draws.rng.set_state(one.draws.rng.get_state())


def _same(one: Trainer, other: Trainer) -> bool:
    theirs = other.state()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state().items())


def bench_gpu(device: torch.device) -> None:
    """Measure all parts on a device, while there is time, and write them down one by one."""
    end = time.monotonic() + SECONDS

    def left() -> float:
        return end - time.monotonic()

    bench = _Bench(device)
    found: dict[str, Any] = {"skipped": {}, "seconds": {}}
    with fast_float32():
        found["provenance"] = provenance.environment(device, __name__)
    # The most important first; with the seconds that each may take.
    parts: list[tuple[str, float, Callable[[], Any]]] = [
        ("limits", 20, bench.limits),
        ("update", 30, bench.update),
        ("correctness", 10, bench.correctness),
        ("costs", 20, bench.costs),
        ("processes", 60, bench.processes),
        ("experiments", 15, lambda: bench.experiments(lambda: left() - 70)),
        ("compiled", 70, bench.compiled),
    ]
    for name, needed, part in parts:
        started = left()
        if started < needed:
            found["skipped"][name] = f"{math.floor(started)} s were left, it needs {needed:.0f}"
        else:
            try:
                found[name] = part()
            except RuntimeError as error:
                found["skipped"][name] = str(error).partition("\n")[0]
        found["seconds"][name] = started - left()
        write_json(FOLDER / "gpu.json", found)
        said = found["skipped"].get(name, f"{started - left():.0f} s")
        print(f"bench: {name}: {said}", flush=True)
