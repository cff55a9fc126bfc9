"""The optimal discriminator (section 4.1): D*, the criterion C(G), and JSD by another route."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.integrate import quad
from scipy.special import xlog1py, xlogy

from paper_repro.theory.density import Array, integral

GOLDEN = (np.sqrt(5) - 1) / 2
ITERATIONS = 80  # the interval shrinks to 0.618**80, about 2e-17 of its width


def optimal_discriminator(p_data: Array, p_g: Array) -> Array:
    """Return D* = p_data / (p_data + p_g) (proposition 1), elementwise.

    Where both densities are 0, D need not be defined; ½ is returned.
    """
    total = p_data + p_g
    return np.divide(p_data, total, out=np.full_like(total, 0.5), where=total > 0)


def integrand(a: Array, b: Array, y: Array) -> Array:
    """Return a·log y + b·log(1 − y), the integrand of V (equation 3), in nats."""
    return np.asarray(xlogy(a, y) + xlog1py(b, -y))


def maximise(a: Array, b: Array) -> tuple[Array, Array]:
    """Return where in [0, 1] a·log y + b·log(1 − y) is greatest, and that maximum.

    By golden-section search, which only compares values: it knows nothing of a / (a + b).

    Parameters
    ----------
    a, b : (n,) not negative.
    """
    low, high = np.zeros_like(a), np.ones_like(a)
    for _ in range(ITERATIONS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        rises = integrand(a, b, left) < integrand(a, b, right)
        low, high = np.where(rises, left, low), np.where(rises, high, right)
    y = (low + high) / 2
    return y, integrand(a, b, y)


def criterion(p_data: Array, p_g: Array, x: Array) -> float:
    """Return C(G) = max_D V(D, G) in nats, by numerical maximisation over D(x) at every x.

    Parameters
    ----------
    p_data, p_g, x : (n,) densities at the points `x`.
    """
    return integral(maximise(p_data, p_g)[1], x)


def entropy(density: Callable[[Array], Array], low: float, high: float) -> float:
    """Return −∫ p log p dx over [low, high] in nats, by adaptive quadrature."""

    def minus_p_log_p(x: float) -> float:
        p = density(np.array(x))
        return -float(xlogy(p, p))

    # Split where the mass may be: one narrow peak in a wide interval could pass unseen.
    pieces = np.linspace(low, high, 21)
    return float(
        sum(
            quad(minus_p_log_p, start, end, epsabs=1e-12, epsrel=1e-10)[0]
            for start, end in pairwise(pieces)
        )
    )


def jsd(p: Callable[[Array], Array], q: Callable[[Array], Array], low: float, high: float) -> float:
    """Return the Jensen–Shannon divergence H((p + q)/2) − H(p)/2 − H(q)/2 in nats.

    Between 0 (equal) and log 2 (disjoint). Neither D nor a logarithm of p/q is in it, nor the grid.
    """
    mixed = entropy(lambda x: (p(x) + q(x)) / 2, low, high)
    return mixed - entropy(p, low, high) / 2 - entropy(q, low, high) / 2
