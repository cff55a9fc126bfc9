"""The training of a deep GSN: gradients of several steps of its chain at once."""

from dataclasses import fields
from pathlib import Path

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import principal_directions, validated
from paper_repro.baselines.model.deep_gsn import DeepGsn, Gsn, chain_of
from paper_repro.core.random_streams import stream_rng

CURVE = ("epoch", "updates", "learning_rate", "cost")
VALIDATION = (*chain.VALIDATION, "valid_cost")


class GsnTraining:
    """The network and the velocities of its descent: v ← m·v + (1 − m)·gradient."""

    def __init__(
        self, recipe: DeepGsn, images: torch.Tensor, valid: torch.Tensor, seed: int
    ) -> None:
        self.recipe, self.valid, self.seed = recipe, valid, seed
        device = images.device
        order = torch.randperm(len(images), generator=stream_rng(seed, "order"))
        self.images = images[order.to(device)]  # shuffled once
        self.directions = principal_directions(images.cpu())
        self.rng = stream_rng(seed, "draws", device=device)
        init = stream_rng(seed, "init", device=device)
        self.gsn = Gsn.drawn(images.shape[1], recipe.hidden, init)
        self.velocities = [torch.zeros_like(tensor) for tensor in self.gsn.tensors()]
        self.rate = 0.0
        self.cost = torch.zeros((), dtype=torch.float64, device=device)  # summed over images

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
        self.cost.fill_(sums[0] if sums else 0.0)

    def update(self, epoch: int, index: int) -> None:
        """Make one update from the costs of all steps together."""
        recipe, parameters = self.recipe, self.gsn.tensors()
        batch = self.images[index * recipe.batch_size : (index + 1) * recipe.batch_size]
        for tensor in parameters:
            tensor.requires_grad_()
        costs = self.gsn.cost(batch, recipe, self.rng)
        gradients = torch.autograd.grad(sum(costs[1:], costs[0]), parameters)
        self.cost += len(batch) * costs[-1].detach()
        for tensor, velocity, gradient in zip(parameters, self.velocities, gradients, strict=True):
            tensor.requires_grad_(False)
            velocity.mul_(recipe.momentum).add_(gradient, alpha=1 - recipe.momentum)
            tensor.sub_(velocity, alpha=self.rate)

    def sums(self) -> list[float]:
        """Return the sum of the last step's cost over images."""
        return [float(self.cost)]

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the mean cost of the last step, in nats a pixel."""
        return {
            "epoch": epoch,
            "updates": updates,
            "learning_rate": self.rate,
            "cost": float(self.cost) / len(self.images),
        }

    @torch.no_grad()
    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure the chain, and the last step's cost on validation images in nats a pixel."""
        recipe, rng = self.recipe, stream_rng(self.seed, f"validation/{epoch}/cost")
        gsn = Gsn(*(tensor.cpu().double() for tensor in self.gsn.tensors()))
        sampler = chain_of(gsn, recipe, self.images.cpu)
        samples = sampler.sample(recipe.parzen.samples, self.seed, f"validation/{epoch}")
        found = validated(samples, recipe.parzen, self.valid, self.directions, epoch)
        return found | {"valid_cost": float(gsn.cost(self.valid.cpu().double(), recipe, rng)[-1])}

    def parameters(self) -> dict[str, int]:
        """Return how many parameters there are."""
        return {"generator": sum(tensor.numel() for tensor in self.gsn.tensors())}


def check(recipe: DeepGsn, shape: tuple[int, ...]) -> None:
    """Raise nothing: the network suits any images in [0, 1]."""


def training(
    recipe: DeepGsn,
    shape: tuple[int, ...],
    images: torch.Tensor,
    valid: torch.Tensor,
    seed: int,
    start: Path | None = None,
) -> GsnTraining:
    """Return the network before its first update (as `paper_repro.training.family`)."""
    return GsnTraining(recipe, images, valid, seed)
