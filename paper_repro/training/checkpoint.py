"""Checkpoints: a training run's whole state in one file, so that it can go on as if never stopped.

A file is named by the run's recipe (all that decides its course but `epochs`, so that raising them
continues a finished run) and by the code that made it. Edited code starts anew beside the old
file, as a user of DVC expects; ``--adopt`` takes the newest file of the same recipe over. Inside
stand both once more, with a checksum over everything: what is damaged or another run's is refused.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from paper_repro.core.dataset import Dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import digest, held, sweep
from paper_repro.core.recipe import Recipe
from paper_repro.core.runs import Run
from paper_repro.core.tensor_file import (
    content_digest,
    load_tensors,
    read_metadata,
    save_tensors,
)

CHECKPOINTS = Path("checkpoints")
LOCK = "lock"  # of a run's folder there
DEVICE_KINDS = ("cpu", "cuda")
DRAWS = "draws"  # the random generator's state, among the tensors
SEAL = "sha256"  # of everything else in the file


class Diverged(UserError):
    """A run's numbers are no longer finite."""


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass
class Progress:
    """How far a run has come, all but its tensors."""

    update: int = 0  # updates done, over all epochs
    sums: list[float] = field(default_factory=list)  # of the epoch so far, if one has begun
    curve: list[dict[str, int | float | None]] = field(default_factory=list)  # a row an epoch
    # A row a measured epoch.
    validation: list[dict[str, int | float]] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)  # when and on what it was trained

    def best(self) -> dict[str, float] | None:
        """Return the first of the validation rows with the highest likelihood."""
        return max(self.validation, key=lambda row: row["valid_nats"], default=None)


