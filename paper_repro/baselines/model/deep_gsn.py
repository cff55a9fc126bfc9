"""A deep generative stochastic network: a noisy chain, trained to walk back to its image.

Bengio et al. 2014, arXiv:1306.1091; ``run_gsn.py`` and ``model.py`` of yaoli/GSN, in their order of
operations. Two hidden layers of tanh, weights used in both directions.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn.functional import binary_cross_entropy_with_logits

from paper_repro.core.params import LARGEST, Count, Positive
from paper_repro.core.recipe import InUnitInterval, Recipe, Share
from paper_repro.core.sampler import ChainSampler


class DeepGsn(Recipe):
    """The recipe: of the chain, its noise, and the descent."""

    family: Literal["deep_gsn"]
    dataset: InUnitInterval
    hidden: tuple[Count, Count]
    # Of the chain behind each update, the walk back; of one step the second layer has no part.
    steps: Annotated[int, Field(ge=2, le=LARGEST)]
    salt_and_pepper: Share  # probability that a pixel is replaced, by 0 or 1 alike
    noise: Positive  # standard deviation, before and after the second layer's tanh
    learning_rate: Positive
    learning_rate_decay: Positive  # factor an epoch
    momentum: Share


RECIPE = DeepGsn


@dataclass
class Gsn:
    """W1 (d, h1), W2 (h1, h2) and the biases of image and layers."""

    w1: torch.Tensor
    w2: torch.Tensor
    b0: torch.Tensor
    b1: torch.Tensor
    b2: torch.Tensor

    @classmethod
    def drawn(cls, inputs: int, hidden: tuple[int, int], rng: torch.Generator) -> "Gsn":
        """Return a network with weights from U(±√(6 / (in + out))) and biases of 0."""

        def weight(rows: int, columns: int) -> torch.Tensor:
            bound = math.sqrt(6 / (rows + columns))
            drawn = torch.empty(rows, columns, device=rng.device)
            return drawn.uniform_(-bound, bound, generator=rng)

        first, second = hidden
        biases = (torch.zeros(size, device=rng.device) for size in (inputs, first, second))
        return cls(weight(inputs, first), weight(first, second), *biases)

    def tensors(self) -> list[torch.Tensor]:
        """Return the parameters, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]

    def reconstruct(
        self, x: torch.Tensor, h2: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first layer, (c, h1), and the logits of the step's image, (c, d).

        Parameters
        ----------
        x, h2 : (c, d) corrupted image and (c, h2) state of the second layer; None for zeros.
        """
        below = x @ self.w1
        h1 = torch.tanh((below if h2 is None else below + h2 @ self.w2.T) + self.b1)
        return h1, h1 @ self.w1.T + self.b0

    def advance(
        self, h1: torch.Tensor, logits: torch.Tensor, recipe: DeepGsn, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the next step begins with.

        That is the sampled and corrupted image, through which no gradient goes, and the second
        layer's state.
        """
        shape = len(h1), len(self.b2)
        inner, outer = (recipe.noise * h1.new_empty(shape).normal_(generator=rng) for _ in range(2))
        h2 = torch.tanh(h1 @ self.w2 + self.b2 + inner) + outer
        sampled = torch.bernoulli(torch.sigmoid(logits.detach()), generator=rng)
        return corrupted(sampled, recipe.salt_and_pepper, rng), h2

    def cost(self, x: torch.Tensor, recipe: DeepGsn, rng: torch.Generator) -> list[torch.Tensor]:
        """Return the cost of each step, in nats a pixel, of a chain that begins at x (n, d)."""
        h1, logits = self.reconstruct(corrupted(x, recipe.salt_and_pepper, rng), None)
        costs = [binary_cross_entropy_with_logits(logits, x)]
        while len(costs) < recipe.steps:  # the last step's second layer reaches no cost
            h1, logits = self.reconstruct(*self.advance(h1, logits, recipe, rng))
            costs.append(binary_cross_entropy_with_logits(logits, x))
        return costs


def corrupted(x: torch.Tensor, share: float, rng: torch.Generator) -> torch.Tensor:
    """Return x with that share of its pixels replaced by 0 or 1, with equal probability."""
    u = torch.empty_like(x).uniform_(generator=rng)
    return torch.where(u < share, (u < share / 2).to(x.dtype), x)


@torch.no_grad()
def walk(
    gsn: Gsn, start: torch.Tensor, recipe: DeepGsn, rng: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the states of chains, (c, d): the mean image of each step, all noise kept.

    Parameters
    ----------
    start : (c, d) images at which the chains begin; they are no state.
    """
    start = start.to(gsn.w1.dtype)
    h1, logits = gsn.reconstruct(corrupted(start, recipe.salt_and_pepper, rng), None)
    while True:
        yield torch.sigmoid(logits)
        h1, logits = gsn.reconstruct(*gsn.advance(h1, logits, recipe, rng))


def sampler(
    recipe: DeepGsn,
    tensors: Mapping[str, torch.Tensor],
    std: float | torch.Tensor | None,
    images: Callable[[], torch.Tensor],
) -> ChainSampler:
    """Return a trained GSN as a chain (a `ValueError` if the tensors are not the recipe's)."""
    names = [field.name for field in fields(Gsn)]
    widths = tuple(len(tensors.get(name, ())) for name in ("b1", "b2"))
    if tensors.keys() != set(names) or widths != recipe.hidden:
        raise ValueError(f"layers of {widths} units, not {recipe.hidden}")
    return chain_of(Gsn(*(tensors[name] for name in names)), recipe, images)


def chain_of(gsn: Gsn, recipe: DeepGsn, images: Callable[[], torch.Tensor]) -> ChainSampler:
    """Return the chain of a network as a sampler."""
    return ChainSampler(lambda start, rng: walk(gsn, start, recipe, rng), images)
