"""Maxout (Goodfellow et al. 2013): the hidden layers of every discriminator.

Pylearn2, ``maxout.py``: unit j is the maximum over the columns j·k … j·k + k − 1.
"""

import torch


def maxout(values: torch.Tensor, pieces: int) -> torch.Tensor:
    """Return the maximum over each run of `pieces` contiguous columns.

    Parameters
    ----------
    values : (n, units * pieces)
    pieces : columns a unit, k.

    Returns
    -------
    (n, units); at a tie the gradient goes to one of the columns, not to a share of each.
    """
    return values.view(len(values), -1, pieces).max(-1).values
