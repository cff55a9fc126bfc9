"""Markov chains of samples: how they are measured in training, and how well they mix.

Draws are (chains, draws, d) in the order of drawing. Independent draws, such as a generator's, have
an integrated autocorrelation time of 1. Effective sample sizes and R̂ are those of arviz-stats
(Vehtari et al. 2021, arXiv:1903.08008).
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from paper_repro.core.random_streams import stream_rng
from paper_repro.core.recipe import Layerwise, Recipe
from paper_repro.core.records import Closed
from paper_repro.core.sampler import ChainSampler, in_double, moved
from paper_repro.parzen.bandwidth import choose_bandwidth
from paper_repro.parzen.likelihood import mean_and_standard_error

R = TypeVar("R", bound=Recipe)
W = TypeVar("W", bound=Layerwise)
L = TypeVar("L")
DIRECTIONS = 10  # principal components of the training images
VALIDATION = ("epoch", "valid_nats", "valid_se", "sigma", "autocorrelation_time")


class Efficiency(Closed):
    """What so many draws are worth, by the functional that mixes worst and the one in the middle.

    `time` is the integrated autocorrelation time of the worst, in draws; R̂ is
    the largest, null where chains stand still apart.
    """

    ess_least: float
    ess_median: float
    rhat: float | None
    worst: str
    draws: int
    time: float


@dataclass(frozen=True)
class Directions:
    """Principal components of images: their mean, (d,), and unit vectors, (d, k)."""

    mean: torch.Tensor
    vectors: torch.Tensor


def principal_directions(images: torch.Tensor, count: int = DIRECTIONS) -> Directions:
    """Return the directions in which images, (n, d), vary most, the first ones first."""
    mean = images.double().mean(0)
    centred = images.double() - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # from the smallest
    return Directions(mean, vectors.flip(1)[:, :count])


def functionals(draws: torch.Tensor, directions: Directions) -> dict[str, torch.Tensor]:
    """Return numbers of each draw, (chains, draws), of which mixing is told: where it lies.

    Projections on principal directions, and the mean intensity.
    """
    projected = (draws.double() - directions.mean) @ directions.vectors
    return {
        **{f"component {i + 1}": projected[..., i] for i in range(projected.shape[-1])},
        "intensity": draws.double().mean(-1),
    }


def efficiency(numbers: Mapping[str, torch.Tensor]) -> Efficiency:
    """Return effective sample sizes and rank R̂ of functionals, each (chains, draws).

    One that is the same in all draws tells nothing and is left out. Of a single chain, which looks
    mixed where it is stuck, R̂ tells by its halves.
    """
    draws = next(iter(numbers.values())).numel()
    varying = {name: value for name, value in numbers.items() if value.min() < value.max()}
    if not varying:
        return _worth(1.0, 1.0, None, "all", draws)
    values = torch.stack(list(varying.values()), dim=-1).numpy()
    axes = {"chain_axis": 0, "draw_axis": 1}
    with np.errstate(divide="ignore", invalid="ignore"):  # of chains that stand still
        sizes = np.nan_to_num(array_stats.ess(values, **axes), nan=1.0)
        rhat = float(np.max(array_stats.rhat(values, **axes)))
    worst = int(sizes.argmin())
    return _worth(
        float(sizes[worst]),
        float(np.median(sizes)),
        rhat if math.isfinite(rhat) else None,
        list(varying)[worst],
        draws,
    )


def _worth(least: float, median: float, rhat: float | None, worst: str, draws: int) -> Efficiency:
    return {
        "ess_least": least,
        "ess_median": median,
        "rhat": rhat,
        "worst": worst,
        "draws": draws,
        "time": draws / least,
    }


class ChainTraining(ABC, Generic[R]):
    """A `paper_repro.training.family.Training` of a chain, but for its updates.

    Parameters
    ----------
    shape, images, valid, seed, start : as in `paper_repro.training.family.TrainingModule`.
    """

    def __init__(
        self,
        recipe: R,
        shape: tuple[int, ...],
        images: torch.Tensor,
        valid: torch.Tensor,
        seed: int,
        start: Path | None = None,
    ) -> None:
        self.recipe, self.valid, self.seed = recipe, valid, seed
        device = images.device
        order = torch.randperm(len(images), generator=stream_rng(seed, "order"))
        self.images = images[order.to(device)]  # shuffled once
        self.directions = principal_directions(images.cpu())
        self.rng = stream_rng(seed, "draws", device=device)
        self.total = torch.zeros((), dtype=torch.float64, device=device)  # of the epoch
        # On the CPU, so that a seed begins with the same weights on every device.
        self.prepare(stream_rng(seed, "init"))

    @abstractmethod
    def prepare(self, rng: torch.Generator) -> None:
        """Make the parameters, and what else an update needs, before the first one.

        Parameters
        ----------
        rng : of the initial draws, on the CPU; what is drawn belongs on the images' device.
        """

    @abstractmethod
    def model(self) -> dict[str, torch.Tensor]:
        """Return the parameters, by the names of the model file."""

    def film(self) -> None:
        """Return nothing: no noise stands for one image."""

    def parameters(self) -> dict[str, int]:
        """Return how many parameters there are."""
        return {"generator": sum(tensor.numel() for tensor in self.model().values())}

    def batch(self, inputs: torch.Tensor, index: int) -> torch.Tensor:
        """Return the inputs of an epoch's update, counted from 0."""
        size = self.recipe.batch_size
        return inputs[index * size : (index + 1) * size]

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch, or go on in it."""
        self.total.fill_(sums[0] if sums else 0.0)

    def sums(self) -> list[float]:
        """Return the sum that the epoch's row of the curve is made of."""
        return [float(self.total)]

    def validated(self, samples: torch.Tensor, epoch: int) -> dict[str, int | float]:
        """Return what validation says: the Parzen estimate in nats, and how the chain mixes.

        Parameters
        ----------
        samples : (n, d) consecutive steps of one chain.
        """
        settings = self.recipe.parzen
        images = self.valid[: settings.sigma_images].cpu()  # all of them if it is None
        bandwidth = choose_bandwidth(images, samples, settings.sigmas())
        nats, error = mean_and_standard_error(bandwidth.likelihoods)
        return {
            "epoch": epoch,
            "valid_nats": nats,
            "valid_se": error,
            "sigma": bandwidth.sigma,
            "autocorrelation_time": efficiency(functionals(samples[None], self.directions))["time"],
        }

    def stepped(self, sampler: ChainSampler, epoch: int) -> dict[str, int | float]:
        """Return what validation says of a chain's first steps."""
        samples = sampler.sample(self.recipe.parzen.samples, self.seed, f"validation/{epoch}")
        return self.validated(samples, epoch)


