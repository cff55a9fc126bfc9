"""The convolutional layers of the CIFAR-10 networks.

Pylearn2, ``MaxoutConvC01B``: cross-correlation, bias, maximum over pieces, then spatial maximum
pooling. The released ``deconv.py``: the transposed convolution.
"""

import math

import torch
from torch.nn import functional

from paper_repro.gan.model import recipe
from paper_repro.gan.model.layer import Layer, Shape


class MaxoutConvolution(Layer):
    """Dropout on the inputs, convolution, maximum over pieces, pooling."""

    settings: recipe.MaxoutConvolution

    def __init__(self, shape: Shape, layer: recipe.MaxoutConvolution) -> None:
        filters = layer.channels * layer.pieces
        super().__init__(shape, layer, (filters, shape[0], layer.kernel, layer.kernel), (filters,))

    @staticmethod
    def output_shape(shape: Shape, layer: recipe.MaxoutConvolution) -> Shape:
        """Return (channels, rows, columns) from (channels, rows, columns)."""
        if len(shape) != 3:
            raise ValueError(f"needs (channels, rows, columns), not {shape}")
        sides = []
        for side in shape[1:]:
            made = side + 2 * layer.pad - layer.kernel + 1
            if made < layer.pool:
                raise ValueError(f"{shape} is too small for its kernel and pooling")
            # Ceiling: the last window may hang over the edge.
            sides.append(math.ceil((made - layer.pool) / layer.pool_stride) + 1)
        return (layer.channels, *sides)

    def affine(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return (n, channels * pieces, rows, columns) before maximum and pooling."""
        x = x if mask is None else x * mask
        return functional.conv2d(
            x.view(-1, *self.shape), self.weight, self.bias, padding=self.settings.pad
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the activations, (n, inputs) -> (n, channels * rows * columns)."""
        values = self.affine(x, mask)
        values = values.unflatten(1, (self.settings.channels, self.settings.pieces)).max(2).values
        pooled = functional.max_pool2d(
            values, self.settings.pool, self.settings.pool_stride, ceil_mode=True
        )
        return pooled.flatten(1)


class TransposedConvolution(Layer):
    """The linear last layer of the convolutional generator; a bias for each output position."""

    settings: recipe.TransposedConvolution

    def __init__(self, shape: Shape, layer: recipe.TransposedConvolution) -> None:
        weight = (layer.reads[2], layer.channels, layer.kernel, layer.kernel)
        super().__init__(shape, layer, weight, self.output_shape(shape, layer))

    @staticmethod
    def output_shape(shape: Shape, layer: recipe.TransposedConvolution) -> Shape:
        """Return (channels, rows, columns)."""
        if math.prod(shape) != math.prod(layer.reads):
            raise ValueError(f"reads {layer.reads}, which are not {math.prod(shape)} values")
        sides = ((side - 1) * layer.stride + layer.kernel for side in layer.reads[:2])
        return (layer.channels, *sides)

    def affine(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the values, (n, inputs) -> (n, channels * rows * columns)."""
        x = x if mask is None else x * mask
        read = x.view(-1, *self.settings.reads).permute(0, 3, 1, 2)  # (n, channels, rows, columns)
        made = functional.conv_transpose2d(read, self.weight, stride=self.settings.stride)
        return (made + self.bias).flatten(1)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the same: the layer is linear."""
        return self.affine(x, mask)
