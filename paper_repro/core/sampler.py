"""A sampler: what turns a seed into samples. Nothing else of a model reaches a measure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

import torch

from paper_repro.core.measure import Thinned
from paper_repro.core.random_streams import stream_rng

L = TypeVar("L")  # a dataclass of tensors
Walk = Callable[[torch.Tensor, torch.Generator], Iterator[torch.Tensor]]


class Sampler(Protocol):
    """Anything that turns a seed into samples, each a mean image rather than random bits."""

    def sample(self, n: int, seed: int, stream: str) -> torch.Tensor:
        """Return n samples, (n, d), of the named stream of random draws.

        Independent ones, or consecutive steps of one Markov chain without burn-in, as the authors
        of deep GSN measured theirs (``model.py`` of yaoli/GSN).
        """

    def chains(
        self, count: int, seed: int, stream: str, start: torch.Tensor | None = None
    ) -> Iterator[torch.Tensor]:
        """Yield samples, (count, d), of so many chains, step by step and without end.

        They begin at the images `start`, (count, d), or at training images.
        """


@dataclass(frozen=True)
class ChainSampler:
    """Samples along a Markov chain.

    On the CPU whatever the device. A model is measured in double precision, so that any machine can
    check: where a number decides a bit, rounding on another machine would make another chain of it.

    Parameters
    ----------
    walk : yields the states of chains, in the precision of its parameters, that begin at given
        images, which are no state.
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
        for state in self.walk(start, stream_rng(seed, stream)):
            yield state.float()

    def sample(self, n: int, seed: int, stream: str) -> torch.Tensor:
        """Return consecutive states of one chain, (n, d)."""
        states = self.chains(1, seed, stream)
        return torch.cat([next(states) for _ in range(n)])


def moved(layer: L, device: torch.device | str, dtype: torch.dtype | None = None) -> L:
    """Return a dataclass of tensors on a device, in another precision if one is named."""
    tensors: dict[str, torch.Tensor] = vars(layer)
    return type(layer)(*(tensor.to(device, dtype) for tensor in tensors.values()))


def in_double(layer: L) -> L:
    """Return a dataclass of tensors as chains walk by it: on the CPU, in double precision."""
    return moved(layer, "cpu", torch.float64)


def stacked(kind: Any, tensors: Mapping[str, torch.Tensor], widths: Sequence[int]) -> list[Any]:
    """Return layers of a kind, a dataclass of tensors, from what a file calls ``0.weight``, ….

    A `ValueError` if there are other tensors, or layers of other widths.
    """
    names = [field.name for field in fields(kind)]
    found = tuple(
        tensors.get(f"{i}.weight", torch.empty(0, 0)).shape[-1] for i in range(len(widths))
    )
    expected = {f"{index}.{name}" for index in range(len(widths)) for name in names}
    if tensors.keys() != expected or found != tuple(widths):
        raise ValueError(f"layers of {found} units, not {tuple(widths)}")
    return [kind(*(tensors[f"{index}.{name}"] for name in names)) for index in range(len(widths))]


def thinned(sampler: Sampler, apart: Thinned, samples: int, seed: int, stream: str) -> torch.Tensor:
    """Return so many samples of several chains by draws that lie apart, (chains, draws, d)."""
    states = sampler.chains(apart.chains, seed, stream)
    for _ in range(apart.burn_in):
        next(states)
    found = []
    for _ in range(samples // apart.chains):
        for _ in range(apart.thinning):
            state = next(states)
        found.append(state)
    return torch.stack(found, dim=1)
