"""Stochastic gradient descent with classical momentum, and the released code's schedules.

Pylearn2's ``SGD`` with ``Momentum``, ``MomentumAdjustor`` and ``ExponentialDecay``.
"""

from collections.abc import Iterable, Sequence

import torch

from paper_repro.gan.model import recipe
from paper_repro.training import recorded

BLOCK = 2**21  # elements of a matrix that are handled at a time


def momentum(epoch: int, settings: recipe.Momentum) -> float:
    """Return the momentum of an epoch, counted from 1: linear up to `saturate_epoch`."""
    part = (epoch - 1) / (settings.saturate_epoch - 1)
    return settings.start + (settings.end - settings.start) * min(max(part, 0.0), 1.0)


def learning_rate(update: int, settings: recipe.Sgd) -> float:
    """Return the learning rate of an update, counted from 1 over the whole run."""
    decayed = settings.learning_rate / settings.learning_rate_decay ** (update - 1)
    return max(decayed, settings.learning_rate_min)


def schedule(experiment: recipe.Experiment, update: int, epoch: int) -> tuple[float, float]:
    """Return learning rate and momentum of an update; for Adam its constant rate and beta1.

    Parameters
    ----------
    update, epoch : counted from 1 over the whole run.
    """
    if experiment.sgd is not None:
        settings = experiment.sgd
        return learning_rate(update, settings), momentum(epoch, settings.momentum)
    if experiment.adam is not None:
        return experiment.adam.learning_rate, experiment.adam.beta1
    raise ValueError("an experiment has one of sgd and adam")


class Sgd:
    """One player's velocities; `recipe.Sgd` gives the bound of the column norms."""

    def __init__(self, parameters: Sequence[torch.Tensor], settings: recipe.Sgd) -> None:
        self.parameters = parameters
        self.largest = settings.max_column_norm
        self.velocities = [torch.zeros_like(parameter) for parameter in parameters]
        if self.largest is not None:  # the released code's constraint holds before the first update
            # On the CPU, so that a seed begins with the same weights on every device.
            bounded = [parameter.detach().cpu() for parameter in parameters]
            bound_column_norms(bounded, self.largest)
            for parameter, bound in zip(parameters, bounded, strict=True):
                parameter.detach().copy_(bound)

    @torch.no_grad()
    def step(
        self, gradients: Sequence[torch.Tensor], rate: float | torch.Tensor, momentum: float
    ) -> None:
        """Update in place: v <- momentum v − rate g, then θ <- θ + v (not Nesterov).

        Parameters
        ----------
        rate : the learning rate, or a tensor, (), that holds it: a recorded update reads it there.
        """
        if isinstance(rate, torch.Tensor):
            gradients = torch._foreach_mul(list(gradients), rate.to(gradients[0].dtype))
            rate = 1.0
        if recorded.on_gpu(self.velocities[0].device):
            accelerate(self.velocities, list(gradients), rate, momentum)
            move_all(list(self.parameters), self.velocities, self.largest)
            return
        triples = zip(self.parameters, self.velocities, gradients, strict=True)
        for parameter, velocity, gradient in triples:
            velocity.mul_(momentum).add_(gradient, alpha=-rate)
            move(parameter, velocity, self.largest)

    def state(self) -> dict[str, list[torch.Tensor]]:
        """Return, not copied, what a checkpoint must hold, in the order of the parameters."""
        return {"velocity": self.velocities}


@torch.no_grad()
def bound_column_norms(parameters: Iterable[torch.Tensor], largest: float) -> None:
    """Scale in place each column of the weight matrices whose norm is above `largest`.

    Pylearn2's ``max_col_norm``: W <- W clip(‖w_j‖, 0, c) / (1e-7 + ‖w_j‖), columns of
    (inputs, outputs); biases are left alone.
    """
    weights = [parameter for parameter in parameters if parameter.dim() == 2]
    norms = [torch.linalg.vector_norm(weight, dim=0) for weight in weights]
    bounded, above = torch._foreach_clamp_max(norms, largest), torch._foreach_add(norms, 1e-7)
    for weight, factors in zip(weights, torch._foreach_div(bounded, above), strict=True):
        weight.mul_(factors)


# On a GPU a kernel's launch costs more than a small tensor's arithmetic. There these two do in few
# kernels what is done above one by one; how many that saves was counted, the time not yet measured.


def accelerate(
    velocities: list[torch.Tensor], gradients: list[torch.Tensor], rate: float, momentum: float
) -> None:
    """Make all velocities momentum v − rate g, in place."""
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, gradients, alpha=-rate)


@torch.no_grad()
def move_all(
    parameters: list[torch.Tensor], velocities: list[torch.Tensor], largest: float | None
) -> None:
    """Add velocities to parameters; matrices then are bounded as by `bound_column_norms`."""
    torch._foreach_add_(parameters, velocities)
    if largest is not None:
        bound_column_norms(parameters, largest)


@torch.no_grad()
def move(parameter: torch.Tensor, velocity: torch.Tensor, largest: float | None) -> None:
    """Add a velocity to a parameter; a matrix then is bounded as by `bound_column_norms`.

    That takes fewer passes over the memory than its plain twin: blocks of rows stay in the
    processor's cache while they are moved and measured.
    """
    if largest is None or parameter.dim() != 2:
        parameter.add_(velocity)
        return
    squares = torch.zeros_like(parameter[0])
    rows = max(1, BLOCK // parameter.shape[1])
    for part, moved_by in zip(parameter.split(rows), velocity.split(rows), strict=True):
        part.add_(moved_by)
        squares.add_(part.square().sum(0))
    norms = squares.sqrt_()
    parameter.mul_(norms.clamp(max=largest) / (1e-7 + norms))
