"""How long a run's training will take on this device."""

import functools
import statistics
import time
from pathlib import Path

import torch

from paper_repro.core.dataset import Dataset
from paper_repro.core.families import Family
from paper_repro.core.files import sha256_file
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.recipe import Recipe
from paper_repro.core.runs import Run
from paper_repro.training.checkpoint import CheckpointFile, checkpoint_file
from paper_repro.training.family import Training
from paper_repro.training.recorded import FIRST_UPDATES

TIMED_UPDATES = 20
TIMED_SECONDS = 1.0  # large networks are timed over fewer
IMAGES = 20  # in batches: two updates of any experiment have no more


def warm_ups(device: torch.device) -> int:
    """Return how many calls set up what later ones have: on a GPU an update is then recorded."""
    return FIRST_UPDATES + 1 if device.type == "cuda" else 1


@functools.lru_cache
def _sha256(path: Path, modified: int, size: int) -> str:
    return sha256_file(path)  # one of hundreds of megabytes is read only once


def present_checkpoint(
    run: Run, recipe: Recipe, dataset: Dataset, device: torch.device, code: str
) -> CheckpointFile:
    """Return where training keeps a run's state.

    Parameters
    ----------
    code : hash of the training code.
    """
    below, start = run.stacked_on, None
    if below and below.is_file():
        known = below.stat()
        start = _sha256(below, known.st_mtime_ns, known.st_size)
    return checkpoint_file(run, recipe, dataset, device, code, start)


def trial_training(
    recipe: Recipe, family: Family, shape: tuple[int, ...], device: torch.device
) -> Training:
    """Return a training on random images, to be timed.

    Parameters
    ----------
    shape : of one image.
    """
    images = torch.rand(IMAGES * recipe.batch_size, *shape).flatten(1).to(device)
    found: Training = family.training_module().training(recipe.trial(), shape, images, images, 0)
    return found


@fast_float32()
def seconds_per_update(
    recipe: Recipe, family: Family, shape: tuple[int, ...], device: torch.device
) -> float:
    """Return the median time of a few updates, as in the last epoch, on random images."""
    training = trial_training(recipe, family, shape, device)
    training.begin(recipe.passes, [])
    times, first = list[float](), warm_ups(device)
    while len(times) < first + TIMED_UPDATES and sum(times[first:]) < TIMED_SECONDS:
        started = time.perf_counter()
        training.update(recipe.passes, 0)
        training.sums()  # waits for the device
        times.append(time.perf_counter() - started)
    return statistics.median(times[first:])
