"""How long a run's training will take on this device."""

import statistics
import time

import torch

from paper_repro.core import provenance
from paper_repro.core.dataset import Dataset, processed_folder, read_dataset
from paper_repro.core.families import Family
from paper_repro.core.files import sha256_file
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.recipe import Recipe
from paper_repro.core.runs import Run
from paper_repro.training.checkpoint import CheckpointFile, checkpoint_file
from paper_repro.training.family import Training
from paper_repro.training.train import stage_modules

WARM_UP = 2
TIMED_UPDATES = 20
TIMED_SECONDS = 5.0  # large networks are timed over fewer
IMAGES = 10  # in batches: no experiment has more to an update


def present_checkpoint(
    run: Run, recipe: Recipe, family: Family, dataset: Dataset, device: torch.device
) -> CheckpointFile:
    """Return where the present code keeps a run's state, as training does."""
    code = provenance.code_digest(*stage_modules(family))
    below = run.stacked_on
    start = sha256_file(below) if below and below.is_file() else None
    return checkpoint_file(run, recipe, dataset, device, code, start)


def remaining(
    run: Run,
    recipe: Recipe,
    family: Family,
    shape: tuple[int, ...],
    n_train: int,
    device: torch.device,
    *,
    afresh: bool = False,
) -> tuple[int, float]:
    """Return how many updates a run still needs, counting on its checkpoint, and their seconds.

    Parameters
    ----------
    shape, n_train : of one image and how many the training set has, where it is not prepared yet.
    afresh : whether the model that the run starts from is about to be replaced, so that no
        checkpoint will count.
    """
    checkpoint = None
    if (processed_folder(run.profile, run.dataset) / "dataset.json").is_file():
        dataset = read_dataset(run.profile, run.dataset)
        if dataset.ok:
            shape, n_train = dataset.shape, dataset.counts["train"]
            checkpoint = present_checkpoint(run, recipe, family, dataset, device)
    total = recipe.passes * recipe.updates_per_epoch(n_train)
    done = 0 if checkpoint is None or afresh else checkpoint.updates()
    left = max(total - done, 0)
    return left, left * seconds_per_update(recipe, family, shape, device) if left else 0.0


@fast_float32()
def seconds_per_update(
    recipe: Recipe, family: Family, shape: tuple[int, ...], device: torch.device
) -> float:
    """Return the median time of a few updates, as in the last epoch, on random images."""
    trial, made_by = recipe.trial(), family.training_module()
    images = torch.rand(IMAGES * recipe.batch_size, *shape).flatten(1).to(device)
    training: Training = made_by.training(trial, shape, images, images, 0)
    training.begin(recipe.passes, [])
    times: list[float] = []
    while len(times) < WARM_UP + TIMED_UPDATES and sum(times[WARM_UP:]) < TIMED_SECONDS:
        started = time.perf_counter()
        training.update(recipe.passes, 0)
        training.sums()  # waits for the device
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:])
