"""Adam (Kingma and Ba 2014), for the notebook's small networks: torch's, on our parameters."""

from collections.abc import Sequence

import torch
from torch.optim.adam import adam

from paper_repro.gan.model import recipe


class Adam:
    """One player's moments.

    The notebook ran TensorFlow's, which adds epsilon before the bias correction of the second
    moment and not after it: a difference only where a gradient is about as small as epsilon.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], settings: recipe.Adam) -> None:
        self.parameters = parameters
        self.settings = settings
        self.first = [torch.zeros_like(parameter) for parameter in parameters]
        self.second = [torch.zeros_like(parameter) for parameter in parameters]
        # On the CPU whatever the device, where torch wants the counts.
        self.steps = [torch.zeros(()) for _ in parameters]

    @torch.no_grad()
    def step(
        self, gradients: Sequence[torch.Tensor], rate: float | torch.Tensor, momentum: float
    ) -> None:
        """Update the parameters in place; `momentum` is beta1."""
        adam(
            list(self.parameters),
            list(gradients),
            self.first,
            self.second,
            [],
            self.steps,
            amsgrad=False,
            beta1=momentum,
            beta2=self.settings.beta2,
            lr=rate,
            weight_decay=0.0,
            eps=self.settings.epsilon,
            maximize=False,
        )

    def state(self) -> dict[str, list[torch.Tensor]]:
        """Return, not copied, what a checkpoint must hold, in the order of the parameters."""
        return {"first_moment": self.first, "second_moment": self.second, "steps": self.steps}
