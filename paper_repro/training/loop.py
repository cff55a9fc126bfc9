"""The training loop: epochs of updates, a measurement now and then, a checkpoint every minute."""

import datetime
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from paper_repro.core import provenance
from paper_repro.core.circumstances import Environment
from paper_repro.core.dataset import Dataset
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.recipe import Recipe
from paper_repro.training import interrupt, recorded
from paper_repro.training.checkpoint import CheckpointFile, Progress
from paper_repro.training.family import Training
from paper_repro.training.film import EPOCHS, write_frame

CHECKPOINT_SECONDS = 60.0
SAVING_RATIO = 20  # at least so many times as long as the last checkpoint took
BEST = "best."  # names the model of the best epoch in a checkpoint


def resolve_device(name: str, where: str) -> torch.device:
    """Return the device that `auto` stands for, or the named one, once it is seen to work.

    A `UserError` that says `where` it was named if torch knows no such device, or finds none here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{where}: {error}") from None
    found = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        there = f"{found} CUDA device(s), from cuda:0 on"
        raise UserError(
            f"{where}: device {name}: torch finds "
            + (there if found else "no CUDA device here; use `auto` or `cpu`")
        )
    try:
        torch.zeros(1, device=device)  # one that torch finds may be busy, or not ours
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{where}: {device}: {reason}; set it to `cpu`, or free the device, or hide it with "
            "CUDA_VISIBLE_DEVICES="
        ) from None
    return device


def _gpu(start: Mapping[str, Any]) -> str:
    """Return what decides a GPU's bytes: a MIG slice's name says its size, too."""
    parts = start.get("gpu", {}).get("multiprocessors")  # older starts have none
    size = f" ({parts} multiprocessors)" if parts else ""
    return f"{start['device']}{size}, torch {start['versions'].get('torch')}"


@dataclass(eq=False)
class Loop:
    """One run from its checkpoint, if there is one, to its last epoch."""

    recipe: Recipe
    training: Training
    dataset: Dataset
    device: torch.device
    checkpoint: CheckpointFile
    environment: Environment  # what is recorded of this machine and code
    title: str  # names the run on the progress bar
    progress: Progress = field(default_factory=Progress, init=False)
    best: dict[str, torch.Tensor] = field(default_factory=dict, init=False)  # if that epoch counts
    save_seconds: float = field(default=0.0, init=False)  # what the last checkpoint took

    def __post_init__(self) -> None:
        self.per_epoch = self.recipe.updates_per_epoch(self.dataset.counts["train"])
        self.total = self.recipe.passes * self.per_epoch
        self.clock = time.monotonic()
        self._restore()
        if self.progress.update < self.total or self._unmeasured():
            started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            start = {"from_update": self.progress.update, "started": started, "seconds": 0.0}
            self.progress.starts.append({**start, **self.environment})

    def _restore(self) -> None:
        saved = self.checkpoint.load(self.device)
        if saved is None:
            for frame in self.checkpoint.film.glob("*"):  # of an earlier training
                frame.unlink()
            return
        tensors, draws, self.progress = saved
        self._tell_other_machine(self.environment)
        if self.progress.update > self.total:
            raise UserError(
                f"{self.checkpoint.path}: already at epoch "
                f"{self.progress.update // self.per_epoch}, past epochs: {self.recipe.passes}; "
                "raise epochs in the parameters, or delete the file to train anew"
            )
        state, model = self.training.state(), self.training.model()
        keep = self.recipe.selection == "best_validation" and self.progress.validation
        best = {BEST + name: tensor for name, tensor in model.items()} if keep else {}
        self.checkpoint.require_alike(tensors, state | best)
        for name, tensor in state.items():
            tensor.copy_(tensors[name])
        self.best = {name.removeprefix(BEST): tensors[name] for name in best}
        if self.progress.update < self.total:  # else nothing is drawn any more
            self.training.rng.set_state(draws)

    def _tell_other_machine(self, environment: Environment) -> None:
        """Say so if the run goes on where sums may have another order."""
        before, now = self.progress.starts[-1], environment
        if recorded.on_gpu(self.device):
            if _gpu(before) != _gpu(now):
                self._tell(f"{_gpu(now)} after {_gpu(before)}", "on one")
        elif before["threads"] != now["threads"]:
            threads = f"{now['threads']} thread(s) after {before['threads']}"
            self._tell(threads, "under one number (OMP_NUM_THREADS sets it)")

    def _tell(self, change: str, one: str) -> None:
        differ = f"the bytes may differ from those of a run {one}"
        print(f"{self.title}: goes on with {change}; {differ}", file=sys.stderr)

    def _unmeasured(self) -> int | None:
        """Return the epoch that has ended but for its measurement, if there is one."""
        epoch, rest = divmod(self.progress.update, self.per_epoch)
        if rest or not epoch or epoch % self.recipe.validate_every:
            return None
        measured = self.progress.validation[-1]["epoch"] if self.progress.validation else 0
        return epoch if measured < epoch else None

    def _save(self) -> None:
        now = time.monotonic()
        start = self.progress.starts[-1]
        start["seconds"] += now - self.clock
        start["peak_memory_bytes"] = provenance.peak_memory(self.device)
        self.clock = now
        best = {BEST + name: tensor for name, tensor in self.best.items()}
        draws = self.training.rng.get_state()
        self.checkpoint.save(self.training.state() | best, draws, self.progress)
        self.save_seconds = time.monotonic() - now

    def run(self) -> None:
        """Train to the last epoch.

        Raise `Interrupted` on SIGINT or SIGTERM, after the state was saved; `Diverged` if
        parameters, or what is measured of them, are no longer finite.
        """
        with (
            interrupt.on_signals() as stop,
            tqdm(
                total=self.total,
                initial=self.progress.update,
                desc=self.title,
                unit="update",
                mininterval=1 if sys.stderr.isatty() else 30,
            ) as bar,
        ):
            while (epoch := self._unmeasured()) or self.progress.update < self.total:
                if epoch:
                    self._measure(epoch, bar, stop)
                else:
                    self._epoch(bar, stop)
                if stop.requested or self.progress.update == self.total or self._due():
                    self._save()
                    self._leave_if(stop)

    def models(self) -> dict[str, torch.Tensor]:
        """Return what the model file holds: the model of the last epoch, and of the best one."""
        return {
            **{f"last.{name}": tensor for name, tensor in self.training.model().items()},
            **{BEST + name: tensor for name, tensor in self.best.items()},
        }

    def _epoch(self, bar: "tqdm[Any]", stop: interrupt.Stop) -> None:
        progress, training = self.progress, self.training
        epoch, first = progress.update // self.per_epoch + 1, progress.update % self.per_epoch
        training.begin(epoch, progress.sums)
        for index in range(first, self.per_epoch):
            training.update(epoch, index)
            progress.update += 1
            bar.update()
            if index + 1 < self.per_epoch and (stop.requested or self._due()):
                progress.sums = training.sums()
                self._save()
                self._leave_if(stop)
        progress.sums = training.sums()
        self.checkpoint.require_finite(training.model(), progress)
        progress.curve.append(training.row(epoch, progress.update))
        progress.sums = []
        if epoch in EPOCHS or progress.update == self.total:
            samples = training.film()
            if samples is not None:
                write_frame(
                    self.checkpoint.film, epoch, samples, self.dataset.name, self.dataset.shape
                )

    def _measure(self, epoch: int, bar: "tqdm[Any]", stop: interrupt.Stop) -> None:
        """Validate an epoch; a signal ends that at once, and the next start does it anew."""
        rows = self.progress.validation
        try:
            with stop.at_once():
                row = self.training.validate(epoch)
        except interrupt.StopNow:
            return
        if not all(map(math.isfinite, row.values())):  # the last update may overflow the model
            raise self.checkpoint.diverged(self.progress.update)
        rows.append(row)
        keep = self.recipe.selection == "best_validation"
        if keep and self.progress.best() is row:
            self.best = {name: t.clone() for name, t in self.training.model().items()}
        bar.set_postfix(epoch=epoch, valid=f"{row['valid_nats']:.1f} nats")

    def _due(self) -> bool:
        pause = max(CHECKPOINT_SECONDS, SAVING_RATIO * self.save_seconds)
        return time.monotonic() - self.clock > pause

    def _leave_if(self, stop: interrupt.Stop) -> None:
        if stop.requested and (self.progress.update < self.total or self._unmeasured()):
            raise Interrupted(
                f"{self.title}: stopped at update {self.progress.update} of {self.total}, saved "
                f"in {self.checkpoint.path}; the same command goes on from there"
            )
