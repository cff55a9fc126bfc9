"""A stacked contractive autoencoder, and the walk along its Jacobian that draws samples.

Rifai et al. 2011 and 2012; one layer and the walk as in Dauphin's and Rifai's ``cae.py``
(ynd/cae.py, October 2012). How the layers behind Table 1's number were stacked was never
published: here the second encodes the first one's code, and the walk takes the Jacobian of both.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from paper_repro.core.params import Count, Model, Positive


class StackedCae(Model):
    """The recipe of both layers, and of the walk."""

    hidden: tuple[Count, ...]
    contraction: Positive  # λ, the weight of ‖J‖²
    learning_rate: Positive
    batch_size: Count
    epochs: Count  # for each layer
    walk_std: Positive  # of α in the walk; chosen on validation images


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
        weight = torch.empty(inputs, units).uniform_(-bound, bound, generator=rng)
        return cls(weight, torch.zeros(units), torch.zeros(inputs))

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


def train_epoch(cae: Cae, x: torch.Tensor, recipe: StackedCae) -> float:
    """Pass once over the inputs, (n, inputs), in their order; return the mean loss in nats."""
    parameters = (cae.weight, cae.bias, cae.output_bias)
    for tensor in parameters:
        tensor.requires_grad_()
    total = 0.0
    for batch in x.split(recipe.batch_size):
        loss = cae.loss(batch, recipe.contraction)
        gradients = torch.autograd.grad(loss, parameters)
        total += float(loss.detach()) * len(batch)
        with torch.no_grad():
            for tensor, gradient in zip(parameters, gradients, strict=True):
                tensor -= recipe.learning_rate * gradient
    for tensor in parameters:
        tensor.requires_grad_(False)
    return total / len(x)


def walk(
    layers: Sequence[Cae], start: torch.Tensor, std: float, rng: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the states of chains, (c, d): x′ = g(f(x) + J Jᵀ α), α ~ N(0, std²), step by step.

    f is the encoder of all layers, J its Jacobian at x, g the decoder.

    Parameters
    ----------
    start : (c, d) images at which the chains begin; they are no state.
    """
    x = start
    while True:
        slopes, h = [], x
        for layer in layers:
            h = layer.encode(h)
            slopes.append(h * (1 - h))
        moved = std * torch.randn(h.shape, generator=rng, dtype=h.dtype)
        for layer, slope in zip(reversed(layers), reversed(slopes), strict=True):  # Jᵀ
            moved = (moved * slope) @ layer.weight.T
        for layer, slope in zip(layers, slopes, strict=True):  # J
            moved = (moved @ layer.weight) * slope
        x = h + moved
        for layer in reversed(layers):
            x = layer.decode(x)
        yield x
