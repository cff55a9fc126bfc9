"""A deep belief network of restricted Boltzmann machines, each trained by persistent chains.

Stochastic maximum likelihood as in Dauphin's ``rbm.py`` (ynd/rbm.py) and scikit-learn's
``BernoulliRBM``, which it began; the recipe behind Table 1's number was never published. Energy of
a machine: E(v, h) = −vᵀWh − bᵀv − cᵀh.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch.nn.functional import softplus

from paper_repro.core.params import Positive
from paper_repro.core.recipe import Layerwise
from paper_repro.core.sampler import ChainSampler, stacked


class Dbn(Layerwise):
    """The recipe of all machines."""

    family: Literal["dbn"]
    learning_rate: Positive
    annealed: bool  # whether the rate falls linearly to 0 in the second half of a machine's epochs
    init: Positive  # standard deviation of the first weights
    # Of samples; no update asks. Not recorded at its default, as runs older than the key were not.
    pixels: Literal["means", "bits"] = Field("means", exclude_if=lambda value: value == "means")
    # `batch_size` is also the number of persistent chains.

    def updates_per_epoch(self, n_train: int) -> int:
        """Return how many updates one pass takes; a short batch is left out.

        A persistent chain belongs to each of its rows.
        """
        return n_train // self.batch_size


RECIPE = Dbn


@dataclass
class Rbm:
    """One machine: W (visible, hidden), b (visible,), c (hidden,)."""

    weight: torch.Tensor
    visible_bias: torch.Tensor
    hidden_bias: torch.Tensor

    @classmethod
    def drawn(cls, visible: int, hidden: int, std: float, rng: torch.Generator) -> "Rbm":
        """Return a machine with weights from N(0, std²) and biases of 0."""
        device = rng.device
        weight = std * torch.randn(visible, hidden, generator=rng, device=device)
        return cls(weight, torch.zeros(visible, device=device), torch.zeros(hidden, device=device))

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
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one update from a batch, in place.

        Parameters
        ----------
        v : (n, visible) data, real values taken as probabilities.
        chain : (n, hidden) binary states of the persistent chains.
        uniform_v, uniform_h : (n, visible) and (n, hidden) from U(0, 1).

        Returns
        -------
        The chains' new states, and by how much the free energy of data is above that of the
        chains' images, the mean over the batch in nats: no more than 0 once they are alike.
        """
        n, v_chain = len(v), (uniform_v < self.visible(chain)).to(v.dtype)
        both = torch.cat([v, v_chain])
        inputs = torch.addmm(self.hidden_bias, both, self.weight)
        free_energy = -(both @ self.visible_bias) - softplus(inputs).sum(1)
        h = torch.sigmoid(inputs)
        sign = torch.ones(2 * n, 1, dtype=v.dtype, device=v.device)
        sign[n:] = -1
        step = rate / n
        self.weight.addmm_(both.T, sign * h, alpha=step)
        self.visible_bias.add_((sign * both).sum(0), alpha=step)
        self.hidden_bias.add_((sign * h).sum(0), alpha=step)
        gap = free_energy[:n].mean() - free_energy[n:].mean()
        return (uniform_h < h[n:]).to(v.dtype), gap


def walk(
    machines: Sequence[Rbm], pixels: str, start: torch.Tensor, rng: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the states of chains, (c, d): means of x or bits, step by step.

    Gibbs sampling in the top machine with binary states of both its layers; its visible state is
    carried down to the pixels' probabilities.

    Parameters
    ----------
    pixels : ``means``, these probabilities, or ``bits`` drawn from them.
    start : (c, d) images at which the chains begin; they are no state.
    """

    def binary(p: torch.Tensor) -> torch.Tensor:
        return torch.bernoulli(p, generator=rng)

    *below, top = machines
    v = start.to(top.weight.dtype)
    for machine in below:
        v = binary(machine.hidden(v))
    while True:
        x = top.visible(binary(top.hidden(v)))
        v = binary(x)
        if below:
            x = v
            for machine in reversed(below):
                x = machine.visible(x)
        yield binary(x) if pixels == "bits" else x


def sampler(
    recipe: Dbn,
    tensors: Mapping[str, torch.Tensor],
    std: float | torch.Tensor | None,
    images: Callable[[], torch.Tensor],
) -> ChainSampler:
    """Return a trained DBN as a chain (a `ValueError` if the tensors are not the recipe's)."""
    machines = stacked(Rbm, tensors, recipe.hidden)
    return ChainSampler(partial(walk, machines, recipe.pixels), images)
