"""The generator and the discriminator of an experiment, built from its configuration.

Weights are (inputs, outputs) matrices, as in the released code, so that a unit is a column.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from paper_repro import config
from paper_repro.models.maxout import maxout

Masks = Sequence[torch.Tensor | None]


class Dense(nn.Module):
    """One fully connected layer: dropout on the inputs, affine map, activation."""

    def __init__(self, inputs: int, layer: config.AnyLayer) -> None:
        super().__init__()
        self.settings = layer
        self.inputs = inputs
        columns = layer.units * layer.pieces if layer.layer == "maxout" else layer.units
        self.weight = nn.Parameter(torch.empty(inputs, columns))
        self.bias = nn.Parameter(torch.empty(columns))

    @property
    def has_dropout(self) -> bool:
        """Whether training multiplies the inputs by a mask."""
        return self.settings.keep != 1 or self.settings.scale != 1

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, marginals: torch.Tensor) -> None:
        """Draw the weights; set the biases, if asked for to the logit of the clipped marginals."""
        bound = self.settings.init.uniform
        self.weight.uniform_(-bound, bound, generator=generator)
        if self.settings.bias == "logit_of_marginals":
            self.bias.copy_(torch.logit(marginals.clamp(1e-7, 1 - 1e-7)))
        else:
            self.bias.fill_(self.settings.bias)

    def affine(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return (x * mask) W + b, (n, inputs) -> (n, columns)."""
        return torch.addmm(self.bias, x if mask is None else x * mask, self.weight)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the activations, (n, inputs) -> (n, units)."""
        values = self.affine(x, mask)
        if self.settings.layer == "maxout":
            return maxout(values, self.settings.pieces)
        return torch.relu(values) if self.settings.layer == "relu" else torch.sigmoid(values)


class Network(nn.Module):
    """Layers one after the other."""

    def __init__(self, inputs: int, layers: Sequence[config.AnyLayer]) -> None:
        super().__init__()
        dense = []
        for layer in layers:
            dense.append(Dense(inputs, layer))
            inputs = layer.units
        self.layers = nn.ModuleList(dense)
        self.dense = dense  # the same layers, with their type
        self.outputs = inputs

    def hidden(self, x: torch.Tensor, masks: Masks | None = None) -> torch.Tensor:
        """Return the last layer's input, before its dropout."""
        for index, layer in enumerate(self.dense[:-1]):
            x = layer(x, masks[index] if masks else None)
        return x

    def logits(self, x: torch.Tensor, masks: Masks | None = None) -> torch.Tensor:
        """Return the last layer's values before its activation.

        Parameters
        ----------
        x : (n, inputs)
        masks : for training, each layer's factors on its inputs, (n, inputs of the layer), or None
            where it has no dropout; without masks nothing is dropped and nothing scaled.

        Returns
        -------
        (n, outputs)
        """
        return self.dense[-1].affine(self.hidden(x, masks), masks[-1] if masks else None)

    def forward(self, x: torch.Tensor, masks: Masks | None = None) -> torch.Tensor:
        """Return the activations of the last layer, (n, outputs); parameters as in `logits`."""
        last: torch.Tensor = self.dense[-1](self.hidden(x, masks), masks[-1] if masks else None)
        return last


@dataclass(frozen=True)
class Gan:
    """The two players."""

    generator: Network
    discriminator: Network

    def named_networks(self) -> tuple[tuple[str, Network], ...]:
        """Return both networks with the names that files give them."""
        return (("generator", self.generator), ("discriminator", self.discriminator))

    def state(self) -> dict[str, torch.Tensor]:
        """Return all parameters by name, not copied: ``generator.layers.0.weight``, …."""
        return {
            f"{player}.{name}": tensor.detach()
            for player, network in self.named_networks()
            for name, tensor in network.named_parameters()
        }


def build_gan(experiment: config.Experiment, dimension: int, device: torch.device | str) -> Gan:
    """Return both networks with undefined parameters: to initialise or to load.

    Raises
    ------
    ValueError
        If the generator does not put out `dimension` values.
    """
    generator = Network(experiment.noise_dimension, experiment.generator)
    if generator.outputs != dimension:
        raise ValueError(
            f"the generator's last layer has {generator.outputs} units, "
            f"an image of {experiment.dataset} has {dimension} values"
        )
    discriminator = Network(dimension, experiment.discriminator)
    return Gan(generator.to(device), discriminator.to(device))


def initialise(gan: Gan, marginals: torch.Tensor, generator: torch.Generator) -> None:
    """Draw all weights, the generator's first, layer by layer, and set all biases.

    Parameters
    ----------
    gan : changed in place.
    marginals : (d,) the training images' mean.
    generator : on the networks' device.
    """
    for _, network in gan.named_networks():
        for layer in network.dense:
            layer.initialise(generator, marginals)
