"""The optimal discriminator (section 4.1): D*, by proposition 1."""

import numpy as np

from paper_repro.theory.density import Array


def optimal_discriminator(p_data: Array, p_g: Array) -> Array:
    """Return D* = p_data / (p_data + p_g) (proposition 1), elementwise.

    Where both densities are 0, D need not be defined; ½ is returned.
    """
    total = p_data + p_g
    return np.divide(p_data, total, out=np.full_like(total, 0.5), where=total > 0)
