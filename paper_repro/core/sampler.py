"""A sampler: what turns a seed into samples. Nothing else of a model reaches a measure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from paper_repro.core.random_streams import stream_rng

Walk = Callable[[torch.Tensor, torch.Generator], Iterator[torch.Tensor]]


class Sampler(Protocol):
    """Anything that turns a seed into samples, each a mean image rather than random bits."""

    def sample(self, n: int, seed: int, stream: str) -> torch.Tensor:
        """Return n samples, (n, d), of the named stream of random draws.

        Independent ones, or consecutive steps of one Markov chain without burn-in, as the authors
        of deep GSN measured theirs (``model.py`` of yaoli/GSN).
        """
        ...

    def chains(
        self, count: int, seed: int, stream: str, start: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield samples, (count, d), of so many chains, step by step and without end.

        Parameters
        ----------
        start : (count, d) images at which the chains begin; training images if None.
        """
        ...


@dataclass(frozen=True)
class ChainSampler:
    """Samples along a Markov chain.

    On the CPU whatever the device, and in double precision, so that any machine can check: where a
    number decides a bit, rounding on another machine would make another chain of it.

    Parameters
    ----------
    walk : yields the states of chains, float64, that begin at given images, which are no state.
    images : gives the training images, (n, d).
    """

    walk: Walk
    images: Callable[[], torch.Tensor]

    def chains(
        self, count: int, seed: int, stream: str, start: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield the states of chains as `Sampler.chains`."""
        if start is None:
            images = self.images()
            drawn = torch.randperm(len(images), generator=stream_rng(seed, stream, "start"))
            start = images[drawn[:count]]
        for state in self.walk(start.double(), stream_rng(seed, stream)):
            yield state.float()

    def sample(self, n: int, seed: int, stream: str) -> torch.Tensor:
        """Return consecutive states of one chain, (n, d)."""
        states = self.chains(1, seed, stream)
        return torch.cat([next(states) for _ in range(n)])


def thinned(
    sampler: Sampler, draws: int, seed: int, stream: str, *, chains: int, burn_in: int, every: int
) -> torch.Tensor:
    """Return draws that lie apart, (chains, draws, d): every so-manieth step after the burn-in."""
    states = sampler.chains(chains, seed, stream)
    for _ in range(burn_in):
        next(states)
    found = []
    for _ in range(draws):
        for _ in range(every):
            state = next(states)
        found.append(state)
    return torch.stack(found, dim=1)
