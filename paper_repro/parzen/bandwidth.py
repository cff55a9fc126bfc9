"""The choice of σ, the window's bandwidth, and the estimate made with it (section 5).

The released ``parzen_ll.py``: σ is the first of a grid with the highest mean log-likelihood of
validation images; the estimate is the mean over test images.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from paper_repro.parzen.likelihood import log_likelihoods, mean_and_standard_error


@dataclass(frozen=True)
class Bandwidth:
    """The bandwidth chosen, and what it was chosen by."""

    sigma: float
    likelihoods: torch.Tensor  # (v,) of the validation images, in nats
    mean_by_sigma: dict[float, float]  # nats, over the whole grid


@dataclass(frozen=True)
class Estimate:
    """The Parzen estimate of test images, in nats."""

    bandwidth: Bandwidth
    mean: float
    se: float  # over test images

    def numbers(self) -> dict[str, float]:
        """Return σ, mean and error by the names that files give them."""
        return {"sigma": self.bandwidth.sigma, "test_mean": self.mean, "test_se": self.se}


def choose_bandwidth(
    valid: torch.Tensor,
    samples: torch.Tensor | Iterable[torch.Tensor],
    sigmas: Sequence[float],
) -> Bandwidth:
    """Return the bandwidth with the highest mean on validation images, the first of equals.

    Parameters
    ----------
    valid : (v, d) validation images.
    samples : (n, d), or blocks of them, as `log_likelihoods` takes them.
    """
    found = log_likelihoods(valid, samples, sigmas)
    best = int(found.mean(1).argmax())
    means = {sigma: float(row.mean()) for sigma, row in zip(sigmas, found, strict=True)}
    return Bandwidth(sigmas[best], found[best], means)


def estimate(
    samples: Callable[[], torch.Tensor | Iterable[torch.Tensor]],
    sigmas: Sequence[float],
    valid: torch.Tensor,
    test: torch.Tensor,
) -> Estimate:
    """Return the estimate, σ chosen on validation images.

    Parameters
    ----------
    samples : gives the same samples at each of its two calls, (n, d) or blocks of them: more than
        fit into memory need not exist at once.
    valid : (v, d) validation images, used for σ and nothing else.
    test : (m, d) test images, used for the mean and its error and nothing else.
    """
    bandwidth = choose_bandwidth(valid, samples(), sigmas)
    found = log_likelihoods(test, samples(), [bandwidth.sigma])[0]
    return Estimate(bandwidth, *mean_and_standard_error(found))
