"""Random networks on random images, whose updates are timed."""

import torch

from paper_repro.core.params import read_params
from paper_repro.core.recipe import family_in, recipe_of
from paper_repro.data.catalogue import SOURCES
from paper_repro.forecast.duration import trial_training
from paper_repro.gan.family import GanTraining
from paper_repro.gan.update import Trainer
from paper_repro.training.family import Training

EXPERIMENT = "mnist"  # whose update is compared with others, and with itself in several processes
RATE = 1e-6  # small enough that random networks stay as they are


def trial(name: str, device: torch.device) -> Training:
    """Return the training of one of the paper's experiments."""
    params = read_params()
    recipe = recipe_of(params, name)
    return trial_training(recipe, family_in(params, name), SOURCES[recipe.dataset].shape, device)


def trial_trainer(device: torch.device) -> tuple[Trainer, torch.Tensor]:
    """Return the players of `EXPERIMENT` and the images of one update, (n, d)."""
    training = trial(EXPERIMENT, device)
    assert isinstance(training, GanTraining)
    return training.trainer, training.images[: training.experiment.batch_size]
