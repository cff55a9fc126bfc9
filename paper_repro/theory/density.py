"""Densities on the line: mixtures of Gaussians, and integrals over an equally spaced grid."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from paper_repro.theory.settings import Gaussian, Grid

Array = npt.NDArray[np.float64]


def points(grid: Grid) -> Array:
    """Return the grid's points, (n,)."""
    return np.linspace(grid.low, grid.high, grid.points)


def density(mixture: Sequence[Gaussian], x: Array) -> Array:
    """Return the density of a mixture at `x`, an array of any shape."""
    return sum(
        (
            c.weight / (c.std * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((x - c.mean) / c.std) ** 2)
            for c in mixture
        ),
        start=np.zeros_like(x),
    )


def quantiles(mixture: Sequence[Gaussian], n: int, x: Array) -> Array:
    """Return the n quantiles of the probabilities (i + ½)/n, by interpolation over the grid `x`.

    The mean of a function over them is its expectation by the midpoint rule, without the noise of
    a sample.
    """
    below = sum((c.weight * ndtr((x - c.mean) / c.std) for c in mixture), start=np.zeros_like(x))
    return np.interp((np.arange(n) + 0.5) / n, below, x)


def integral(values: Array, x: Array) -> float:
    """Return ∫ f dx by the trapezoidal rule.

    For smooth functions that vanish at both ends its error falls faster than any power of the step.

    Parameters
    ----------
    values : (n,) f at the points `x`.
    """
    return float(np.trapezoid(values, x))


def total_variation(p: Array, q: Array, x: Array) -> float:
    """Return ½ ∫ |p − q| dx, between 0 (equal) and 1 (disjoint)."""
    return 0.5 * integral(np.abs(p - q), x)
