"""The training of a stacked contractive autoencoder, layer by layer."""

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import LayerwiseTraining
from paper_repro.baselines.model.stacked_cae import Cae, StackedCae, chain_of

CURVE = ("epoch", "updates", "layer", "loss")
VALIDATION = chain.VALIDATION
check = chain.check
STD = 2.0  # of the walk in training; the one that counts is chosen afterwards (`diagnostics.walk`)


class CaeTraining(LayerwiseTraining[StackedCae, Cae]):
    """The layers, one trained after the other."""

    def drawn(self, inputs: int, units: int, rng: torch.Generator) -> Cae:
        """Return a layer before its first update."""
        return Cae.drawn(inputs, units, rng)

    def code(self, layer: Cae, inputs: torch.Tensor) -> torch.Tensor:
        """Return the layer's code."""
        return layer.encode(inputs)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the parameters: all that there is."""
        return self.model()

    def update(self, epoch: int, index: int) -> None:
        """Update the layer."""
        recipe, batch = self.recipe, self.batch(self.inputs, index)
        layer = self.layers[self.layer]
        self.total += len(batch) * layer.update(batch, recipe.contraction, recipe.learning_rate)

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the mean loss of an image, in nats, the contraction's term in it."""
        mean = float(self.total) / len(self.images)
        return {"epoch": epoch, "updates": updates, "layer": self.layer + 1, "loss": mean}

    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure the walk of the layers so far."""
        return self.stepped(chain_of(self.so_far(epoch), STD, self.images.cpu), epoch)


training = CaeTraining
