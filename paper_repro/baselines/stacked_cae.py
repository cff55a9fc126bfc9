"""The training of a stacked contractive autoencoder, layer by layer; the choice of its walk."""

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import LayerwiseTraining
from paper_repro.baselines.model.stacked_cae import Cae, StackedCae, chain_of

CURVE = ("epoch", "updates", "layer", "loss")
# Standard deviations of the walk. Its authors state none: each is tried on validation images, and
# the one of the highest likelihood is taken.
WALKS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
check = chain.check
VALIDATION = (
    *chain.VALIDATION,
    "walk_std",
    *(f"{name}_{std:g}" for name in ("valid_nats", "autocorrelation_time") for std in WALKS),
)


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
        """Measure the walks of the layers so far; the best one counts."""
        stds = torch.tensor(WALKS, dtype=torch.float64)
        # A walk a row, all from one image: six times as fast as one after the other.
        sampler = chain_of(self.so_far(epoch), stds[:, None], self.images.cpu)
        start = self.images[:1].cpu().expand(len(WALKS), -1)
        states = sampler.chains(len(WALKS), self.seed, f"validation/{epoch}", start)
        samples = torch.stack([next(states) for _ in range(self.recipe.parzen.samples)], dim=1)
        rows = {
            std: self.validated(walked, epoch) for std, walked in zip(WALKS, samples, strict=True)
        }
        best = max(rows, key=lambda std: rows[std]["valid_nats"])
        tried = {
            f"{name}_{std:g}": row[name]
            for name in ("valid_nats", "autocorrelation_time")
            for std, row in rows.items()
        }
        return rows[best] | {"walk_std": best} | tried


training = CaeTraining
