"""How far runs are, from the headers of their checkpoints and the records that training leaves."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from paper_repro.core import provenance
from paper_repro.core.circumstances import TRAINING, read_circumstances
from paper_repro.core.dataset import Dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import digest, sha256_file
from paper_repro.core.recipe import Recipe, family_in
from paper_repro.core.records import read_training, require_model
from paper_repro.core.runs import Run
from paper_repro.core.tensor_file import read_metadata
from paper_repro.forecast.duration import present_checkpoint
from paper_repro.training.checkpoint import DEVICE_KINDS
from paper_repro.training.train import inputs, stage_modules


@functools.cache  # for all runs of a family, and for a list that is refreshed
def _code(*modules: str) -> str:
    return provenance.code_digest(*modules)


@dataclass(frozen=True)
class State:
    """What decides a run's training, and how far the checkpoint is that was made by that."""

    run: Run
    recipe: Recipe
    dataset: Dataset
    code: str  # its hash
    update: int  # updates done
    rate: float | None  # updates a second since it was last started
    validation: dict[str, Any] | None  # the newest row

    @property
    def epochs_left(self) -> int:
        """Epochs that are not done, one that has begun among them."""
        each = self.recipe.updates_per_epoch(self.dataset.counts["train"])
        return self.recipe.passes - self.update // each

    @property
    def trained(self) -> bool:
        """Whether the last epoch is done and measured."""
        measured = self.validation["epoch"] if self.validation else 0
        return self.epochs_left <= 0 and measured == self.recipe.passes

    @property
    def stamp(self) -> str:
        """What a job trains by: a digest of the run, its recipe, data and code.

        Not of the model that it starts from, which may be in training when the job is submitted.
        """
        run, recipe = self.run.model_dump(), self.recipe.model_dump(mode="json")
        parts = {"run": run, "recipe": recipe, "data": self.dataset.digest(), "code": self.code}
        return digest(parts)[:12]

    @property
    def finished(self) -> bool:
        """Whether training left all outputs of this recipe, data and code.

        Whether it diverged is no matter: that is a result, too.
        """
        try:
            record = read_training(self.run)
            made = read_circumstances(self.run, "train", TRAINING)
            if record["status"] == "ok":
                require_model(self.run)
            below = sha256_file(self.run.stacked_on) if self.run.stacked_on else None
        except (OSError, UserError):
            return False
        return (
            made is not None
            and made["starts"][-1]["code_sha256"] == self.code
            and record.get("data") == self.dataset.record()
            and record.get("experiment_parameters") == self.recipe.model_dump(mode="json")
            and record.get("stacked_on", {}).get("sha256") == below
        )


def read_state(key: str, kinds: Iterable[str] = DEVICE_KINDS) -> State | None:
    """Return how far a run is; None if there are no images to train it on.

    Parameters
    ----------
    kinds : of device whose checkpoints count; all, because the one here need not be a job's.

    Raises
    ------
    UserError
        If no such run is listed, its data are not prepared, or its checkpoint is damaged.
    """
    params, run, recipe, dataset = inputs(key)
    if not dataset.ok:
        return None
    code = _code(*stage_modules(family_in(params, run.experiment)))
    devices = map(torch.device, kinds)
    paths = {present_checkpoint(run, recipe, dataset, device, code).path for device in devices}
    records = [read_metadata(path) for path in paths if path.exists()]
    record = max(records, key=lambda found: found["update"], default={})
    update, rate = record.get("update", 0), None
    if record.get("starts"):
        start = record["starts"][-1]
        rate = (update - start["from_update"]) / max(start["seconds"], 1e-9)
    rows = record.get("validation")
    return State(run, recipe, dataset, code, update, rate, rows[-1] if rows else None)
