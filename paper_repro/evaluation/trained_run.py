"""A trained run: what training recorded of it, its data set, and its model as a sampler."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NotRequired

import torch

from paper_repro.core import provenance
from paper_repro.core.circumstances import measured_by, write_circumstances
from paper_repro.core.dataset import Dataset, read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.families import Family, family_of, module
from paper_repro.core.files import write_json
from paper_repro.core.measure import Measure
from paper_repro.core.params import Params
from paper_repro.core.recipe import ModelModule, Recipe, recorded
from paper_repro.core.records import (
    Closed,
    Sealed,
    Trained,
    or_not_run,
    read_record,
    read_training,
    require_model,
    write_record,
)
from paper_repro.core.runs import (
    Run,
    measure_key,
    model_path,
    read_run,
    repro,
    walk_path,
    weights_path,
)
from paper_repro.core.sampler import Sampler
from paper_repro.core.tensor_file import load_tensors


class Weights(Closed):
    """``generator.json``: what is published as ``generator.safetensors``, in half precision."""

    status: Literal["ok"]
    epoch: int
    parameters: int
    files: dict[str, str]
    content_sha256: NotRequired[str]


class Width(Closed):
    """A walk of one width on validation images: of each chain, its σ and log-likelihood."""

    std: float
    sigmas: list[float]
    valid_means: list[float]


class WalkChoice(Sealed):
    """``walk.json``: the width of a walk, as validation images chose it (`diagnostics.walk`)."""

    status: Literal["ok"]
    std: float  # chosen
    best: float  # whose mean over chains is the highest
    alike: list[float]  # no more than one standard error of the best one's mean below it
    at_end: bool  # whether the best is the grid's first or last
    coarse: bool  # whether the grid jumps by more than half beside the best
    widths: list[Width]
    measure: dict[str, Any]


WEIGHTS, WALK = or_not_run(Weights), or_not_run(WalkChoice)


@dataclass(frozen=True)
class TrainedRun:
    """A run as training left it, by the recipe that made it."""

    params: Params
    run: Run
    record: Trained
    recipe: Recipe
    epoch: int  # that its samples are of, if none is named
    published: bool = False  # whether its samples are those of the published weights
    opened: float = field(default_factory=time.monotonic)

    def dataset(self) -> Dataset:
        """Return the data set that the run was trained on (`UserError` if others are prepared)."""
        found = read_dataset(self.run.profile, self.run.dataset)
        made = self.record["data"]
        if any(found.sha256.get(part) != made["sha256"][part] for part in made["counts"]):
            raise UserError(
                f"{found.folder}: other images than {self.run.key} was trained on; run "
                f"`{repro(self.run.profile, f'train@{self.run.key}')}`"
            )
        return found

    def measure(self) -> Measure:
        """Return how the profile measures the run (`UserError` as `measure_of`)."""
        return measure_of(self.params, self.run)

    @property
    def code(self) -> str:
        """The module that the model's code is reached from, beside the stage's own."""
        return module(self._family.model)

    def write_circumstances(self, stage: str, own: str) -> None:
        """Write those of a stage, whose module is `own`, since the run was opened."""
        made: dict[str, Any] = {**provenance.environment(torch.device("cpu"), own, self.code)}
        made["seconds"] = time.monotonic() - self.opened
        write_circumstances(self.run, stage, made)

    @property
    def _family(self) -> Family:
        return family_of(self.record["experiment_parameters"], self.run.key)

    def sampler(self, epoch: str | None = None, std: float | torch.Tensor | None = None) -> Sampler:
        """Return the model of the ``best`` or ``last`` epoch as a sampler, on the CPU.

        Without a name: of the epoch that the experiment's result is measured at. A `UserError` if
        a file is absent or damaged, or holds another model than the recipe describes.

        Parameters
        ----------
        std : of the noise of its walk, in place of the chosen one; or several, (w, 1, 1).
        """
        path, prefix = model_path(self.run.key), f"{epoch or self.record['selected']}."
        if self.published:
            path, prefix = weights_path(self.run), ""
        tensors, _ = load_tensors(path, f"{prefix}generator.")
        if not self._family.independent:  # of which a chain walks in double precision
            tensors = {name: tensor.double() for name, tensor in tensors.items()}
        family: ModelModule = self._family.model_module()
        try:
            return family.sampler(
                self.recipe,
                tensors,
                self._chosen() if std is None else std,
                functools.cache(lambda: self.dataset().load("train")),  # by every set of chains
            )
        except ValueError as error:
            raise UserError(
                f"{path}: not the network of its recipe ({error}); run `dvc repro` to train it"
            ) from None

    def _chosen(self) -> float | None:
        """Return the width of its walk; None if the profile has none chosen."""
        if self.measure().walk is None:
            return None
        path, again = walk_path(self.run), repro(self.run.profile, f"walk@{self.run.key}")
        found = read_record(path, WALK, again)
        if found["status"] != "ok":
            raise UserError(f"{path}: says {found['status']!r}; run `{again}`")
        return found["std"]


def measure_of(params: Params, run: Run) -> Measure:
    """Return how a profile measures a run, by the entry of `measure_key` (`UserError` if bad)."""
    return params.parse(Measure, "measure", measure_key(params, run))


def open_shown(
    key: str, *outputs: str, draw_note: Callable[[Path, str], None] | None = None
) -> TrainedRun | None:
    """Return a run as `open_run`: by its published weights where there are any."""
    params, _ = read_run(key)
    published = params.group("presentation").get("published", ())
    return open_run(key, *outputs, published=key in published, draw_note=draw_note)


def open_published(key: str, *outputs: str) -> TrainedRun | None:
    """Return a run as `open_run`, by its published weights."""
    return open_run(key, *outputs, published=True)


def open_run(
    key: str,
    *outputs: str,
    published: bool = False,
    draw_note: Callable[[Path, str], None] | None = None,
) -> TrainedRun | None:
    """Return a trained run; None of one without a model, whose outputs then say why there is none.

    A `UserError` if parameters are bad, or the run's model or a record is absent or damaged.

    Parameters
    ----------
    outputs : names of the stage's files in the run's folder.
    published : whether to open its published weights in place of its model.
    draw_note : writes a line of text into a picture.
    """
    params, run = read_run(key)
    record = read_training(run)
    if record["status"] != "ok":
        for stage in measured_by(run):  # of a model that was there before
            write_circumstances(run, stage, None)
        why = f"{record['status']}: {record['reason']}"
        for name in outputs:
            if name.endswith(".png") and draw_note is not None:
                draw_note(run.folder / name, why)
            elif name == "metrics.json":  # `dvc metrics` flattens what it shows
                write_json(run.folder / name, {"status": record["status"]})
            else:
                write_record(run.folder / name, record)
        print(f"{run.key}: {why}")
        return None
    made = recorded(record["experiment_parameters"], run.folder / "training.json")
    if not published:
        require_model(run)
        return TrainedRun(params, run, record, made, record["best_epoch"])
    again, path = repro(run.profile, f"weights@{key}"), weights_path(run).with_suffix(".json")
    weights = read_record(path, WEIGHTS, again)  # which checks the generator, too
    if weights["status"] != "ok":
        raise UserError(f"{path}: says {weights['status']!r}, but {key} is trained; run `{again}`")
    return TrainedRun(params, run, record, made, weights["epoch"], published=True)
