"""The group ``theory`` of ``params.yaml``: figure 1.

A profile's own ``theory`` is laid over it.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from paper_repro.core.params import LARGEST, Count, Model, Positive


class Gaussian(Model):
    """One component of a mixture in one dimension."""

    weight: Annotated[float, Field(gt=0, le=1)]
    mean: float
    std: Positive


def _check_weights(name: str, mixture: tuple[Gaussian, ...]) -> None:
    total = sum(component.weight for component in mixture)
    if not math.isclose(total, 1):
        raise ValueError(f"the weights of {name} must add up to 1, not {total:g}")


Mixture = Annotated[tuple[Gaussian, ...], Field(min_length=1)]


class Grid(Model):
    """Equally spaced points of the x axis, both ends among them."""

    low: float
    high: float
    points: Annotated[int, Field(ge=2, le=LARGEST)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must lie below high ({self.high:g})")
        return self


class Start(Model):
    """The location and spread of p_g before training."""

    mean: float
    std: Positive


class Figure1(Model):
    """The one-dimensional adversarial run of figure 1."""

    seed: NonNegativeInt
    grid: Grid
    p_data: Mixture
    start: Start
    generator_units: Annotated[tuple[Count, ...], Field(min_length=1)]
    discriminator_units: Annotated[tuple[Count, ...], Field(min_length=1)]
    generator_loss: Literal["non_saturating", "minimax"]
    k: Count  # discriminator steps a generator step
    batch_size: Count
    discriminator_learning_rate: Positive
    generator_learning_rate: Positive
    steps_a: Count  # of Algorithm 1 before panel (a)
    discriminator_steps_b: Count  # of D alone, from (a) to (b)
    generator_steps_c: Count  # of G alone, from (b) to (c)
    steps_d: Count  # of Algorithm 1, from (c) to (d); both learning rates fall to 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_weights("p_data", self.p_data)
        return self
