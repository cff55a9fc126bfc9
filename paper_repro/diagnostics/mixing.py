"""How well a chain of samples mixes: the row "sampling" of table 2, in numbers.

Draws are (chains, draws, d) in the order of drawing. Independent draws, such as a generator's, have
an integrated autocorrelation time of 1. Effective sample sizes and R̂ are those of arviz-stats
(Vehtari et al. 2021, arXiv:1903.08008).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

WINDOWS = (10, 50, 100, 500)  # draws within which digits are counted


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
