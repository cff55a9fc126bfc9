"""The Gaussian Parzen-window estimate of section 5 (the released ``parzen_ll.py``).

LL(x) = log mean_j exp(−‖x − s_j‖² / 2σ²) − d log(σ √(2π)), in nats, with samples s_j.

Squared distances come from a matrix product on data centred at the samples' mean, in chunks, and
every σ is served by one pass over them; sums are kept as running log-sum-exp in float64. There is
never an array of test × samples × pixels, nor of test × samples.
"""

import math
from collections.abc import Sequence

import torch


@torch.no_grad()
def log_likelihoods(
    images: torch.Tensor,
    samples: torch.Tensor,
    sigmas: Sequence[float],
    *,
    image_chunk: int = 1000,
    sample_chunk: int = 2500,
) -> torch.Tensor:
    """Return the log-likelihood of each image under each bandwidth, in nats.

    Parameters
    ----------
    images : (m, d)
    samples : (n, d) the centres of the windows, on the same device.
    sigmas : the bandwidths, in pixels' units.
    image_chunk, sample_chunk : bound the memory; they change the result by rounding only.

    Returns
    -------
    (len(sigmas), m), float64
    """
    n, d = samples.shape
    centre = samples.mean(0)
    result = torch.full((len(sigmas), len(images)), -math.inf, dtype=torch.float64)
    for block in samples.split(sample_chunk):
        s = block - centre  # (b, d)
        s_squared = s.square().sum(1)
        for start in range(0, len(images), image_chunk):
            x = images[start : start + image_chunk] - centre  # (a, d)
            squared = torch.addmm(x.square().sum(1, keepdim=True) + s_squared, x, s.T, alpha=-2)
            squared.clamp_(min=0)  # (a, b); rounding can take a zero below
            # exp of differences to the nearest centre: never overflows, and the largest is 1.
            nearest = squared.min(1, keepdim=True).values
            squared -= nearest
            for index, sigma in enumerate(sigmas):
                scale = -1 / (2 * sigma**2)
                summed = (squared * scale).exp_().sum(1).double().log_().cpu()
                summed += nearest[:, 0].double().cpu() * scale
                part = result[index, start : start + image_chunk]
                torch.logaddexp(part, summed, out=part)
    constants = torch.tensor(
        [math.log(n) + d * math.log(sigma * math.sqrt(2 * math.pi)) for sigma in sigmas],
        dtype=torch.float64,
    )
    return result - constants[:, None]


def best_bandwidth(likelihoods: torch.Tensor) -> int:
    """Return the index of the bandwidth with the highest mean, the first of equals.

    Parameters
    ----------
    likelihoods : (bandwidths, m) what `log_likelihoods` returns on validation images, in nats.
    """
    return int(likelihoods.mean(1).argmax())


def mean_and_standard_error(values: torch.Tensor) -> tuple[float, float]:
    """Return the mean over examples and its error: population standard deviation / √m."""
    return float(values.mean()), float(values.std(correction=0) / math.sqrt(len(values)))
