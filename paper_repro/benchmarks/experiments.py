"""Every experiment of the paper: time an update, an epoch and the whole, and peak memory."""

import functools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch

from paper_repro.benchmarks.timing import by_turns, ratio, spread
from paper_repro.benchmarks.trial import RATE, trial_trainer
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import Params, read_params
from paper_repro.core.provenance import peak_memory
from paper_repro.core.recipe import family_in, recipe_of
from paper_repro.data.catalogue import SOURCES
from paper_repro.data.settings import data_size
from paper_repro.forecast.duration import trial_training
from paper_repro.gan.joint_update import serves
from paper_repro.gan.model import recipe
from paper_repro.gan.update import Trainer
from paper_repro.report.published import OTHERS

ROUNDS = 5
SECONDS = 0.5


def timed_experiments(params: Params) -> Iterator[tuple[str, Callable[..., dict[str, Any]]]]:
    """Yield what is timed, by name, with the function that times it."""
    for name in dict.fromkeys([*params.group("seeds"), *OTHERS]):
        if isinstance(recipe_of(params, name), recipe.Experiment):
            yield name, bench_experiment
        elif params.base(name) == name:  # Table 1's other models; a variant is of the same size
            yield name, bench_layers


@fast_float32()
def bench_experiment(name: str, device: torch.device) -> dict[str, Any]:
    """Return times and peak memory of an experiment's training: of a fresh process, its own."""
    params = read_params()
    experiment = recipe.experiment(params, name)
    source = SOURCES[experiment.dataset]
    n_train = data_size(params, experiment.dataset).train or source.train
    updates = experiment.updates_per_epoch(n_train)
    trainer, x = trial_trainer(experiment, source.shape, device)
    calls = {"update": lambda: trainer.update(x, RATE, 0.5)}
    by_turns(calls, device, rounds=1, seconds=0.0)
    memory = peak_memory(device)
    if serves(experiment):
        twin = Trainer(trainer.experiment, trainer.gan, trainer.draws, plain=True)
        calls["autograd_twin"] = lambda: twin.update(x, RATE, 0.5)
    times = by_turns(calls, device, rounds=ROUNDS, seconds=SECONDS)
    return _costs(
        name,
        sum(p.numel() for _, net in trainer.gan.named_networks() for p in net.parameters()),
        times["update"],
        updates,
        experiment.epochs,
        memory,
    ) | {
        "against_autograd_twin": ratio(times, "autograd_twin", "update") if len(times) > 1 else None
    }


def _costs(
    name: str,
    parameters: int,
    an_update: list[float],
    updates: int,
    epochs: int,
    memory: int,
) -> dict[str, Any]:
    """Return what an experiment costs, from the seconds of an update, one a round."""
    seconds = spread(an_update)["median"]
    return {
        "experiment": name,
        "parameters": parameters,
        "seconds_an_update": spread(an_update),
        "against_autograd_twin": None,
        "updates_an_epoch": updates,
        "epochs_an_hour": 3600 / (seconds * updates),
        "epochs": epochs,
        "hours": seconds * updates * epochs / 3600,
        "peak_memory_bytes": memory,
    }


@fast_float32()
def bench_layers(name: str, device: torch.device) -> dict[str, Any]:
    """Return the same of a model that is trained layer by layer; an update is the layers' mean."""
    params = read_params()
    recipe = recipe_of(params, name)
    source = SOURCES[recipe.dataset]
    updates = recipe.updates_per_epoch(data_size(params, recipe.dataset).train or source.train)
    training = trial_training(recipe, family_in(params, name), source.shape, device)
    layers = []
    for first in range(1, recipe.passes + 1, recipe.epochs):
        training.begin(first, [])
        call = {"update": functools.partial(training.update, first, 0)}
        layers.append(by_turns(call, device, rounds=ROUNDS, seconds=SECONDS)["update"])
    an_update = [statistics.fmean(rounds) for rounds in zip(*layers, strict=True)]
    return _costs(
        name,
        sum(training.parameters().values()),
        an_update,
        updates,
        recipe.passes,
        peak_memory(device),
    )