class LayerwiseTraining(ChainTraining[W], Generic[W, L]):
    """The training of layers, one after the other; each a dataclass of tensors."""

    layers: list[L]

    def prepare(self, rng: torch.Generator) -> None:
        """Draw all layers; the first one's turn comes first."""
        widths = itertools.pairwise((self.images.shape[1], *self.recipe.hidden))
        device = self.images.device
        self.layers = [moved(self.drawn(inputs, units, rng), device) for inputs, units in widths]
        self.layer, self.inputs = 0, self.images

    @abstractmethod
    def drawn(self, inputs: int, units: int, rng: torch.Generator) -> L:
        """Return a layer before its first update."""

    @abstractmethod
    def code(self, layer: L, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layer above reads of inputs, (n, units)."""

    def model(self) -> dict[str, torch.Tensor]:
        """Return the parameters of all layers."""
        return {
            f"generator.{index}.{name}": tensor
            for index, layer in enumerate(self.layers)
            for name, tensor in vars(layer).items()
        }

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch of the layer whose turn it is; its inputs are the code below it."""
        super().begin(epoch, sums)
        layer = (epoch - 1) // self.recipe.epochs
        if layer != self.layer:
            self.layer, self.inputs = layer, self.images
            for below in self.layers[:layer]:
                self.inputs = self.code(below, self.inputs)

    def so_far(self, epoch: int) -> list[L]:
        """Return the layers that are trained by the end of an epoch, as chains walk by them."""
        return [in_double(layer) for layer in self.layers[: (epoch - 1) // self.recipe.epochs + 1]]


def check(recipe: Recipe, shape: tuple[int, ...]) -> None:
    """Raise nothing: chains suit any images in [0, 1]."""
