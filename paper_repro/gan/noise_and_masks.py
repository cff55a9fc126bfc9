"""The random draws of training: noise and dropout masks, from one generator on the device."""

from dataclasses import dataclass

import torch

from paper_repro.gan.model import recipe
from paper_repro.gan.model.layer import Layer
from paper_repro.gan.model.networks import Network
from paper_repro.gan.model.noise import draw_noise


def draw_masks(network: Network, n: int, rng: torch.Generator) -> list[torch.Tensor | None]:
    """Draw each layer's dropout mask for n examples.

    Masks are compared from raw random bits, which are several times cheaper than uniform numbers:
    one byte an element where it gives `keep` exactly, as it does ½, else two (.8 becomes .800003).

    Returns
    -------
    For each layer (n, inputs), of which each input is contiguous: `scale` with probability `keep`,
    else 0, element-wise and per example; None for a layer without dropout.
    """
    dropping = [layer for layer in network.stack if layer.has_dropout]
    kinds = [_bits(layer.settings.keep) for layer in dropping]
    counts = [
        -(-layer.inputs * n * torch.iinfo(kind).bits // 64)
        for layer, kind in zip(dropping, kinds, strict=True)
    ]
    # All in one draw: the generator gives the same words as in one after the other.
    words = torch.empty(sum(counts), dtype=torch.int64, device=rng.device)
    words.random_(-(2**63), None, generator=rng)
    drawn = iter(zip(kinds, words.split(counts), strict=True))
    return [_mask(layer, n, *next(drawn)) if layer.has_dropout else None for layer in network.stack]


def _bits(keep: float) -> torch.dtype:
    return torch.int8 if (keep * 2**8).is_integer() else torch.int16


def _mask(layer: Layer, n: int, kind: torch.dtype, words: torch.Tensor) -> torch.Tensor:
    keep, info = layer.settings.keep, torch.iinfo(kind)
    mask = torch.empty(layer.inputs, n, device=words.device)
    if keep == 1:
        return mask.fill_(layer.settings.scale).T
    bits = words.view(kind)[: mask.numel()].view_as(mask)  # uniform from info.min on
    below = info.min + round(keep * 2**info.bits)
    return torch.lt(bits, below, out=mask).mul_(layer.settings.scale).T


@dataclass(frozen=True)
class Draws:
    """What an update draws from; the order of the calls is the order of the draws."""

    experiment: recipe.Experiment
    discriminator: Network
    rng: torch.Generator

    def noise(self, n: int) -> torch.Tensor:
        """Draw z for n samples, (n, noise_dimension)."""
        settings = self.experiment
        return draw_noise(n, settings.noise_dimension, settings.noise, self.rng)

    def masks(self, n: int) -> list[torch.Tensor | None]:
        """Draw the discriminator's dropout masks for n examples."""
        return draw_masks(self.discriminator, n, self.rng)
