"""Every experiment of the paper: time an update, an epoch and the whole, and peak memory."""

import copy
import functools
from typing import Any

import numpy as np
import torch

from paper_repro.benchmarks.timing import by_turns, ratio, spread
from paper_repro.benchmarks.trial import trial
from paper_repro.core.families import GAN
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import Params, read_params
from paper_repro.core.provenance import peak_memory
from paper_repro.core.recipe import family_in, recipe_of
from paper_repro.data.catalogue import SOURCES
from paper_repro.data.settings import data_size
from paper_repro.gan.family import GanTraining
from paper_repro.gan.joint_update import serves
from paper_repro.gan.update import Trainer
from paper_repro.report.published import OTHERS

ROUNDS = 5
SECONDS = 0.5


def timed_experiments(params: Params) -> list[str]:
    """Return what is timed: all that is listed, and Table 1's other models.

    A variant of those is of its base's size.
    """
    names = dict.fromkeys([*params.group("seeds"), *OTHERS])
    return [n for n in names if family_in(params, n).name == GAN or params.base(n) == n]


@fast_float32()
def bench_experiment(name: str, device: torch.device) -> dict[str, Any]:
    """Return times and peak memory of an experiment's training: of a fresh process, its own.

    Of a model that is trained layer by layer an update is the layers' mean.
    """
    params = read_params()
    recipe = recipe_of(params, name)
    n_train = data_size(params, recipe.dataset).train or SOURCES[recipe.dataset].train
    updates = recipe.passes * recipe.updates_per_epoch(n_train)
    training = trial(name, device)
    timed = functools.partial(by_turns, device=device, rounds=ROUNDS, seconds=SECONDS)
    layers = []
    for epoch in range(recipe.epochs, recipe.passes + 1, recipe.epochs):  # the last of each
        training.begin(epoch, [])
        call = functools.partial(training.update, epoch, 1)  # which measures no gradient
        layers.append(timed({"update": call})["update"])
    an_update = spread(np.mean(layers, axis=0).tolist())
    memory, twin = peak_memory(device), None
    if isinstance(training, GanTraining) and serves(training.experiment):
        plain = copy.copy(training)
        plain.trainer = Trainer(
            training.experiment, training.trainer.gan, training.trainer.draws, plain=True
        )
        calls = {"update": call, "twin": functools.partial(plain.update, epoch, 1)}
        twin = ratio(timed(calls), "twin", "update")
    return {
        "experiment": name,
        "parameters": sum(training.parameters().values()),
        "seconds_an_update": an_update,
        "against_autograd_twin": twin,
        "epochs": recipe.passes,
        "hours": an_update["median"] * updates / 3600,
        "peak_memory_bytes": memory,
    }
