"""A deep belief network of two restricted Boltzmann machines, each trained by persistent chains.

Stochastic maximum likelihood as in Dauphin's ``rbm.py`` (ynd/rbm.py) and scikit-learn's
``BernoulliRBM``, which it began; the recipe behind Table 1's number was never published. Energy of
a machine: E(v, h) = −vᵀWh − bᵀv − cᵀh.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from paper_repro.core.params import Count, Model, Positive
from paper_repro.core.random_streams import stream_rng


class Dbn(Model):
    """The recipe of both machines."""

    hidden: tuple[Count, Count]
    learning_rate: Positive
    batch_size: Count  # and so many persistent chains
    epochs: Count  # for each machine
    init: Positive  # standard deviation of the first weights


@dataclass
class Rbm:
    """One machine: W (visible, hidden), b (visible,), c (hidden,)."""

    weight: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor

    @classmethod
    def drawn(cls, visible: int, hidden: int, std: float, rng: torch.Generator) -> "Rbm":
        """Return a machine with weights from N(0, std²) and biases of 0."""
        weight = std * torch.randn(visible, hidden, generator=rng)
        return cls(weight, torch.zeros(visible), torch.zeros(hidden))

    def hidden(self, v: torch.Tensor) -> torch.Tensor:
        """Return P(h = 1 | v), (n, hidden), of v (n, visible)."""
        return torch.sigmoid(v @ self.weight + self.hidden_bias)

    def visible(self, h: torch.Tensor) -> torch.Tensor:
        """Return P(v = 1 | h), (n, visible), of h (n, hidden)."""
        return torch.sigmoid(h @ self.weight.T + self.visible_bias)

    def update(
        self,
        v: torch.Tensor,
        chain: torch.Tensor,
        rate: float,
        uniform_v: torch.Tensor,
        uniform_h: torch.Tensor,
    ) -> torch.Tensor:
        """Make one update from a batch, in place; return the chains' new states.

        Parameters
        ----------
        v : (n, visible) data, real values taken as probabilities.
        chain : (n, hidden) binary states of the persistent chains.
        uniform_v, uniform_h : (n, visible) and (n, hidden) from U(0, 1).
        """
        h = self.hidden(v)
        v_chain = (uniform_v < self.visible(chain)).to(v.dtype)
        h_chain = self.hidden(v_chain)
        step = rate / len(v)
        self.weight += step * (v.T @ h - v_chain.T @ h_chain)
        self.visible_bias += step * (v - v_chain).sum(0)
        self.hidden_bias += step * (h - h_chain).sum(0)
        return (uniform_h < h_chain).to(v.dtype)


def train_epoch(
    rbm: Rbm, images: torch.Tensor, chain: torch.Tensor, recipe: Dbn, seed: int, *stream: str | int
) -> torch.Tensor:
    """Pass once over the images, (n, visible), in their order; return the chains' states.

    Batches that would be short are left out, because a chain belongs to each row of a batch.
    """
    rng = stream_rng(seed, *stream)
    for batch in images.split(recipe.batch_size):
        if len(batch) == recipe.batch_size:
            uniforms = (torch.rand(part.shape, generator=rng) for part in (batch, chain))
            chain = rbm.update(batch, chain, recipe.learning_rate, *uniforms)
    return chain


def walk(first: Rbm, top: Rbm, start: torch.Tensor, rng: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield the states of chains, (c, d): means of x from the first machine, step by step.

    Gibbs sampling in the top machine with binary states of both its layers.

    Parameters
    ----------
    start : (c, d) images at which the chains begin; they are no state.
    """

    def binary(p: torch.Tensor) -> torch.Tensor:
        return torch.bernoulli(p, generator=rng)

    h1 = binary(first.hidden(start))
    while True:
        h1 = binary(top.visible(binary(top.hidden(h1))))
        yield first.visible(h1)