@dataclass(frozen=True)
class CheckpointFile:
    """Where a run keeps its state."""

    folder: Path
    recipe: str
    code: str

    @property
    def path(self) -> Path:
        """The file of this recipe and this code."""
        return self.folder / f"{self.recipe[:16]}-{self.code[:16]}.safetensors"

    @property
    def film(self) -> Path:
        """The folder of the recipe's film, whatever code made it."""
        return self.folder / f"film-{self.recipe[:16]}"

    def updates(self) -> int:
        """Return how many updates the file holds, 0 if there is none (`UserError` if damaged)."""
        if not self.path.exists():
            return 0
        return self._progress(read_metadata(self.path), self.path).update

    def adopt(self) -> Path | None:
        """Take over the newest file of this recipe and other code; return where it was.

        None if this code has a file already. A `UserError` if there is nothing to adopt, so that
        training would begin at the first update, or if the file is damaged.
        """
        if self.path.exists():
            return None
        others = list(self.folder.glob(f"{self.recipe[:16]}-*"))
        if not others:
            raise UserError(
                f"{self.folder}: no checkpoint of this recipe, seed and data to adopt; copy it "
                "there, or leave --adopt out to begin at the first update"
            )
        newest = max(others, key=lambda path: path.stat().st_mtime)
        tensors, progress = self._read(newest, torch.device("cpu"), any_code=True)
        self._write(tensors, progress)
        newest.unlink()
        return newest

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process, on this machine or another, from training the same run.

        What a killed process left half-written is swept. A `UserError` as `files.held`.
        """
        busy = (
            "{holder} is training this run; wait until it has ended, or end it (SIGTERM: it "
            "saves), then run the same command again"
        )
        with held(self.folder / LOCK, busy):
            sweep(self.folder)
            yield

    def save(
        self, tensors: dict[str, torch.Tensor], draws: torch.Tensor, progress: Progress
    ) -> None:
        """Write the state, whole or not at all, and without a second copy of it in memory.

        Raise `Diverged` if a tensor or a diagnostic is not finite: the file of before is kept.
        """
        self.require_finite(tensors, progress)
        self._write({**tensors, DRAWS: draws}, progress)

    def _write(self, tensors: dict[str, torch.Tensor], progress: Progress) -> None:
        tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        record = {"recipe": self.recipe, "code": self.code, **asdict(progress)}
        sealed = record | {SEAL: content_digest(tensors, record)}
        save_tensors(self.path, tensors, sealed)

    def require_finite(self, tensors: dict[str, torch.Tensor], progress: Progress) -> None:
        """Raise `Diverged` if a tensor or a sum of diagnostics holds NaN or infinity."""
        # Smallest and largest, because isfinite would make arrays as large as the weights.
        # Gathered on the CPU, where Adam's step counts are on any device.
        ends = [end.cpu() for tensor in tensors.values() for end in torch.aminmax(tensor)]
        if not (torch.stack(ends).isfinite().all() and all(map(math.isfinite, progress.sums))):
            raise self.diverged(progress.update)

    def diverged(self, update: int) -> "Diverged":
        """Return the error of a run whose numbers are no longer finite."""
        kept = f"; the last good checkpoint is kept in {self.path}" if self.path.is_file() else ""
        return Diverged(f"training diverged: NaN or infinity by update {update}{kept}")

    def load(
        self, device: torch.device
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, Progress] | None:
        """Return what `save` wrote; None if there is no file (`UserError` if it is another's)."""
        if not self.path.exists():
            return None
        tensors, progress = self._read(self.path, device)
        return tensors, tensors.pop(DRAWS).cpu(), progress

    def _read(
        self, path: Path, device: torch.device, *, any_code: bool = False
    ) -> tuple[dict[str, torch.Tensor], Progress]:
        tensors, record = load_tensors(path, device=device)
        seal = record.pop(SEAL, None)
        if seal != content_digest(tensors, record) or DRAWS not in tensors:
            raise UserError(
                f"{path}: damaged: its content is not what its checksum says; delete it and run "
                "again, which trains from the first update"
            )
        code = record["code"] if any_code else self.code
        if (record["recipe"], record["code"]) != (self.recipe, code):
            raise UserError(
                f"{path}: the state of another run or of other code; move it to where it belongs "
                "(--adopt takes over what other code made)"
            )
        return tensors, self._progress(record, path)

    @staticmethod
    def _progress(record: dict[str, Any], path: Path) -> Progress:
        try:
            own = {name: x for name, x in record.items() if name not in (SEAL, "recipe", "code")}
            TypeAdapter(Progress).validate_json(json.dumps(own))
            return Progress(**own)
        except ValidationError as error:
            raise UserError(
                f"{path}: not a checkpoint of this version ({error.errors()[0]['msg']}); delete "
                "it and run again"
            ) from None

    def require_alike(
        self, found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]
    ) -> None:
        """Raise a `UserError` unless names, shapes and types of tensors are those expected."""
        ours, theirs = (
            {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in some.items()}
            for some in (found, expected)
        )
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                raise UserError(
                    f"{self.path}: {name}: holds {ours.get(name)}, expected {theirs.get(name)}; "
                    "delete the file and run again"
                )


def checkpoint_file(
    run: Run,
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    code: str,
    start: str | None = None,
) -> CheckpointFile:
    """Return where the run's state belongs; a finished one counts, whatever made it.

    `code` and `start` are hashes: of the training code, and of the model that it is stacked on.
    """

    def of(kind: str) -> CheckpointFile:
        made_by = {
            "experiment": recipe.course(),
            "seed": run.seed,
            "data": dataset.digest(),
            "device": kind,  # its random states can't move to another kind
            **({"start": start} if start else {}),
        }
        return CheckpointFile(CHECKPOINTS / run.key, digest(made_by), code)

    own = of(device.type)
    if own.path.exists():
        return own
    total = recipe.passes * recipe.updates_per_epoch(dataset.counts["train"])
    others = [of(kind) for kind in DEVICE_KINDS if kind != device.type]
    return next((other for other in others if other.updates() == total), own)
