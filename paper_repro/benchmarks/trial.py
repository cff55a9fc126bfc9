"""Networks of an experiment, all random, whose updates are timed."""

import torch

from paper_repro.gan.family import new_trainer
from paper_repro.gan.model.layer import Shape
from paper_repro.gan.model.recipe import Experiment
from paper_repro.gan.update import Trainer

RATE = 1e-6  # small enough that random networks stay as they are


def trial_trainer(
    experiment: Experiment, shape: Shape, device: torch.device
) -> tuple[Trainer, torch.Tensor]:
    """Return an experiment's trainer and the images of one update.

    Parameters
    ----------
    shape : of one image.
    """
    images = torch.rand(experiment.batch_size * experiment.k, *shape).flatten(1)
    trainer = new_trainer(experiment.trial(), shape, images, 0, device)
    return trainer, images.to(device)
