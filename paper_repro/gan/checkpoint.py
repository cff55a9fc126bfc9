"""Checkpoints: a training run's whole state in one file, so that it can go on as if never stopped.

A file is named by the run's recipe (all that decides its course but `epochs`, so that raising them
continues a finished run) and by the code that made it. Edited code starts anew beside the old
file, as a user of DVC expects; ``--adopt`` takes the newest file of the same recipe over.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from paper_repro.core.dataset import Dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import digest
from paper_repro.core.runs import Run
from paper_repro.core.tensor_file import load_tensors, read_record, save_tensors
from paper_repro.gan.model import recipe
from paper_repro.gan.update import DIAGNOSTICS, GRADIENT_NORMS

CHECKPOINTS = Path("checkpoints")
DEVICE_KINDS = ("cpu", "cuda")


class Diverged(UserError):
    """A run's numbers are no longer finite."""


@dataclass
class Progress:
    """How far a run has come, all but its tensors."""

    update: int = 0  # updates done, over all epochs
    sums: list[float] = field(default_factory=lambda: [0.0] * len(DIAGNOSTICS))  # of this epoch
    norm_sums: list[float] = field(default_factory=lambda: [0.0] * len(GRADIENT_NORMS))
    norm_count: int = 0
    curve: list[dict[str, float | None]] = field(default_factory=list)  # a row an epoch
    validation: list[dict[str, float]] = field(default_factory=list)  # a row a measured epoch
    sittings: list[dict[str, Any]] = field(default_factory=list)  # when and on what it was trained

    def reset_sums(self) -> None:
        """Begin an epoch."""
        self.sums = [0.0] * len(DIAGNOSTICS)
        self.norm_sums = [0.0] * len(GRADIENT_NORMS)
        self.norm_count = 0

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

    def updates(self) -> int:
        """Return how many updates the file holds, 0 if there is none (`UserError` if damaged)."""
        return int(read_record(self.path)["update"]) if self.path.is_file() else 0

    def adopt(self) -> Path | None:
        """Move the newest file of this recipe and other code here; return where it was.

        None if this code has a file already.

        Raises
        ------
        UserError
            If there is nothing to adopt: training would begin at the first update.
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
        newest.replace(self.path)
        return newest

    def save(
        self, tensors: dict[str, torch.Tensor], draws: torch.Tensor, progress: Progress
    ) -> None:
        """Write the state, whole or not at all, and without a second copy of it in memory.

        Raises
        ------
        Diverged
            If a tensor or a diagnostic is not finite: the file of before is kept.
        """
        self.require_finite(tensors, progress)
        save_tensors(self.path, {**tensors, "draws": draws}, asdict(progress))

    def require_finite(self, tensors: dict[str, torch.Tensor], progress: Progress) -> None:
        """Raise `Diverged` if a tensor or a sum of diagnostics holds NaN or infinity."""
        # Smallest and largest, because isfinite would make arrays as large as the weights.
        # Gathered on the CPU, where Adam's step counts are on any device.
        ends = [end.cpu() for tensor in tensors.values() for end in torch.aminmax(tensor)]
        if not bool(torch.stack(ends).isfinite().all()) or not all(
            math.isfinite(x) for x in (*progress.sums, *progress.norm_sums)
        ):
            raise self.diverged(progress.update)

    def diverged(self, update: int) -> "Diverged":
        """Return the error of a run whose numbers are no longer finite."""
        return Diverged(
            f"training diverged: NaN or infinity by update {update}; the last good checkpoint "
            f"is kept in {self.path}"
        )

    def load(
        self, device: torch.device
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, Progress] | None:
        """Return what `save` wrote; None if there is no file (`UserError` if it is damaged)."""
        if not self.path.is_file():
            return None
        tensors, record = load_tensors(self.path, device=device)
        try:
            return tensors, tensors.pop("draws").cpu(), Progress(**record)
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self.path}: not a checkpoint of this version ({error}); delete it and run again"
            ) from None


def checkpoint_file(
    run: Run,
    experiment: recipe.Experiment,
    dataset: Dataset,
    device: torch.device,
    code: str,
    start: str | None = None,
) -> CheckpointFile:
    """Return where the run's state belongs; a finished one counts, whatever made it.

    Parameters
    ----------
    code : hash of the training code.
    start : hash of the model that the run is stacked on.
    """

    def of(kind: str) -> CheckpointFile:
        made_by = {
            # Without what stands at its default: a key added later leaves finished runs alone.
            "experiment": experiment.model_dump(
                exclude={"epochs", "device"}, exclude_defaults=True
            ),
            "seed": run.seed,
            "data": dataset.digest(),
            "device": kind,  # its random states can't move to another kind
            **({"start": start} if start else {}),
        }
        return CheckpointFile(CHECKPOINTS / run.key, digest(made_by), code)

    own = of(device.type)
    if own.path.is_file():
        return own
    total = experiment.epochs * experiment.updates_per_epoch(dataset.counts["train"])
    others = [of(kind) for kind in DEVICE_KINDS if kind != device.type]
    return next((other for other in others if other.updates() == total), own)
