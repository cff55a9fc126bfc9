"""Section 4's propositions and theorem by routes of their own, slow and plain.

C(G) by golden-section search, which knows nothing of D*; JSD by entropies, in which there is no D;
a discriminator trained by L-BFGS; proposition 2's procedure. They test our understanding and our
code, not the paper, which proves these statements.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import xlog1py, xlogy

from paper_repro.gan import objectives
from paper_repro.theory.density import Array, integral
from paper_repro.theory.optimal import optimal_discriminator
from paper_repro.theory.settings import Gaussian
from paper_repro.theory.toy import column

GOLDEN = (np.sqrt(5) - 1) / 2
ITERATIONS = 80  # the interval shrinks to 0.618**80, about 2e-17 of its width


def moved(mixture: Sequence[Gaussian], shift: float, scale: float) -> tuple[Gaussian, ...]:
    """Return the mixture that shift + scale·x follows if x follows `mixture`."""
    return tuple(
        Gaussian(weight=c.weight, mean=shift + scale * c.mean, std=scale * c.std) for c in mixture
    )


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


def fit_discriminator(
    discriminator: torch.nn.Module, x_data: Array, x_g: Array, iterations: int
) -> None:
    """Maximise V(D, G) over D with G fixed, by L-BFGS on all points at once.

    Parameters
    ----------
    x_data, x_g : (n,) points over which the two expectations of equation 1 are means.
    """
    data, samples = column(x_data), column(x_g)
    optimizer = torch.optim.LBFGS(
        discriminator.parameters(),
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objectives.discriminator_loss(discriminator(data), discriminator(samples), "sum")
        loss.backward()
        return loss

    optimizer.step(closure)


def descend(
    p_data: Array, p_g: Array, x: Array, step_size: float, steps: int
) -> tuple[Array, list[float]]:
    """Return p_g after so many steps, and C(G) in nats before each of them and at the end.

    V(D, G) is linear in p_g, as the proof uses: with D = D* held fixed its derivative with respect
    to p_g(x) is log(1 − D*(x)). The step is that of gradient descent in the geometry of densities
    (mirror descent with the entropy), p_g ← p_g · exp(−step_size · derivative), made to integrate
    to 1 again: p_g stays a density without projections.

    Parameters
    ----------
    p_data, p_g, x : (n,) densities at the points `x`. Where `p_g` is 0 it stays 0.
    """
    curve = [criterion(p_data, p_g, x)]
    for _ in range(steps):
        doubt = optimal_discriminator(p_g, p_data)  # 1 − D*, without its rounding to 0
        derivative = np.log(doubt, out=np.zeros_like(doubt), where=doubt > 0)
        p_g = p_g * np.exp(-step_size * derivative)
        p_g = p_g / integral(p_g, x)
        curve.append(criterion(p_data, p_g, x))
    return p_g, curve
