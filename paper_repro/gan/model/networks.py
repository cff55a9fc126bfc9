"""The generator and the discriminator of an experiment, built from its configuration.

Between layers everything is flat, (n, values), so that a convolution is a layer like any other.
Weights of fully connected layers are (inputs, outputs) matrices, as in the released code, so that a
unit is a column.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from paper_repro.gan.model import recipe
from paper_repro.gan.model.convolution import MaxoutConvolution, TransposedConvolution
from paper_repro.gan.model.layer import Layer, Shape
from paper_repro.gan.model.maxout import maxout

Masks = Sequence[torch.Tensor | None]


class Dense(Layer):
    """One fully connected layer: dropout on the inputs, affine map, activation."""

    settings: recipe.Relu | recipe.Sigmoid | recipe.Linear | recipe.Maxout

    def __init__(
        self, shape: Shape, layer: recipe.Relu | recipe.Sigmoid | recipe.Linear | recipe.Maxout
    ) -> None:
        columns = layer.units * layer.pieces if layer.layer == "maxout" else layer.units
        super().__init__(shape, layer, (math.prod(shape), columns), (columns,))

    @staticmethod
    def output_shape(
        shape: Shape, layer: recipe.Relu | recipe.Sigmoid | recipe.Linear | recipe.Maxout
    ) -> Shape:
        """Return the shape of one example's outputs."""
        return (layer.units,)

    def affine(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return (x * mask) W + b, (n, inputs) -> (n, columns)."""
        return torch.addmm(self.bias, x if mask is None else x * mask, self.weight)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the activations, (n, inputs) -> (n, units)."""
        values = self.affine(x, mask)
        match self.settings.layer:
            case "maxout":
                return maxout(values, self.settings.pieces)
            case "relu":
                return torch.relu(values)
            case "sigmoid":
                return torch.sigmoid(values)
            case "linear":
                return values


def _layer_type(layer: recipe.AnyLayer) -> Any:  # a Layer; each takes its own settings
    match layer.layer:
        case "maxout_convolution":
            return MaxoutConvolution
        case "transposed_convolution":
            return TransposedConvolution
        case _:
            return Dense


def output_shapes(shape: Shape, layers: Sequence[recipe.AnyLayer]) -> list[Shape]:
    """Return the shape of one example after each layer, without building any.

    Raises
    ------
    ValueError
        If a layer can't take what the one before puts out, or has fewer inputs than its weights.
    """
    shapes = []
    for index, layer in enumerate(layers):
        try:
            if isinstance(layer.init, recipe.SparseInit) and layer.init.sparse > math.prod(shape):
                raise ValueError(
                    f"init.sparse is {layer.init.sparse}, but it has {math.prod(shape)} inputs"
                )
            shape = _layer_type(layer).output_shape(shape, layer)
        except ValueError as error:
            raise ValueError(f"layer {index} ({layer.layer}): {error}") from None
        shapes.append(shape)
    return shapes


class Network(torch.nn.Module):
    """Layers one after the other.

    Parameters
    ----------
    shape : of one example of the input.
    """

    def __init__(self, shape: Shape, layers: Sequence[recipe.AnyLayer]) -> None:
        super().__init__()
        shapes = [shape, *output_shapes(shape, layers)]
        self.stack: list[Layer] = [
            _layer_type(layer)(before, layer)
            for before, layer in zip(shapes[:-1], layers, strict=True)
        ]
        self.layers = torch.nn.ModuleList(self.stack)  # the same layers, for torch

    def hidden(self, x: torch.Tensor, masks: Masks | None = None) -> torch.Tensor:
        """Return the last layer's input, before its dropout."""
        for index, layer in enumerate(self.stack[:-1]):
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
        return self.stack[-1].affine(self.hidden(x, masks), masks[-1] if masks else None)

    def forward(self, x: torch.Tensor, masks: Masks | None = None) -> torch.Tensor:
        """Return the activations of the last layer, (n, outputs); parameters as in `logits`."""
        last: torch.Tensor = self.stack[-1](self.hidden(x, masks), masks[-1] if masks else None)
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


def check_shapes(experiment: recipe.Experiment, shape: Shape) -> None:
    """Raise a ValueError unless the networks suit images of that shape, and each other."""
    try:
        made = output_shapes((experiment.noise_dimension,), experiment.generator)[-1]
    except ValueError as error:
        raise ValueError(f"generator: {error}") from None
    if math.prod(made) != math.prod(shape):
        raise ValueError(
            f"generator: its last layer puts out {math.prod(made)}, an image of "
            f"{experiment.dataset} has {math.prod(shape)} values"
        )
    try:
        output_shapes(shape, experiment.discriminator)
    except ValueError as error:
        raise ValueError(f"discriminator: {error}") from None


def build_gan(experiment: recipe.Experiment, shape: Shape, device: torch.device | str) -> Gan:
    """Return both networks with undefined parameters: to initialise or to load.

    Parameters
    ----------
    shape : of one image, e.g. (3, 32, 32).

    Raises
    ------
    ValueError
        As `check_shapes`.
    """
    check_shapes(experiment, shape)
    generator = Network((experiment.noise_dimension,), experiment.generator)
    discriminator = Network(shape, experiment.discriminator)
    return Gan(generator.to(device), discriminator.to(device))


def initialise(gan: Gan, marginals: torch.Tensor, rng: torch.Generator) -> None:
    """Draw all weights, the generator's first, layer by layer, and set all biases.

    Pretrained layers are left undefined: see `stack_pretrained`.

    Parameters
    ----------
    gan : changed in place.
    marginals : (d,) the training images' mean.
    rng : on the networks' device.
    """
    for _, network in gan.named_networks():
        for layer in network.stack:
            layer.initialise(rng, marginals)


@torch.no_grad()
def stack_pretrained(
    generator: Network, new_layers: int, pretrained: Mapping[str, torch.Tensor]
) -> None:
    """Copy a trained generator's parameters into the layers that follow the new ones.

    The released ``tfd_pretrain/train.yaml``: all layers of the pretrained generator, none frozen.

    Parameters
    ----------
    generator : changed in place.
    new_layers : how many of its first layers are not pretrained.
    pretrained : by name, as in `Network`: ``layers.0.weight``, ….

    Raises
    ------
    ValueError
        If number or shapes of the layers disagree.
    """
    places = {
        f"layers.{index}.{name}": parameter
        for index, layer in enumerate(generator.stack[new_layers:])
        for name, parameter in layer.named_parameters()
    }
    if places.keys() != pretrained.keys():
        raise ValueError(f"{len(pretrained) // 2} pretrained layers for {len(places) // 2} places")
    for name, parameter in places.items():
        if parameter.shape != pretrained[name].shape:
            raise ValueError(
                f"pretrained {name} is {tuple(pretrained[name].shape)}, its place is "
                f"{tuple(parameter.shape)}"
            )
        parameter.copy_(pretrained[name])
