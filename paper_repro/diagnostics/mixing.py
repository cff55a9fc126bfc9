"""How well a chain of samples mixes: the row "sampling" of table 2, in numbers.

Draws are (chains, draws, d) in the order of drawing. Independent draws, such as a generator's, have
an integrated autocorrelation time of 1. Effective sample sizes and R̂ are those of arviz-stats
(Vehtari et al. 2021, arXiv:1903.08008).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from paper_repro.diagnostics.digit_classifier import CLASSES, Classifier

DIRECTIONS = 10  # principal components of the training images
WINDOWS = (10, 50, 100, 500)  # draws within which digits are counted


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


def functionals(
    draws: torch.Tensor, directions: Directions, classifier: Classifier
) -> dict[str, torch.Tensor]:
    """Return numbers of each draw, (chains, draws), of which mixing is told.

    Projections on principal directions, the classifier's probability of each digit, the mean
    intensity.
    """
    chains, count, d = draws.shape
    projected = (draws.double() - directions.mean) @ directions.vectors
    digits = classifier.probabilities(draws.reshape(-1, d)).reshape(chains, count, CLASSES)
    return {
        **{f"component {i + 1}": projected[..., i] for i in range(projected.shape[-1])},
        **{f"digit {i}": digits[..., i] for i in range(CLASSES)},
        "intensity": draws.double().mean(-1),
    }


def autocorrelation(draws: torch.Tensor, largest: int) -> torch.Tensor:
    """Return ρ(k), k = 0 … `largest`, of whole images, (largest + 1,).

    ρ(k) = E[(x_t − μ)·(x_{t+k} − μ)] / E‖x_t − μ‖², μ the mean over all chains.
    """
    chains, count, _ = draws.shape
    mean = draws.double().mean((0, 1))
    products = torch.zeros(largest + 1, dtype=torch.float64)
    for chain in draws:  # one at a time, to bound the memory
        spectrum = torch.fft.rfft(chain.double() - mean, 2 * count, dim=0)
        power = spectrum.abs().square().sum(1)
        products += torch.fft.irfft(power, 2 * count)[: largest + 1]
    pairs = chains * (count - torch.arange(largest + 1))
    covariance = products / pairs
    return covariance / covariance[0]


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


def efficiency(numbers: dict[str, torch.Tensor]) -> Efficiency:
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


@dataclass(frozen=True)
class Digits:
    """How chains move between digits."""

    changes: float  # share of steps at which the digit changes
    dwell: float  # mean length of a stretch of one digit, in draws
    distinct: dict[int, float]  # by window, the mean number of digits within so many draws
    total_variation: float  # of the digits' shares from those of the data


def visited(labels: torch.Tensor, shares: Sequence[float]) -> Digits:
    """Return how chains visit digits.

    Parameters
    ----------
    labels : (chains, draws) the digit that the classifier calls each draw.
    shares : of each digit among the data.
    """
    changed = labels[:, 1:] != labels[:, :-1]
    stretches = int(changed.sum()) + len(labels)
    one_hot = torch.nn.functional.one_hot(labels, len(shares))
    distinct = {
        window: float(
            one_hot[:, : labels.shape[1] // window * window]
            .reshape(len(labels), -1, window, len(shares))
            .amax(2)
            .sum(-1)
            .double()
            .mean()
        )
        for window in WINDOWS
        if window <= labels.shape[1]
    }
    found = one_hot.double().mean((0, 1))
    return Digits(
        changes=float(changed.double().mean()),
        dwell=labels.numel() / stretches,
        distinct=distinct,
        total_variation=float((found - torch.tensor(shares)).abs().sum() / 2),
    )
