"""A deep generative stochastic network: a noisy chain, trained to walk back to its image.

Bengio et al. 2014, arXiv:1306.1091; ``run_gsn.py`` and ``model.py`` of yaoli/GSN, in their order of
operations. Two hidden layers of tanh, weights used in both directions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from paper_repro.core.params import Count, Model, Positive
from paper_repro.core.random_streams import stream_rng
from paper_repro.gan.model.recipe import Share


class DeepGsn(Model):
    """The recipe: of the chain, its noise, and the descent."""

    hidden: tuple[Count, Count]
    steps: Count  # of the chain behind each update: the walk back
    salt_and_pepper: Share  # probability that a pixel is replaced, by 0 or 1 alike
    noise: Positive  # standard deviation, before and after the second layer's tanh
    learning_rate: Positive
    learning_rate_decay: Positive  # factor an epoch
    momentum: Share
    batch_size: Count
    epochs: Count


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
            return torch.empty(rows, columns).uniform_(-bound, bound, generator=rng)

        first, second = hidden
        biases = (torch.zeros(size) for size in (inputs, first, second))
        return cls(weight(inputs, first), weight(first, second), *biases)

    def tensors(self) -> list[torch.Tensor]:
        """Return the parameters, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]

    def step(
        self, x: torch.Tensor, h2: torch.Tensor, recipe: DeepGsn, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Make one step: odd layers first, then even ones from the bottom up.

        Parameters
        ----------
        x, h2 : (c, d) corrupted image and (c, h2) state of the second layer.

        Returns
        -------
        Logits of the step's image, (c, d), and what the next step begins with: the sampled and
        corrupted image, through which no gradient goes, and the second layer's state.
        """
        h1 = torch.tanh(x @ self.w1 + h2 @ self.w2.T + self.b1)
        logits = h1 @ self.w1.T + self.b0
        inner, outer = (
            recipe.noise * torch.randn(h2.shape, generator=rng, dtype=h2.dtype) for _ in range(2)
        )
        h2 = torch.tanh(h1 @ self.w2 + self.b2 + inner) + outer
        sampled = torch.bernoulli(torch.sigmoid(logits.detach()), generator=rng)
        return logits, corrupted(sampled, recipe.salt_and_pepper, rng), h2

    def cost(self, x: torch.Tensor, recipe: DeepGsn, rng: torch.Generator) -> list[torch.Tensor]:
        """Return the cost of each step, in nats a pixel, of a chain that begins at x (n, d)."""
        state = corrupted(x, recipe.salt_and_pepper, rng)
        h2, costs = torch.zeros(len(x), len(self.b2), dtype=x.dtype), []
        for _ in range(recipe.steps):
            logits, state, h2 = self.step(state, h2, recipe, rng)
            costs.append(binary_cross_entropy_with_logits(logits, x))
        return costs


def corrupted(x: torch.Tensor, share: float, rng: torch.Generator) -> torch.Tensor:
    """Return x with that share of its pixels replaced by 0 or 1, with equal probability."""
    u = torch.rand(x.shape, generator=rng, dtype=x.dtype)
    return torch.where(u < share, (u < share / 2).to(x.dtype), x)


def train_epoch(
    gsn: Gsn,
    velocities: list[torch.Tensor],
    x: torch.Tensor,
    recipe: DeepGsn,
    seed: int,
    epoch: int,
) -> float:
    """Pass once over the images, (n, d), in their order; return the last step's mean cost.

    Parameters
    ----------
    velocities : of each parameter, at first 0: v ← m·v + (1 − m)·gradient.
    epoch : from 1; decides the learning rate and the random numbers.
    """
    rate = recipe.learning_rate * recipe.learning_rate_decay ** (epoch - 1)
    rng = stream_rng(seed, "gsn", epoch)
    parameters, last = gsn.tensors(), 0.0
    for tensor in parameters:
        tensor.requires_grad_()
    for batch in x.split(recipe.batch_size):
        costs = gsn.cost(batch, recipe, rng)
        gradients = torch.autograd.grad(sum(costs[1:], costs[0]), parameters)
        last += float(costs[-1].detach()) * len(batch)
        with torch.no_grad():
            for tensor, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity.mul_(recipe.momentum).add_(gradient, alpha=1 - recipe.momentum)
                tensor -= rate * velocity
    for tensor in parameters:
        tensor.requires_grad_(False)
    return last / len(x)


@torch.no_grad()
def walk(
    gsn: Gsn, start: torch.Tensor, recipe: DeepGsn, rng: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the states of chains, (c, d): the mean image of each step, all noise kept.

    Parameters
    ----------
    start : (c, d) images at which the chains begin; they are no state.
    """
    state = corrupted(start, recipe.salt_and_pepper, rng)
    h2 = torch.zeros(len(start), len(gsn.b2), dtype=start.dtype)
    while True:
        logits, state, h2 = gsn.step(state, h2, recipe, rng)
        yield torch.sigmoid(logits)
