"""The random draws of training: noise and dropout masks, from one generator on the device."""

from dataclasses import dataclass

import torch

from paper_repro import config
from paper_repro.models.networks import Network
from paper_repro.models.noise import draw_noise


def draw_masks(network: Network, n: int, generator: torch.Generator) -> list[torch.Tensor | None]:
    """Draw each layer's dropout mask for n examples.

    Returns
    -------
    For each layer (n, inputs): `scale` with probability `keep`, else 0, element-wise and per
    example; None for a layer without dropout.
    """
    masks: list[torch.Tensor | None] = []
    for layer in network.stack:
        if not layer.has_dropout:
            masks.append(None)
            continue
        uniform = torch.rand(n, layer.inputs, generator=generator, device=generator.device)
        masks.append(uniform.lt_(layer.settings.keep).mul_(layer.settings.scale))
    return masks


@dataclass(frozen=True)
class Draws:
    """What an update draws from; the order of the calls is the order of the draws."""

    experiment: config.Experiment
    discriminator: Network
    generator: torch.Generator

    def noise(self, n: int) -> torch.Tensor:
        """Draw z for n samples, (n, noise_dimension)."""
        settings = self.experiment
        return draw_noise(n, settings.noise_dimension, settings.noise, self.generator)

    def masks(self, n: int) -> list[torch.Tensor | None]:
        """Draw the discriminator's dropout masks for n examples."""
        return draw_masks(self.discriminator, n, self.generator)
