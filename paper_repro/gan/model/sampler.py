"""A generator as a sampler."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from paper_repro.core.errors import UserError
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.sampler import Sampler
from paper_repro.gan.model import recipe
from paper_repro.gan.model.networks import Network
from paper_repro.gan.model.noise import draw_noise

CHUNK = 1000  # samples made at a time


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

    def chains(
        self, count: int, seed: int, stream: str, start: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield independent samples, (count, d); wherever a chain starts, it forgets at once."""
        settings, rng = self.experiment, stream_rng(seed, stream)
        device = next(self.network.parameters()).device
        while True:
            z = draw_noise(count, settings.noise_dimension, settings.noise, rng)
            with torch.no_grad():
                images = self.network(z.to(device))
            yield images


def generator_of(sampler: Sampler, key: str) -> GeneratorSampler:
    """Return a sampler as a generator, for what looks at z.

    Raises
    ------
    UserError
        If it is a Markov chain, which has none.
    """
    if not isinstance(sampler, GeneratorSampler):
        raise UserError(
            f"presentation.diagnosed: {key} is no generator: it has no z for figure 3 and the "
            "checks of samples; take it off the list, then type `paper_repro runs`"
        )
    return sampler
