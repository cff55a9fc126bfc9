"""How a log-likelihood is measured: an entry of ``measure``, or a recipe's ``parzen``."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from paper_repro.core.params import Count, CountOrZero, Model, Positive, require_order

Exponent = Annotated[float, Field(ge=-9, le=9)]  # beyond, σ's square is no float32 any more


def sigma_name(sigma: float) -> str:
    """Return what records call a value of σ."""
    return f"{sigma:.4f}"


class Thinned(Model):
    """Samples of several Markov chains: burn-in, then draws that lie apart."""

    chains: Count
    burn_in: CountOrZero  # steps before the first draw
    thinning: Count  # steps from one draw to the next


class Walk(Model):
    """How the width of a walk is chosen: what its standard deviation may be, by so many chains."""

    chains: Annotated[int, Field(ge=2, le=1000)]
    stds: Annotated[tuple[Positive, ...], Field(min_length=1)]  # ascending

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if list(self.stds) != sorted(set(self.stds)):
            raise ValueError("stds must ascend")
        return self


class ParzenSettings(Model):
    """How many samples, and the grid of σ: `sigma_points` values, logarithmic between two ends."""

    samples: Count
    sigma_images: Count | None  # σ is chosen on the first so many validation images, or all
    sigma_log10_min: Exponent
    sigma_log10_max: Exponent
    sigma_points: Annotated[int, Field(gt=0, le=10_000)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        require_order(self, "sigma_log10_min", "sigma_log10_max")
        if len(set(map(sigma_name, self.sigmas()))) < self.sigma_points:
            raise ValueError(
                "sigma_log10_min, sigma_log10_max, sigma_points: some values of σ are the same at "
                "four decimals, so that their results could not be told apart"
            )
        return self

    def sigmas(self) -> list[float]:
        """Return the grid of bandwidths, in pixels' units."""
        if self.sigma_points == 1:
            return [10**self.sigma_log10_min]
        step = (self.sigma_log10_max - self.sigma_log10_min) / (self.sigma_points - 1)
        return [10 ** (self.sigma_log10_min + i * step) for i in range(self.sigma_points)]


class Measure(ParzenSettings):
    """How the profile measures a run; a Markov chain in two ways, one step after another first."""

    thinned: Thinned | None = None
    walk: Walk | None = None  # of a chain whose authors state no width

    @model_validator(mode="after")
    def _check_chains(self) -> Self:
        if self.thinned and self.samples % self.thinned.chains:
            raise ValueError(
                f"samples ({self.samples}) must be a multiple of thinned.chains "
                f"({self.thinned.chains}), so that each chain gives as many"
            )
        return self

    def recorded(self) -> dict[str, Any]:
        """Return the settings as records hold them, without what is left at its default."""
        return self.model_dump(mode="json", exclude_defaults=True)
