"""What the loop asks of a family of models."""

from pathlib import Path
from typing import Protocol

import torch

from paper_repro.core.recipe import Recipe


class Training(Protocol):
    """A model in training: what an epoch and an update are. Changed in place."""

    rng: torch.Generator  # of the draws that go on from update to update

    def state(self) -> dict[str, torch.Tensor]:
        """Return every tensor that updates change, by name, not copied."""

    def model(self) -> dict[str, torch.Tensor]:
        """Return what the model file holds, not copied; what draws is called ``generator.…``."""

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch, counted from 1, or go on in one with its sums so far, none at first."""

    def update(self, epoch: int, index: int) -> None:
        """Make an epoch's update, counted from 0."""

    def sums(self) -> list[float]:
        """Return the epoch's sums so far: what its row of the curve is made of."""

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return what the curve says of an epoch that ends after so many updates."""

    def validate(self, epoch: int) -> dict[str, int | float]:
        """Measure an epoch on validation images; draws from a stream of its own."""

    def film(self) -> torch.Tensor | None:
        """Return 40 samples, (40, d), of noise that is the same in every epoch; None of a chain."""

    def parameters(self) -> dict[str, int]:
        """Return how many parameters each network has."""


class TrainingModule(Protocol):
    """What a family's module of the training has."""

    CURVE: tuple[str, ...]  # the columns of curve.csv
    VALIDATION: tuple[str, ...]  # and of validation.csv

    def check(self, recipe: Recipe, shape: tuple[int, ...]) -> None:
        """Raise a `ValueError` for what the recipe's types can't rule out; names the key."""

    def training(
        self,
        recipe: Recipe,
        shape: tuple[int, ...],
        images: torch.Tensor,
        valid: torch.Tensor,
        seed: int,
        start: Path | None = None,
    ) -> Training:
        """Return a model before its first update, on the device of the images.

        Parameters
        ----------
        shape : of one image.
        images, valid : (n, d) training images, (v, d) validation images.
        start : the model that the run is stacked on, if it is (`UserError` if it can't be).
        """
