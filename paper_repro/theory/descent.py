"""Proposition 2: D at its optimum, then a step of p_g; over and over."""

import numpy as np

from paper_repro.theory.density import Array, integral
from paper_repro.theory.optimal import criterion, optimal_discriminator


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
