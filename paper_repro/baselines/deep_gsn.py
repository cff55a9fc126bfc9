"""The training of a deep GSN: gradients of several steps of its chain at once."""

from dataclasses import fields

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import ChainTraining
from paper_repro.baselines.model.deep_gsn import DeepGsn, Gsn, chain_of
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.sampler import in_double, moved
from paper_repro.training.recorded import Recorded

CURVE = ("epoch", "updates", "learning_rate", "cost")
VALIDATION = (*chain.VALIDATION, "valid_cost")
check = chain.check


class GsnTraining(ChainTraining[DeepGsn]):
    """The network and the velocities of its descent: v ← m·v + (1 − m)·gradient."""

    def prepare(self, rng: torch.Generator) -> None:
        """Draw the network; it begins at rest."""
        drawn = Gsn.drawn(self.images.shape[1], self.recipe.hidden, rng)
        self.gsn = moved(drawn, self.images.device)
        self.velocities = [torch.zeros_like(tensor) for tensor in self.gsn.tensors()]
        self.rate = 0.0
        self.step = Recorded(self._step, self.recipe.batch_size, self.rng)

    def state(self) -> dict[str, torch.Tensor]:
        """Return parameters and velocities."""
        names = [field.name for field in fields(Gsn)]
        velocities = zip(names, self.velocities, strict=True)
        return self.model() | {f"velocity.{name}": tensor for name, tensor in velocities}

    def model(self) -> dict[str, torch.Tensor]:
        """Return the parameters."""
        return {f"generator.{name}": tensor for name, tensor in vars(self.gsn).items()}

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch with its learning rate."""
        recipe = self.recipe
        self.rate = recipe.learning_rate * recipe.learning_rate_decay ** (epoch - 1)
        super().begin(epoch, sums)

    def update(self, epoch: int, index: int) -> None:
        """Make one update from the costs of all steps together."""
        batch = self.batch(self.images, index)
        self.total += len(batch) * self.step(batch, self.rate, self.recipe.momentum)

    def _step(
        self, batch: torch.Tensor, rate: float | torch.Tensor, momentum: float
    ) -> torch.Tensor:
        """Update the network by images, (n, d); return the last step's cost before."""
        parameters = self.gsn.tensors()
        for tensor in parameters:
            tensor.requires_grad_()
        costs = self.gsn.cost(batch, self.recipe, self.rng)
        gradients = torch.autograd.grad(sum(costs[1:], costs[0]), parameters)
        for tensor, velocity, gradient in zip(parameters, self.velocities, gradients, strict=True):
            tensor.requires_grad_(False)
            velocity.mul_(momentum).add_(gradient, alpha=1 - momentum)
            if isinstance(rate, torch.Tensor):  # in memory, where a recorded update reads it
                tensor.sub_(rate * velocity)
            else:
                tensor.sub_(velocity, alpha=rate)
        return costs[-1].detach()

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the mean cost of the last step, in nats a pixel."""
        return {
            "epoch": epoch,
            "updates": updates,
            "learning_rate": self.rate,
            "cost": float(self.total) / len(self.images),
        }

    @torch.no_grad()
    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure the chain, and the last step's cost on validation images in nats a pixel."""
        recipe, rng = self.recipe, stream_rng(self.seed, f"validation/{epoch}/cost")
        gsn = in_double(self.gsn)
        found = self.stepped(chain_of(gsn, recipe, self.images.cpu), epoch)
        return found | {"valid_cost": float(gsn.cost(self.valid.cpu().double(), recipe, rng)[-1])}


training = GsnTraining
