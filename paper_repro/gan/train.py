"""Stage ``train@<run>``: from a prepared data set to a model, its curves and its record."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from paper_repro.core import provenance
from paper_repro.core.circumstances import write_circumstances
from paper_repro.core.dataset import Dataset, read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_file, write_text
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import Params, read_params
from paper_repro.core.records import CURVE, VALIDATION, require_model, write_record
from paper_repro.core.runs import Run, model_path, read_run, runs
from paper_repro.core.tensor_file import save_tensors
from paper_repro.gan import joint_update
from paper_repro.gan.checkpoint import Diverged, Progress, checkpoint_file
from paper_repro.gan.loop import Loop, Trained, resolve_device
from paper_repro.gan.model import recipe
from paper_repro.gan.model.networks import check_shapes


def _write_table(path: Path, rows: list[Any], columns: tuple[str, ...]) -> None:
    write_text(path, pd.DataFrame(rows, columns=list(columns)).to_csv(index=False))


def _write_outputs(
    run: Run,
    record: dict[str, Any],
    training: dict[str, Any],
    progress: Progress,
    trained: Trained | None,
) -> None:
    """Write all outputs of the stage; `record` goes into the model, `training` into the report."""
    tensors = {}
    if trained:
        tensors = {f"last.{name}": tensor for name, tensor in trained.last.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in trained.best.items()}
    starts = progress.starts
    spent = {"seconds": sum(start["seconds"] for start in starts), "starts": starts}
    write_circumstances(run, "train", spent if starts else None)
    curve, validation = run.folder / "curve.csv", run.folder / "validation.csv"
    _write_table(curve, progress.curve, CURVE)
    _write_table(validation, progress.validation, VALIDATION)
    save_tensors(model_path(run.key), tensors, record)
    if trained:
        training = training | {"model_sha256": sha256_file(model_path(run.key))}
    write_record(run.folder / "training.json", record | training, curve, validation)


@fast_float32()
def train(key: str, *, fresh: bool = False, adopt: bool = False) -> None:
    """Train a listed run, or write that it can't be run or that it diverged.

    A recipe that diverges with a seed is a result: it is written down, and keeps no other run from
    the report.

    Parameters
    ----------
    fresh : discard the checkpoint and start anew.
    adopt : go on from the newest checkpoint of the same recipe that other code made.

    Raises
    ------
    UserError
        On bad parameters or data, an absent device, an interrupt, or code, data or parameters that
        changed during the run.
    """
    params, run, experiment, dataset = _inputs(key)
    if not dataset.ok:
        record = {**run.model_dump(), "status": dataset.status}
        record |= {"reason": dataset.reason, "todo": dataset.todo}
        _write_outputs(run, record, {}, Progress(), None)
        print(f"{key}: not run: {dataset.reason}")
        return
    where = params.where(run.experiment)
    _check(where, experiment, dataset)
    device = resolve_device(experiment.device, f"{where}.device")
    # Else an NVIDIA GPU may round the factors of float32 products to ten bits (tf32).
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    code = provenance.code_digest(__name__)
    start, stacked_on = run.stacked_on, _stacked_on(run.profile, run.stacked_on)
    checkpoint = checkpoint_file(run, experiment, dataset, device, code, stacked_on)
    with checkpoint.held():
        if fresh:
            checkpoint.path.unlink(missing_ok=True)
        if adopt:
            adopted = checkpoint.adopt()
            print(
                f"{key}: going on from {adopted}, which other code made"
                if adopted
                else f"{key}: the present code has a checkpoint of its own (--fresh discards it)",
                file=sys.stderr,
            )
        environment = provenance.environment(__name__, device)
        loop = Loop(experiment, dataset, run.seed, device, checkpoint, environment, key, start)
        _run(params, run, loop, code, stacked_on)


def _run(params: Params, run: Run, loop: Loop, code: str, stacked_on: str | None) -> None:
    """Train to the end and write all outputs."""
    key, experiment, dataset = run.key, loop.experiment, loop.dataset
    trained = None
    try:
        trained = loop.run()
    except Diverged as error:
        print(f"{key}: {error}", file=sys.stderr)
    # DVC hashes the inputs after the command: an edit during the run would be recorded as the
    # code that made the model.
    if (run, experiment, dataset) != _inputs(key)[1:] or code != provenance.code_digest(__name__):
        raise UserError(
            f"{key}: code, data or parameters changed while it ran; the checkpoint "
            f"{loop.checkpoint.path} is kept; run again with what it should be"
        )
    progress = loop.progress
    record: dict[str, Any] = {
        **run.model_dump(),
        "status": dataset.status,
        "data": dataset.record(),
        **({"stacked_on": {"model": run.start, "sha256": stacked_on}} if stacked_on else {}),
    }
    training = {
        "experiment_parameters": experiment.model_dump(mode="json"),
    }
    if trained is None:
        record |= {
            "status": "diverged",
            "reason": f"training diverged: NaN or infinity in epoch {len(progress.curve) + 1}",
            "todo": f"list another seed in {params.own.path}, or lower learning_rate there, which "
            "makes another recipe",
        }
    else:
        record |= {
            "epochs": experiment.epochs,
            "updates": progress.update,
            "selected": "best" if trained.best else "last",
            "best_epoch": _best_epoch(experiment, trained),
        }
        training["parameters"] = {
            "generator": sum(t.numel() for n, t in trained.last.items() if n[0] == "g"),
            "discriminator": sum(t.numel() for n, t in trained.last.items() if n[0] == "d"),
        }
    _write_outputs(run, record, training, progress, trained)


def _inputs(key: str) -> tuple[Params, Run, recipe.Experiment, Dataset]:
    params, run = read_run(key)
    experiment = recipe.experiment(params, run.experiment)
    return params, run, experiment, read_dataset(run.profile, run.dataset)


def _stacked_on(profile: str, start: Path | None) -> str | None:
    """Return the hash of the model that a run is stacked on, if it is (`UserError` if damaged)."""
    if start is None:
        return None
    below = runs(read_params(profile))[start.stem]
    return sha256_file(require_model(below))


def _best_epoch(experiment: recipe.Experiment, trained: Trained) -> int:
    best = trained.progress.best()
    return int(best["epoch"]) if trained.best and best else experiment.epochs


def _check(where: str, experiment: recipe.Experiment, dataset: Dataset) -> None:
    """Raise a `UserError` for what the parameters' types can't rule out."""
    if experiment.precision != "float32" and not joint_update.serves(experiment):
        raise UserError(
            f"{where}.precision: {experiment.precision} is for fully connected networks with sgd "
            "and `update: simultaneous`; the others train in float32"
        )
    images = dataset.counts["train"]
    if experiment.batch_size > images:
        raise UserError(
            f"{where}.batch_size: {experiment.batch_size}, but there are {images} training images"
        )
    try:
        check_shapes(experiment, dataset.shape)
    except ValueError as error:
        raise UserError(f"{where}.{error}") from None
