"""The training of a deep belief network: one machine after the other, each by its own chains."""

from functools import partial
from pathlib import Path

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import principal_directions, validated
from paper_repro.baselines.model.dbn import Dbn, Rbm, walk
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.sampler import ChainSampler

CURVE = ("epoch", "updates", "layer", "learning_rate", "free_energy_gap")
VALIDATION = chain.VALIDATION


class DbnTraining:
    """The machines, one trained after the other, and the persistent chains of each."""

    def __init__(self, recipe: Dbn, images: torch.Tensor, valid: torch.Tensor, seed: int) -> None:
        self.recipe, self.valid, self.seed = recipe, valid, seed
        device = images.device
        order = torch.randperm(len(images), generator=stream_rng(seed, "order"))
        self.images = images[order.to(device)]  # shuffled once
        self.directions = principal_directions(images.cpu())
        self.rng = stream_rng(seed, "draws", device=device)
        init, visible = stream_rng(seed, "init", device=device), images.shape[1]
        self.machines: list[Rbm] = []
        for hidden in recipe.hidden:
            self.machines.append(Rbm.drawn(visible, hidden, recipe.init, init))
            visible = hidden
        self.chains = [
            torch.zeros(recipe.batch_size, hidden, device=device) for hidden in recipe.hidden
        ]
        self.per_epoch = recipe.updates_per_epoch(len(images))
        self.layer, self.inputs = 0, self.images
        self.gap = torch.zeros((), dtype=torch.float64, device=device)
        self.rate = 0.0

    def state(self) -> dict[str, torch.Tensor]:
        """Return parameters and chains."""
        return self.model() | {f"chain.{i}": chain for i, chain in enumerate(self.chains)}

    def model(self) -> dict[str, torch.Tensor]:
        """Return the parameters of all machines."""
        return {
            f"generator.{index}.{name}": tensor
            for index, machine in enumerate(self.machines)
            for name, tensor in vars(machine).items()
        }

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch of the machine whose turn it is; its inputs are the means below it."""
        self.gap.fill_(sums[0] if sums else 0.0)
        layer = (epoch - 1) // self.recipe.epochs
        if layer != self.layer:
            self.layer, self.inputs = layer, self.images
            for machine in self.machines[:layer]:
                self.inputs = machine.hidden(self.inputs)

    def update(self, epoch: int, index: int) -> None:
        """Update the machine, and move its chains by one step."""
        recipe = self.recipe
        done = (epoch - 1) % recipe.epochs + index / self.per_epoch  # epochs of this machine
        falling = 2 * (1 - done / recipe.epochs)
        self.rate = recipe.learning_rate * (min(1.0, falling) if recipe.annealed else 1.0)
        batch = self.inputs[index * recipe.batch_size : (index + 1) * recipe.batch_size]
        chain = self.chains[self.layer]
        uniforms = (
            torch.rand(part.shape, generator=self.rng, device=part.device)
            for part in (batch, chain)
        )
        moved, gap = self.machines[self.layer].update(batch, chain, self.rate, *uniforms)
        chain.copy_(moved)
        self.gap += gap

    def sums(self) -> list[float]:
        """Return the sum of the gaps of free energy."""
        return [float(self.gap)]

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the mean gap of free energy, in nats."""
        return {
            "epoch": epoch,
            "updates": updates,
            "layer": self.layer + 1,
            "learning_rate": self.rate,
            "free_energy_gap": float(self.gap) / self.per_epoch,
        }

    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure the chain of the machines so far."""
        layers = (epoch - 1) // self.recipe.epochs + 1
        machines = [
            Rbm(*(tensor.cpu().double() for tensor in vars(machine).values()))
            for machine in self.machines[:layers]
        ]
        sampler = ChainSampler(partial(walk, machines), self.images.cpu)
        settings = self.recipe.parzen
        samples = sampler.sample(settings.samples, self.seed, f"validation/{epoch}")
        return validated(samples, settings, self.valid, self.directions, epoch)

    def parameters(self) -> dict[str, int]:
        """Return how many parameters the machines have together."""
        return {"generator": sum(tensor.numel() for tensor in self.model().values())}


def check(recipe: Dbn, shape: tuple[int, ...]) -> None:
    """Raise nothing: machines suit any images in [0, 1]."""


def training(
    recipe: Dbn,
    shape: tuple[int, ...],
    images: torch.Tensor,
    valid: torch.Tensor,
    seed: int,
    start: Path | None = None,
) -> DbnTraining:
    """Return the machines before their first update (as `paper_repro.training.family`)."""
    return DbnTraining(recipe, images, valid, seed)
