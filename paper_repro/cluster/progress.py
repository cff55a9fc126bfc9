"""How far runs are, from the headers of their checkpoints and the records that training leaves."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from paper_repro.core import provenance
from paper_repro.core.circumstances import read_circumstances
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


@dataclass(frozen=True)
class State:
    """A run's state as its checkpoint of the present recipe and code has it."""

    run: Run
    epochs: int  # of the whole training
    updates_per_epoch: int
    update: int  # updates done
    rate: float | None  # updates a second since it was last started
    validation: dict[str, Any] | None  # the newest row

    @property
    def epochs_left(self) -> int:
        """Epochs that are not done, one that has begun among them."""
        return self.epochs - self.update // self.updates_per_epoch

    @property
    def trained(self) -> bool:
        """Whether the last epoch is done and measured."""
        measured = self.validation["epoch"] if self.validation else 0
        return self.epochs_left <= 0 and measured == self.epochs


@functools.cache  # for all runs of a family, and for a list that is refreshed
def _code(*modules: str) -> str:
    return provenance.code_digest(*modules)


def _made_of(key: str) -> tuple[Run, Recipe, Dataset, str]:
    """Return what decides a run's training, the hash of its code last."""
    params, run, recipe, dataset = inputs(key)
    return run, recipe, dataset, _code(*stage_modules(family_in(params, run.experiment)))


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
    run, recipe, dataset, code = _made_of(key)
    if not dataset.ok:
        return None
    paths = {
        present_checkpoint(run, recipe, dataset, torch.device(kind), code).path for kind in kinds
    }
    records = [read_metadata(path) for path in paths if path.exists()]
    record = max(records, key=lambda found: found["update"], default={})
    update, rate = record.get("update", 0), None
    if record.get("starts"):
        start = record["starts"][-1]
        rate = (update - start["from_update"]) / max(start["seconds"], 1e-9)
    return State(
        run,
        recipe.passes,
        recipe.updates_per_epoch(dataset.counts["train"]),
        update,
        rate,
        record["validation"][-1] if record.get("validation") else None,
    )


def finished(key: str) -> bool:
    """Return whether training left all outputs of the present recipe, data and code.

    Whether it diverged is no matter: that is a result, too.
    """
    run, recipe, dataset, code = _made_of(key)
    try:
        record, made = read_training(run), read_circumstances(run, "train")
        if record["status"] == "ok":
            require_model(run)
        below = sha256_file(run.stacked_on) if run.stacked_on else None
    except (OSError, UserError):
        return False
    return (
        made is not None
        and made["starts"][-1]["code_sha256"] == code
        and record.get("data") == dataset.record()
        and record.get("experiment_parameters") == recipe.model_dump(mode="json")
        and record.get("stacked_on", {}).get("sha256") == below
    )


def stamp(key: str) -> str:
    """Return what a job trains by: a digest of the run, its recipe, data and code.

    Not of the model that it starts from, which may be in training when the job is submitted.
    """
    run, recipe, dataset, code = _made_of(key)
    parts = {
        "run": run.model_dump(),
        "recipe": recipe.model_dump(mode="json"),
        "data": dataset.digest(),
        "code": code,
    }
    return digest(parts)[:12]
