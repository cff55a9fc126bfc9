"""Stage ``train@<run>``: from a prepared data set to a model, its curves and its record."""

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from paper_repro.core import provenance
from paper_repro.core.circumstances import write_circumstances
from paper_repro.core.dataset import Dataset, read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.families import Family, module
from paper_repro.core.files import sha256_file, write_text
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import Params
from paper_repro.core.recipe import Recipe, family_in, recipe_of
from paper_repro.core.records import require_model, write_record
from paper_repro.core.runs import Run, model_path, read_run, runs
from paper_repro.core.tensor_file import save_tensors
from paper_repro.training.checkpoint import Diverged, Progress, checkpoint_file
from paper_repro.training.family import TrainingModule
from paper_repro.training.loop import Loop, resolve_device


def _write_table(path: Path, rows: list[Any], columns: tuple[str, ...]) -> None:
    write_text(path, pd.DataFrame(rows, columns=list(columns)).to_csv(index=False))


def _write_outputs(
    run: Run,
    record: dict[str, Any],
    training: dict[str, Any],
    progress: Progress,
    tensors: dict[str, torch.Tensor],
    family: TrainingModule,
) -> None:
    """Write all outputs of the stage; `record` goes into the model, `training` into the report."""
    starts = progress.starts
    spent = {"seconds": sum(start["seconds"] for start in starts), "starts": starts}
    write_circumstances(run, "train", spent if starts else None)
    curve, validation = run.folder / "curve.csv", run.folder / "validation.csv"
    _write_table(curve, progress.curve, family.CURVE)
    _write_table(validation, progress.validation, family.VALIDATION)
    save_tensors(model_path(run.key), tensors, record)
    if tensors:
        training = training | {"model_sha256": sha256_file(model_path(run.key))}
    write_record(run.folder / "training.json", record | training, curve, validation)


@fast_float32()
def train(key: str, *, fresh: bool = False, adopt: bool = False) -> None:
    """Train a listed run, or write that it can't be run or that it diverged.

    A recipe that diverges with a seed is a result: it is written down, and keeps no other run from
    the report. A `UserError` on bad parameters or data, an absent device, an interrupt, or code,
    data or parameters that changed during the run.

    Parameters
    ----------
    fresh : discard the checkpoint and start anew.
    adopt : go on from the newest checkpoint of the same recipe that other code made.
    """
    params, run, recipe, dataset = inputs(key)
    where = params.where(run.experiment)
    family = family_in(params, run.experiment)
    made_by: TrainingModule = family.training_module()
    if not dataset.ok:
        record = {**run.model_dump(), "status": dataset.status}
        record |= {"reason": dataset.reason, "todo": dataset.todo}
        _write_outputs(run, record, {}, Progress(), {}, made_by)
        print(f"{key}: not run: {dataset.reason}")
        return
    _check(where, recipe, dataset, made_by)
    device = resolve_device(recipe.device, f"{where}.device")
    modules = stage_modules(family)
    code, stacked_on = provenance.code_digest(*modules), _stacked_on(params, run)
    checkpoint = checkpoint_file(run, recipe, dataset, device, code, stacked_on)
    with checkpoint.held():
        if fresh:
            checkpoint.path.unlink(missing_ok=True)
            # It may have been of a run that another kind of device finished.
            checkpoint = checkpoint_file(run, recipe, dataset, device, code, stacked_on)
        if adopt:
            adopted = checkpoint.adopt()
            print(
                f"{key}: going on from {adopted}, which other code made"
                if adopted
                else f"{key}: the present code has a checkpoint of its own (--fresh discards it)",
                file=sys.stderr,
            )
        training = made_by.training(
            recipe,
            dataset.shape,
            dataset.load("train").to(device),
            dataset.load(dataset.folds[0][0]).to(device),  # the first fold's, if several
            run.seed,
            None if checkpoint.path.exists() else run.stacked_on,
        )
        environment = provenance.environment(device, *modules)
        loop = Loop(recipe, training, dataset, device, checkpoint, environment, key)
        models: dict[str, torch.Tensor] = {}
        try:
            loop.run()
            models = loop.models()
        except Diverged as error:
            print(f"{key}: {error}", file=sys.stderr)
        # DVC hashes the inputs after the command: an edit during the run would be recorded as the
        # code that made the model.
        if (run, recipe, dataset) != inputs(key)[1:] or code != provenance.code_digest(*modules):
            raise UserError(
                f"{key}: code, data or parameters changed while it ran; the checkpoint "
                f"{checkpoint.path} is kept; run again with what it should be"
            )
        record = {
            **run.model_dump(),
            "status": dataset.status,
            "data": dataset.record(),
            **({"stacked_on": {"model": run.start, "sha256": stacked_on}} if stacked_on else {}),
        }
        told: dict[str, Any] = {"experiment_parameters": recipe.model_dump(mode="json")}
        if not models:
            record |= {
                "status": "diverged",
                "reason": "training diverged: NaN or infinity in epoch "
                f"{math.ceil(loop.progress.update / loop.per_epoch)}",
                "todo": f"list another seed in {params.own.path}, or lower learning_rate there, "
                "which makes another recipe",
            }
        else:
            best = loop.progress.best()
            record |= {
                "epochs": recipe.passes,
                "updates": loop.progress.update,
                "selected": "best" if loop.best else "last",
                "best_epoch": int(best["epoch"]) if loop.best and best else recipe.passes,
            }
            measured = loop.progress.validation[-1]
            told["validation"] = {name: measured[name] for name in made_by.VALIDATION}
            told["parameters"] = training.parameters()
        _write_outputs(run, record, told, loop.progress, models, made_by)


def stage_modules(family: Family) -> tuple[str, ...]:
    """Return what the code of a family's training is reached from."""
    return __name__, module(family.training), module(family.model)


def inputs(key: str) -> tuple[Params, Run, Recipe, Dataset]:
    """Return what a run is trained by (`UserError` if any of it is bad)."""
    params, run = read_run(key)
    return params, run, recipe_of(params, run.experiment), read_dataset(run.profile, run.dataset)


def _stacked_on(params: Params, run: Run) -> str | None:
    """Return the hash of the model that a run is stacked on, if it is (`UserError` if damaged)."""
    if run.stacked_on is None:
        return None
    return sha256_file(require_model(runs(params)[run.stacked_on.stem]))


def _check(where: str, recipe: Recipe, dataset: Dataset, family: TrainingModule) -> None:
    """Raise a `UserError` for what the parameters' types can't rule out."""
    images = dataset.counts["train"]
    if recipe.batch_size > images:
        raise UserError(
            f"{where}.batch_size: {recipe.batch_size}, but there are {images} training images"
        )
    try:
        family.check(recipe, dataset.shape)
    except ValueError as error:
        raise UserError(f"{where}.{error}") from None
