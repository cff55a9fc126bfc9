"""What all layers share: parameters, their initial draw, dropout on the inputs."""

import abc
import math
from typing import Any

import torch
from torch import nn

from paper_repro.gan.model import recipe

Shape = tuple[int, ...]


class Layer(nn.Module, abc.ABC):
    """One layer of a network, from (n, inputs) to (n, outputs).

    Parameters
    ----------
    shape : of one example's inputs.
    weight, bias : shapes of the parameters.
    """

    settings: Any  # the layer's own type of recipe.AnyLayer

    def __init__(self, shape: Shape, settings: recipe.AnyLayer, weight: Shape, bias: Shape) -> None:
        super().__init__()
        self.settings = settings
        self.shape = shape
        self.inputs = math.prod(shape)
        self.weight = nn.Parameter(torch.empty(weight))
        self.bias = nn.Parameter(torch.empty(bias))

    @staticmethod
    @abc.abstractmethod
    def output_shape(shape: Shape, layer: Any) -> Shape:
        """Return the shape of one example's outputs (ValueError if the inputs don't fit)."""

    @abc.abstractmethod
    def affine(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the values before the activation, of inputs times mask."""

    @property
    def has_dropout(self) -> bool:
        """Whether training multiplies the inputs by a mask."""
        return bool(self.settings.keep != 1 or self.settings.scale != 1)

    @torch.no_grad()
    def initialise(self, rng: torch.Generator, marginals: torch.Tensor) -> None:
        """Draw the weights; set the biases, if asked for to the logit of the clipped marginals.

        A pretrained layer is left alone.
        """
        init = self.settings.init
        if init == "pretrained":
            return
        if isinstance(init, recipe.UniformInit):
            self.weight.uniform_(-init.uniform, init.uniform, generator=rng)
        elif isinstance(init, recipe.SparseInit):
            sparse_normal(self.weight, init.sparse, rng)
        else:
            self.weight.normal_(0, math.sqrt(2 / self.inputs), generator=rng)
        if self.settings.bias == "logit_of_marginals":
            self.bias.copy_(torch.logit(marginals.clamp(1e-7, 1 - 1e-7)).view_as(self.bias))
        else:
            self.bias.fill_(self.settings.bias)


def sparse_normal(weight: torch.Tensor, entries: int, rng: torch.Generator) -> None:
    """Draw N(0, 1) at `entries` random places of each column, 0 elsewhere (Pylearn2's sparse_init).

    Parameters
    ----------
    weight : (inputs, outputs), changed in place.
    """
    inputs, outputs = weight.shape
    weight.zero_()
    ranks = torch.rand(outputs, inputs, generator=rng, device=weight.device)
    rows = ranks.topk(entries, dim=1).indices.T  # (entries, outputs), all different
    values = torch.empty(rows.shape, device=weight.device, dtype=weight.dtype)
    weight.scatter_(0, rows, values.normal_(generator=rng))
