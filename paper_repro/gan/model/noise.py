"""The noise z that a generator starts from: the prior p_z(z) of section 3."""

import math

import torch


def draw_noise(n: int, dimension: int, distribution: str, rng: torch.Generator) -> torch.Tensor:
    """Draw z, (n, dimension), on the device of `rng`.

    ``uniform`` is U(−√3, √3), of unit variance as in the released ``mnist.yaml``; ``gaussian`` is
    N(0, 1), as in its other configuration files; ``uniform_one`` is the notebook's U(−1, 1).
    """
    z = torch.empty(n, dimension, device=rng.device)
    if distribution == "uniform":
        return z.uniform_(-math.sqrt(3), math.sqrt(3), generator=rng)
    if distribution == "uniform_one":
        return z.uniform_(-1, 1, generator=rng)
    if distribution == "gaussian":
        return z.normal_(generator=rng)
    raise ValueError(f"unknown noise distribution {distribution!r}")
