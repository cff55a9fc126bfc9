"""Markov chains of samples: how they are measured in training, and how well they mix.

Draws are (chains, draws, d) in the order of drawing. Independent draws, such as a generator's, have
an integrated autocorrelation time of 1. Effective sample sizes and R̂ are those of arviz-stats
(Vehtari et al. 2021, arXiv:1903.08008).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from paper_repro.core.measure import ParzenSettings
from paper_repro.core.sampler import Sampler
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
    rhat: float  # the largest
    worst: str  # the functional of the least
    draws: int

    @property
    def time(self) -> float:
        """The integrated autocorrelation time in draws, of the functional that mixes worst."""
        return self.draws / self.ess_least


def efficiency(numbers: Mapping[str, torch.Tensor]) -> Efficiency:
    """Return effective sample sizes and rank R̂ of functionals, each (chains, draws)."""
    values = torch.stack(list(numbers.values()), dim=-1).numpy()
    axes = {"chain_axis": 0, "draw_axis": 1}
    sizes = torch.as_tensor(array_stats.ess(values, **axes))
    rhat = torch.as_tensor(array_stats.rhat(values, **axes))
    worst = int(sizes.argmin())
    return Efficiency(
        ess_least=float(sizes[worst]),
        ess_median=float(sizes.median()),
        rhat=float(rhat.max()),
        worst=list(numbers)[worst],
        draws=values.shape[0] * values.shape[1],
    )


def validate(
    sampler: Sampler,
    settings: ParzenSettings,
    valid: torch.Tensor,
    directions: Directions,
    seed: int,
    epoch: int,
) -> dict[str, int | float]:
    """Measure an epoch: the Parzen estimate of one chain's steps in nats, and how it mixes.

    Parameters
    ----------
    valid : (v, d) validation images.
    """
    samples = sampler.sample(settings.samples, seed, f"validation/{epoch}")
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
