"""How long a run's training will take on this device."""

import statistics
import time

import torch

from paper_repro.core import provenance
from paper_repro.core.dataset import processed_folder, read_dataset
from paper_repro.core.files import sha256_file
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.runs import Run
from paper_repro.gan.checkpoint import checkpoint_file
from paper_repro.gan.loop import new_trainer
from paper_repro.gan.model import recipe
from paper_repro.gan.model.layer import Shape
from paper_repro.gan.update import Trainer

WARM_UP = 2
TIMED_UPDATES = 20
TIMED_SECONDS = 5.0  # large networks are timed over fewer
RATE = 1e-6  # small enough that random networks stay as they are


def remaining(
    run: Run,
    experiment: recipe.Experiment,
    shape: Shape,
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
            code = provenance.code_digest("paper_repro.gan.train")
            below = run.stacked_on
            start = sha256_file(below) if below and below.is_file() else None
            checkpoint = checkpoint_file(run, experiment, dataset, device, code, start)
    total = experiment.epochs * experiment.updates_per_epoch(n_train)
    done = 0 if checkpoint is None or afresh else checkpoint.updates()
    left = max(total - done, 0)
    return left, left * seconds_per_update(experiment, shape, device) if left else 0.0


def trial_trainer(
    experiment: recipe.Experiment, shape: Shape, device: torch.device
) -> tuple[Trainer, torch.Tensor]:
    """Return an experiment's trainer and the images of one update, all random: to be timed.

    Parameters
    ----------
    shape : of one image.
    """
    some = recipe.UniformInit(uniform=0.05)  # a pretrained layer's weights may not be there yet
    layers = tuple(
        layer.model_copy(update={"init": some}) if layer.init == "pretrained" else layer
        for layer in experiment.generator
    )
    experiment = experiment.model_copy(update={"generator": layers})
    images = torch.rand(experiment.batch_size * experiment.k, *shape).flatten(1)
    trainer = new_trainer(experiment, shape, images, 0, device)
    return trainer, images.to(device)


@fast_float32()
def seconds_per_update(experiment: recipe.Experiment, shape: Shape, device: torch.device) -> float:
    """Return the median time of a few updates of an experiment's networks, on random images."""
    trainer, images = trial_trainer(experiment, shape, device)
    times: list[float] = []
    while len(times) < WARM_UP + TIMED_UPDATES and sum(times[WARM_UP:]) < TIMED_SECONDS:
        started = time.perf_counter()
        diagnostics, _ = trainer.update(images, RATE, 0.5)
        float(diagnostics[0])  # waits for the device
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:])
