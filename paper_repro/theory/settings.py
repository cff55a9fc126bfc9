"""The group ``theory`` of ``params.yaml``: the checks of section 4, and figure 1.

A profile's ``profiles.<profile>.theory`` is laid over it, as with experiments.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from paper_repro import config
from paper_repro.config import Model

S = TypeVar("S", bound=Model)


class Gaussian(Model):
    """One component of a mixture in one dimension."""

    weight: Annotated[float, Field(gt=0, le=1)]
    mean: float
    std: PositiveFloat


def _check_weights(name: str, mixture: tuple[Gaussian, ...]) -> None:
    total = sum(component.weight for component in mixture)
    if not math.isclose(total, 1):
        raise ValueError(f"the weights of {name} must add up to 1, not {total:g}")


Mixture = Annotated[tuple[Gaussian, ...], Field(min_length=1)]


class Grid(Model):
    """Equally spaced points of the x axis, both ends among them."""

    low: float
    high: float
    points: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must lie below high ({self.high:g})")
        return self


class TrainedDiscriminator(Model):
    """The network of proposition 1 and its training by L-BFGS."""

    units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # of each hidden layer
    quantiles: PositiveInt  # of each density, over which the expectations are taken
    iterations: PositiveInt


class Descent(Model):
    """The procedure of proposition 2."""

    step_size: Annotated[float, Field(gt=0, le=1)]  # 1 goes halfway to p_data at once
    steps: PositiveInt


class Checks(Model):
    """What the checks of section 4 are made with."""

    seed: NonNegativeInt
    grid: Grid
    p_data: Mixture
    p_g: Mixture  # of proposition 1, and where proposition 2 starts
    shifts: tuple[float, ...]  # theorem 1's family of p_g: p_data moved by each of these
    scales: tuple[PositiveFloat, ...]  # and stretched by each of these
    discriminator: TrainedDiscriminator
    descent: Descent

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_weights("p_data", self.p_data)
        _check_weights("p_g", self.p_g)
        return self


class Start(Model):
    """The location and spread of p_g before training."""

    mean: float
    std: PositiveFloat


class Figure1(Model):
    """The one-dimensional adversarial run of figure 1."""

    seed: NonNegativeInt
    grid: Grid
    p_data: Mixture
    start: Start
    generator_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    discriminator_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    generator_loss: Literal["non_saturating", "minimax"]
    k: PositiveInt  # discriminator steps a generator step
    batch_size: PositiveInt
    discriminator_learning_rate: PositiveFloat
    generator_learning_rate: PositiveFloat
    steps_a: PositiveInt  # of Algorithm 1 before panel (a)
    discriminator_steps_b: PositiveInt  # of D alone, from (a) to (b)
    generator_steps_c: PositiveInt  # of G alone, from (b) to (c)
    steps_d: PositiveInt  # of Algorithm 1, from (c) to (d); both learning rates fall to 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_weights("p_data", self.p_data)
        return self


def _read(model: type[S], params: Mapping[str, Any], profile: str, key: str) -> S:
    below = config.group(params, "theory", key)
    above: dict[str, Any] = {}
    if "theory" in config.group(params, "profiles", profile) and key in config.group(
        params, "profiles", profile, "theory"
    ):
        above = config.group(params, "profiles", profile, "theory", key)
    return config.parse(
        model,
        config.overlay(below, above),
        (f"profiles.{profile}.theory.{key}", above),
        (f"theory.{key}", below),
    )


def checks(params: Mapping[str, Any], profile: str) -> Checks:
    """Return the settings of the checks as a profile runs them.

    Raises
    ------
    UserError
        If a key is missing, unknown or of the wrong type; names file and key.
    """
    return _read(Checks, params, profile, "checks")


def figure1(params: Mapping[str, Any], profile: str) -> Figure1:
    """Return the settings of figure 1 as a profile draws it (`UserError` as `checks`)."""
    return _read(Figure1, params, profile, "figure1")
