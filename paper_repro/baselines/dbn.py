"""The training of a deep belief network: one machine after the other, each by its own chains."""

from functools import partial

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import LayerwiseTraining
from paper_repro.baselines.model.dbn import Dbn, Rbm, walk
from paper_repro.core.sampler import ChainSampler

CURVE = ("epoch", "updates", "layer", "learning_rate", "free_energy_gap")
VALIDATION = chain.VALIDATION
check = chain.check


class DbnTraining(LayerwiseTraining[Dbn, Rbm]):
    """The machines, one trained after the other, and the persistent chains of each."""

    def prepare(self, rng: torch.Generator) -> None:
        """Draw the machines; their chains begin at 0."""
        super().prepare(rng)
        recipe, device = self.recipe, self.images.device
        self.chains = [
            torch.zeros(recipe.batch_size, units, device=device) for units in recipe.hidden
        ]
        self.per_epoch = recipe.updates_per_epoch(len(self.images))
        self.rate = 0.0

    def drawn(self, inputs: int, units: int, rng: torch.Generator) -> Rbm:
        """Return a machine before its first update."""
        return Rbm.drawn(inputs, units, self.recipe.init, rng)

    def code(self, layer: Rbm, inputs: torch.Tensor) -> torch.Tensor:
        """Return the means of the hidden units."""
        return layer.hidden(inputs)

    def state(self) -> dict[str, torch.Tensor]:
        """Return parameters and chains."""
        return self.model() | {f"chain.{i}": chain for i, chain in enumerate(self.chains)}

    def update(self, epoch: int, index: int) -> None:
        """Update the machine, and move its chains by one step."""
        recipe = self.recipe
        done = (epoch - 1) % recipe.epochs + index / self.per_epoch  # epochs of this machine
        falling = 2 * (1 - done / recipe.epochs)
        self.rate = recipe.learning_rate * (min(1.0, falling) if recipe.annealed else 1.0)
        batch, chain = self.batch(self.inputs, index), self.chains[self.layer]
        uniforms = (
            torch.rand(part.shape, generator=self.rng, device=part.device)
            for part in (batch, chain)
        )
        moved, gap = self.layers[self.layer].update(batch, chain, self.rate, *uniforms)
        chain.copy_(moved)
        self.total += gap

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the mean gap of free energy, in nats."""
        return {
            "epoch": epoch,
            "updates": updates,
            "layer": self.layer + 1,
            "learning_rate": self.rate,
            "free_energy_gap": float(self.total) / self.per_epoch,
        }

    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure the chain of the machines so far."""
        walked = partial(walk, self.so_far(epoch), self.recipe.pixels)
        return self.stepped(ChainSampler(walked, self.images.cpu), epoch)


training = DbnTraining
