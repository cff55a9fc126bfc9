"""The training of a stacked contractive autoencoder, layer by layer; the choice of its walk."""

from pathlib import Path

import torch

from paper_repro.baselines import chain
from paper_repro.baselines.chain import principal_directions, validated
from paper_repro.baselines.model.stacked_cae import Cae, StackedCae, chain_of
from paper_repro.core.random_streams import stream_rng

CURVE = ("epoch", "updates", "layer", "loss")
# Standard deviations of the walk. Its authors state none: each is tried on validation images, and
# the one of the highest likelihood is taken.
WALKS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
VALIDATION = (
    *chain.VALIDATION,
    "walk_std",
    *(f"{name}_{std:g}" for name in ("valid_nats", "autocorrelation_time") for std in WALKS),
)


class CaeTraining:
    """The layers, one trained after the other."""

    def __init__(
        self, recipe: StackedCae, images: torch.Tensor, valid: torch.Tensor, seed: int
    ) -> None:
        self.recipe, self.valid, self.seed = recipe, valid, seed
        device = images.device
        order = torch.randperm(len(images), generator=stream_rng(seed, "order"))
        self.images = images[order.to(device)]  # shuffled once
        self.directions = principal_directions(images.cpu())
        self.rng = stream_rng(seed, "init", device=device)  # training draws nothing else
        inputs = images.shape[1]
        self.layers: list[Cae] = []
        for units in recipe.hidden:
            self.layers.append(Cae.drawn(inputs, units, self.rng))
            inputs = units
        self.layer, self.inputs = 0, self.images
        self.loss = torch.zeros((), dtype=torch.float64, device=device)  # summed over images

    def state(self) -> dict[str, torch.Tensor]:
        """Return the parameters: all that there is."""
        return self.model()

    def model(self) -> dict[str, torch.Tensor]:
        """Return the parameters of all layers."""
        return {
            f"generator.{index}.{name}": tensor
            for index, layer in enumerate(self.layers)
            for name, tensor in vars(layer).items()
        }

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch of the layer whose turn it is; its inputs are the code below it."""
        self.loss.fill_(sums[0] if sums else 0.0)
        layer = (epoch - 1) // self.recipe.epochs
        if layer != self.layer:
            self.layer, self.inputs = layer, self.images
            for below in self.layers[:layer]:
                self.inputs = below.encode(self.inputs)

    def update(self, epoch: int, index: int) -> None:
        """Update the layer."""
        recipe = self.recipe
        batch = self.inputs[index * recipe.batch_size : (index + 1) * recipe.batch_size]
        layer = self.layers[self.layer]
        self.loss += len(batch) * layer.update(batch, recipe.contraction, recipe.learning_rate)

    def sums(self) -> list[float]:
        """Return the sum of the loss over images."""
        return [float(self.loss)]

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the mean loss of an image, in nats, the contraction's term in it."""
        mean = float(self.loss) / len(self.images)
        return {"epoch": epoch, "updates": updates, "layer": self.layer + 1, "loss": mean}

    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure the walks of the layers so far; the best one counts."""
        count = (epoch - 1) // self.recipe.epochs + 1
        layers = [
            Cae(*(t.cpu().double() for t in vars(layer).values())) for layer in self.layers[:count]
        ]
        settings, stds = self.recipe.parzen, torch.tensor(WALKS, dtype=torch.float64)
        # A walk a row, all from one image: six times as fast as one after the other.
        sampler = chain_of(layers, stds[:, None], self.images.cpu)
        start = self.images[:1].cpu().expand(len(WALKS), -1)
        states = sampler.chains(len(WALKS), self.seed, f"validation/{epoch}", start)
        samples = torch.stack([next(states) for _ in range(settings.samples)], dim=1)
        rows = {
            std: validated(walked, settings, self.valid, self.directions, epoch)
            for std, walked in zip(WALKS, samples, strict=True)
        }
        best = max(rows, key=lambda std: rows[std]["valid_nats"])
        tried = {
            f"{name}_{std:g}": row[name]
            for name in ("valid_nats", "autocorrelation_time")
            for std, row in rows.items()
        }
        return rows[best] | {"walk_std": best} | tried

    def parameters(self) -> dict[str, int]:
        """Return how many parameters the layers have together."""
        return {"generator": sum(tensor.numel() for tensor in self.model().values())}


def check(recipe: StackedCae, shape: tuple[int, ...]) -> None:
    """Raise nothing: the layers suit any images in [0, 1]."""


def training(
    recipe: StackedCae,
    shape: tuple[int, ...],
    images: torch.Tensor,
    valid: torch.Tensor,
    seed: int,
    start: Path | None = None,
) -> CaeTraining:
    """Return the layers before their first update (as `paper_repro.training.family`)."""
    return CaeTraining(recipe, images, valid, seed)
