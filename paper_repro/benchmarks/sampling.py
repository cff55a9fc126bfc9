"""A step of each model's sampling: of one chain, and of many together."""

import functools
from typing import Any

import torch

from paper_repro.benchmarks.timing import by_turns, spread
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.recipe import family_in, recipe_of
from paper_repro.core.sampler import Sampler
from paper_repro.data.catalogue import SOURCES
from paper_repro.forecast.duration import trial_training

ROUNDS = 7
SECONDS = 0.3
CHAINS = (1, 100)
EXPERIMENTS = ("mnist", "dbn", "stacked_cae", "deep_gsn")  # Table 1 on MNIST
CPU = torch.device("cpu")  # where all samples are drawn
STD = 1.0  # of a walk: decides no time


def random_sampler(name: str) -> Sampler:
    """Return an experiment's sampler with random weights, which take as long as trained ones."""
    params = read_params()
    recipe, family = recipe_of(params, name), family_in(params, name)
    shape = SOURCES[recipe.dataset].shape
    tensors = {
        key.removeprefix("generator."): tensor
        for key, tensor in trial_training(recipe, family, shape, CPU).model().items()
        if key.startswith("generator.")
    }
    images = torch.rand(max(CHAINS), *shape).flatten(1)
    sampler: Sampler = family.model_module().sampler(recipe, tensors, STD, lambda: images)
    return sampler


@fast_float32()
def bench_sampling() -> dict[str, Any]:
    """Return seconds a step by experiment and number of chains; all are timed by turns."""
    samplers = {name: random_sampler(name) for name in EXPERIMENTS}
    calls = {
        f"{name} {count}": functools.partial(next, sampler.chains(count, 0, "bench"))
        for name, sampler in samplers.items()
        for count in CHAINS
    }
    times = by_turns(calls, CPU, rounds=ROUNDS, seconds=SECONDS)
    return {
        "seconds_a_step": {
            name: {str(count): spread(times[f"{name} {count}"]) for count in CHAINS}
            for name in EXPERIMENTS
        }
    }
