"""A stacked contractive autoencoder, and the walk along its Jacobian that draws samples.

Rifai et al. 2011 and 2012; one layer and the walk as in Dauphin's and Rifai's ``cae.py``
(ynd/cae.py, October 2012). How the layers behind Table 1's number were stacked was never
published: here the second encodes the first one's code, and the walk takes the Jacobian of both.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from paper_repro.core.errors import UserError
from paper_repro.core.params import Positive
from paper_repro.core.recipe import Layerwise
from paper_repro.core.sampler import ChainSampler, stacked


class StackedCae(Layerwise):
    """The recipe of all layers."""

    family: Literal["stacked_cae"]
    contraction: Positive  # λ, the weight of ‖J‖²
    learning_rate: Positive


RECIPE = StackedCae
LEVELS = 2.0**16  # of a pixel in the walk


@dataclass
class Cae:
    """One layer with tied weights: W (inputs, units), b (units,), c (inputs,)."""

    weight: torch.Tensor
    bias: torch.Tensor
    output_bias: torch.Tensor

    @classmethod
    def drawn(cls, inputs: int, units: int, rng: torch.Generator) -> "Cae":
        """Return a layer with weights from U(±4 √(6 / (inputs + units))) and biases of 0."""
        bound = 4 * math.sqrt(6 / (inputs + units))
        device = rng.device
        weight = torch.empty(inputs, units, device=device).uniform_(-bound, bound, generator=rng)
        return cls(weight, torch.zeros(units, device=device), torch.zeros(inputs, device=device))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return h = sigmoid(xW + b), (…, units)."""
        return torch.sigmoid(x @ self.weight + self.bias)

    def decode(self, h: torch.Tensor) -> torch.Tensor:
        """Return r = sigmoid(hWᵀ + c), (…, inputs)."""
        return torch.sigmoid(h @ self.weight.T + self.output_bias)

    def contraction(self, h: torch.Tensor) -> torch.Tensor:
        """Return ‖∂h/∂x‖²_F of each row, (n,), in closed form: Σ_j (h_j(1 − h_j))² Σ_i W_ij²."""
        return (h * (1 - h)).square() @ self.weight.square().sum(0)

    def loss(self, x: torch.Tensor, contraction: float) -> torch.Tensor:
        """Return the batch's mean of Σ_pixels BCE(r, x) + λ‖J‖²_F, in nats."""
        h = self.encode(x)
        logits = h @ self.weight.T + self.output_bias
        fit = binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return (fit + contraction * self.contraction(h)).mean()

    def update(self, x: torch.Tensor, contraction: float, rate: float) -> torch.Tensor:
        """Make one step of plain descent on a batch, (n, inputs); return its loss before, in nats.

        Parameters
        ----------
        contraction : λ.
        """
        parameters = list(vars(self).values())
        for tensor in parameters:
            tensor.requires_grad_()
        loss = self.loss(x, contraction)
        gradients = torch.autograd.grad(loss, parameters)
        for tensor, gradient in zip(parameters, gradients, strict=True):
            tensor.requires_grad_(False)
            tensor.sub_(gradient, alpha=rate)
        return loss.detach()


def walk(
    layers: Sequence[Cae], start: torch.Tensor, std: float | torch.Tensor, rng: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the states of chains, (c, d): x′ = g(f(x) + J Jᵀ α), α ~ N(0, std²), step by step.

    f is the encoder of all layers, J its Jacobian at x, g the decoder.

    Parameters
    ----------
    start : (c, d) images at which the chains begin; they are no state.
    std : or several, (w, 1, 1), by each of which the chains walk with the same α: (w, c, d).
    """
    x = start.to(layers[0].weight.dtype)
    while True:
        slopes, h = [], x
        for layer in layers:
            h = layer.encode(h)
            slopes.append(h * (1 - h))
        moved = std * torch.randn(h.shape[-2:], generator=rng, dtype=h.dtype)
        for layer, slope in zip(reversed(layers), reversed(slopes), strict=True):  # Jᵀ
            moved = (moved * slope) @ layer.weight.T
        for layer, slope in zip(layers, slopes, strict=True):  # J
            moved = (moved @ layer.weight) * slope
        x = h + moved
        for layer in reversed(layers):
            x = layer.decode(x)
        # A step multiplies small differences by two or three: unrounded, another machine's last
        # bits would make another walk of it within a hundred steps.
        x = torch.round(x * LEVELS) / LEVELS
        yield x


def sampler(
    recipe: StackedCae,
    tensors: Mapping[str, torch.Tensor],
    std: float | torch.Tensor | None,
    images: Callable[[], torch.Tensor],
) -> ChainSampler:
    """Return the walk of a trained stack, by the standard deviation chosen on validation images.

    Raises
    ------
    UserError
        If none was chosen.
    ValueError
        If the tensors are not the recipe's.
    """
    if std is None:
        raise UserError("measure: a stacked CAE's has a `walk`: {chains: 10, stds: [1.0, 2.0]}")
    return chain_of(stacked(Cae, tensors, recipe.hidden), std, images)


def chain_of(
    layers: Sequence[Cae], std: float | torch.Tensor, images: Callable[[], torch.Tensor]
) -> ChainSampler:
    """Return the walk of layers by a standard deviation, or by several, as a sampler."""
    return ChainSampler(lambda start, rng: walk(layers, start, std, rng), images)
