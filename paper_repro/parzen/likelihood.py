"""The Gaussian Parzen-window estimate of section 5 (the released ``parzen_ll.py``).

LL(x) = log mean_j exp(−‖x − s_j‖² / 2σ²) − d log(σ √(2π)), in nats, with samples s_j.

A block of samples at a time, one matrix product on centred data gives, for each pair,
x·s − ‖s‖²/2 = (‖x‖² − ‖x − s‖²)/2; every σ is served by one pass over it; sums are kept as running
log-sum-exp in float64. There is never an array of test × samples × pixels, nor of test × samples,
and the samples need not all exist at once.
"""

import math
from collections.abc import Iterable, Sequence

import torch


@torch.no_grad()
def log_likelihoods(
    images: torch.Tensor,
    samples: torch.Tensor | Iterable[torch.Tensor],
    sigmas: Sequence[float],
    *,
    image_chunk: int = 500,
    sample_chunk: int = 1000,
) -> torch.Tensor:
    """Return the log-likelihood of each image under each bandwidth, in nats.

    Parameters
    ----------
    images : (m, d)
    samples : (n, d) the centres of the windows, on the same device, or blocks of them, (…, d).
    sigmas : the bandwidths, in pixels' units.
    image_chunk, sample_chunk : bound the memory; they change the result by rounding only.

    Returns
    -------
    (len(sigmas), m), float64
    """
    m, d = images.shape
    centre = images.mean(0)  # of data near each other the squares are small, and so their rounding
    x = images - centre
    # A column of ones meets −‖s‖²/2, so that the product's own sum is the whole exponent.
    x_and_one = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    result = torch.full((len(sigmas), m), -math.inf, dtype=torch.float64)
    factors = [math.log2(math.e) / sigma**2 for sigma in sigmas]  # exp2 is the faster one, by far
    n = 0
    for given in [samples] if isinstance(samples, torch.Tensor) else samples:
        for block in given.split(sample_chunk):
            n += len(block)
            s = block - centre
            s_and_square = torch.cat([s, s.square().sum(1, keepdim=True).mul_(-0.5)], 1)
            for start in range(0, m, image_chunk):
                near = x_and_one[start : start + image_chunk] @ s_and_square.T  # (a, b)
                # exp of differences to the nearest centre: never overflows, and the largest is 1.
                nearest = near.amax(1, keepdim=True)
                near -= nearest
                scaled = torch.empty_like(near)
                summed = torch.stack(
                    [torch.mul(near, factor, out=scaled).exp2_().sum(1) for factor in factors]
                )
                part = result[:, start : start + image_chunk]
                exponents = nearest.double().cpu().T * _inverse_squares(sigmas)  # (sigmas, a)
                torch.logaddexp(part, summed.double().log_().cpu() + exponents, out=part)
    own = x.double().square().sum(1).cpu() / 2 * _inverse_squares(sigmas)
    constants = torch.tensor(
        [math.log(n) + d * math.log(sigma * math.sqrt(2 * math.pi)) for sigma in sigmas],
        dtype=torch.float64,
    )
    return result - own - constants[:, None]


def _inverse_squares(sigmas: Sequence[float]) -> torch.Tensor:
    return torch.tensor(sigmas, dtype=torch.float64)[:, None] ** -2


def mean_and_standard_error(values: torch.Tensor) -> tuple[float, float]:
    """Return the mean over examples and its error: population standard deviation / √m."""
    return float(values.mean()), float(values.std(correction=0) / math.sqrt(len(values)))
