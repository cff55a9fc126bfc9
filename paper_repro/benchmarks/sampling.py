"""A step of each model's sampling: of one chain, and of many together."""

import functools
from typing import Any

import torch

from paper_repro.benchmarks.timing import by_turns, spread
from paper_repro.benchmarks.trial import trial
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.recipe import family_in, recipe_of
from paper_repro.data.catalogue import SOURCES

ROUNDS = 7
SECONDS = 0.3
CHAINS = (1, 100)
EXPERIMENTS = ("mnist", "dbn", "stacked_cae", "deep_gsn")  # Table 1 on MNIST
CPU = torch.device("cpu")  # where all samples are drawn
STD = 1.0  # of a walk: decides no time


def random_sampler(name: str) -> Any:
    """Return an experiment's `Sampler` with random weights, which take as long as trained ones."""
    params = read_params()
    recipe, model = recipe_of(params, name), family_in(params, name).model_module()
    tensors = {
        key.removeprefix("generator."): tensor
        for key, tensor in trial(name, CPU).model().items()
        if key.startswith("generator.")
    }
    images = torch.rand(max(CHAINS), *SOURCES[recipe.dataset].shape).flatten(1)
    return model.sampler(recipe, tensors, STD, lambda: images)


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
