"""A sampler: what turns a seed into n samples. Nothing else of a model reaches a measure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan.model import recipe
from paper_repro.gan.model.networks import Network
from paper_repro.gan.model.noise import draw_noise

CHUNK = 1000  # samples made at a time


class Sampler(Protocol):
    """Anything that turns a seed into samples."""

    def sample(self, n: int, seed: int, stream: str) -> torch.Tensor:
        """Return n samples, (n, d), of the named stream of random draws."""
        ...


@dataclass(frozen=True)
class GeneratorSampler:
    """Samples G(z), z from a CPU generator whatever the device, so that any machine can check."""

    network: Network
    experiment: recipe.Experiment

    def blocks(self, n: int, seed: int, stream: str) -> Iterator[torch.Tensor]:
        """Yield what `sample` returns, (…, d) at a time: for more samples than fit into memory."""
        settings = self.experiment
        z = draw_noise(n, settings.noise_dimension, settings.noise, stream_rng(seed, stream))
        device = next(self.network.parameters()).device
        for part in z.split(CHUNK):
            with torch.no_grad():
                yield self.network(part.to(device))

    def sample(self, n: int, seed: int, stream: str) -> torch.Tensor:
        """Return G(z), (n, d), on the network's device."""
        return torch.cat(list(self.blocks(n, seed, stream)))
