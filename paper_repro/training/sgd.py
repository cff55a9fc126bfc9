"""Stochastic gradient descent with classical momentum, and the released code's schedules.

Pylearn2's ``SGD`` with ``Momentum``, ``MomentumAdjustor`` and ``ExponentialDecay``.
"""

from collections.abc import Iterable, Sequence

import torch

from paper_repro import config


def momentum(epoch: int, settings: config.Momentum) -> float:
    """Return the momentum of an epoch, counted from 1: linear up to `saturate_epoch`."""
    part = (epoch - 1) / (settings.saturate_epoch - 1)
    return settings.start + (settings.end - settings.start) * min(max(part, 0.0), 1.0)


def learning_rate(update: int, settings: config.Sgd) -> float:
    """Return the learning rate of an update, counted from 1 over the whole run."""
    decayed = settings.learning_rate / settings.learning_rate_decay ** (update - 1)
    return max(decayed, settings.learning_rate_min)


@torch.no_grad()
def step(
    parameters: Sequence[torch.Tensor],
    velocities: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    rate: float,
    momentum: float,
) -> None:
    """Update in place: v <- momentum v − rate g, then θ <- θ + v (not Nesterov)."""
    for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
        velocity.mul_(momentum).add_(gradient, alpha=-rate)
        parameter.add_(velocity)


@torch.no_grad()
def bound_column_norms(parameters: Iterable[torch.Tensor], largest: float) -> None:
    """Scale in place each column of the weight matrices whose norm is above `largest`.

    Pylearn2's ``max_col_norm``: W <- W clip(‖w_j‖, 0, c) / (1e-7 + ‖w_j‖), columns of
    (inputs, outputs); biases are left alone.
    """
    for weight in parameters:
        if weight.dim() == 2:
            norms = torch.linalg.vector_norm(weight, dim=0)
            weight.mul_(norms.clamp(max=largest) / (1e-7 + norms))
