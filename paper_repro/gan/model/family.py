"""The family of generators: recipe and sampler."""

from collections.abc import Callable, Mapping

import torch

from paper_repro.gan.model.networks import Network
from paper_repro.gan.model.recipe import Experiment
from paper_repro.gan.model.sampler import GeneratorSampler

RECIPE = Experiment


def sampler(
    recipe: Experiment,
    tensors: Mapping[str, torch.Tensor],
    std: float | torch.Tensor | None,
    images: Callable[[], torch.Tensor],
) -> GeneratorSampler:
    """Return a trained generator (a `ValueError` if the tensors are another network's)."""
    network = Network((recipe.noise_dimension,), recipe.generator)
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[1].strip()) from None
    return GeneratorSampler(network, recipe)
