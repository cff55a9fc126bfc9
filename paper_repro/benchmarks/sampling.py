"""A step of each model's sampling: of one chain, and of many together."""

from typing import Any

import torch

from paper_repro.benchmarks.timing import by_turns, spread
from paper_repro.core.families import family_of
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.recipe import recipe_of
from paper_repro.core.sampler import Sampler
from paper_repro.data.catalogue import SOURCES

ROUNDS = 7
SECONDS = 0.3
CHAINS = (1, 100)
EXPERIMENTS = ("mnist", "dbn", "stacked_cae", "deep_gsn")  # Table 1 on MNIST
CPU = torch.device("cpu")  # where all samples are drawn
WALK = {"walk_std": 1.0}  # decides no time


def random_sampler(name: str) -> Sampler:
    """Return an experiment's sampler with random weights, which take as long as trained ones."""
    params = read_params()
    recipe, family = recipe_of(params, name), family_of(params.recipe(name)[0], params.where(name))
    shape = SOURCES[recipe.dataset].shape
    images = torch.rand(max(CHAINS), *shape).flatten(1)
    training = family.training_module().training(recipe, shape, images, images, 0)
    tensors = {
        key.removeprefix("generator."): tensor
        for key, tensor in training.model().items()
        if key.startswith("generator.")
    }
    sampler: Sampler = family.model_module().sampler(recipe, tensors, WALK, lambda: images)
    return sampler


@fast_float32()
def bench_sampling() -> dict[str, Any]:
    """Return seconds a step by experiment and number of chains; all are timed by turns."""
    chains = {
        (name, count): random_sampler(name).chains(count, 0, "bench")
        for name in EXPERIMENTS
        for count in CHAINS
    }

    def step(name: str, count: int) -> object:
        return next(chains[name, count])

    calls = {
        f"{name} {count}": lambda name=name, count=count: step(name, count)
        for name, count in chains
    }
    times = by_turns(calls, CPU, rounds=ROUNDS, seconds=SECONDS)
    return {
        "seconds_a_step": {
            name: {str(count): spread(times[f"{name} {count}"]) for count in CHAINS}
            for name in EXPERIMENTS
        }
    }
