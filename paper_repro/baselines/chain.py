"""Markov chains of samples: how they are measured in training, and how well they mix.

Draws are (chains, draws, d) in the order of drawing. Independent draws, such as a generator's, have
an integrated autocorrelation time of 1. Effective sample sizes and R̂ are those of arviz-stats
(Vehtari et al. 2021, arXiv:1903.08008).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from paper_repro.core.measure import ParzenSettings
from paper_repro.parzen.bandwidth import choose_bandwidth
from paper_repro.parzen.likelihood import mean_and_standard_error

DIRECTIONS = 10  # principal components of the training images
VALIDATION = ("epoch", "valid_nats", "valid_se", "sigma", "autocorrelation_time")


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


@dataclass(frozen=True)
class Efficiency:
    """What draws are worth, by the functional that mixes worst and by the one in the middle.

    Of a single chain, which looks mixed where it is stuck, R̂ tells by its halves.
    """

    ess_least: float
    ess_median: float
    rhat: float | None  # the largest; None where chains stand still apart
    worst: str  # the functional of the least
    draws: int

    @property
    def time(self) -> float:
        """The integrated autocorrelation time in draws, of the functional that mixes worst."""
        return self.draws / self.ess_least


def efficiency(numbers: Mapping[str, torch.Tensor]) -> Efficiency:
    """Return effective sample sizes and rank R̂ of functionals, each (chains, draws).

    One that is the same in all draws tells nothing and is left out.
    """
    draws = next(iter(numbers.values())).numel()
    varying = {name: value for name, value in numbers.items() if value.min() < value.max()}
    if not varying:
        return Efficiency(1.0, 1.0, None, "all", draws)
    values = torch.stack(list(varying.values()), dim=-1).numpy()
    axes = {"chain_axis": 0, "draw_axis": 1}
    with np.errstate(divide="ignore", invalid="ignore"):  # of chains that stand still
        sizes = np.nan_to_num(array_stats.ess(values, **axes), nan=1.0)
        rhat = float(np.max(array_stats.rhat(values, **axes)))
    worst = int(sizes.argmin())
    return Efficiency(
        ess_least=float(sizes[worst]),
        ess_median=float(np.median(sizes)),
        rhat=rhat if math.isfinite(rhat) else None,
        worst=list(varying)[worst],
        draws=draws,
    )


def validated(
    samples: torch.Tensor,
    settings: ParzenSettings,
    valid: torch.Tensor,
    directions: Directions,
    epoch: int,
) -> dict[str, int | float]:
    """Return what validation says of an epoch: the Parzen estimate in nats, and how a chain mixes.

    Parameters
    ----------
    samples : (n, d) consecutive steps of one chain.
    valid : (v, d) validation images.
    """
    images = valid[: settings.sigma_images].cpu()  # all of them if it is None
    bandwidth = choose_bandwidth(images, samples, settings.sigmas())
    nats, error = mean_and_standard_error(bandwidth.likelihoods)
    return {
        "epoch": epoch,
        "valid_nats": nats,
        "valid_se": error,
        "sigma": bandwidth.sigma,
        "autocorrelation_time": efficiency(functionals(samples[None], directions)).time,
    }
