"""The propositions and the theorem of section 4, each as numbers and a bound.

A check that fails is written down as one; nothing is raised.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import log_expit

from paper_repro.core.random_streams import stream_rng
from paper_repro.theory.density import (
    Array,
    density,
    integral,
    moved,
    points,
    quantiles,
    total_variation,
)
from paper_repro.theory.descent import descend
from paper_repro.theory.optimal import criterion, jsd, maximise, optimal_discriminator
from paper_repro.theory.settings import Checks, Mixture
from paper_repro.theory.toy import apply, fit_discriminator, mlp, probabilities

LOG4 = math.log(4)
SUPPORT = 0.01  # D is compared with D* where p_data + p_g exceeds this: elsewhere V hardly sees it


@dataclass(frozen=True)
class Check:
    """One claim of the paper: it holds if `value`, a distance from it, is within `tolerance`."""

    id: str  # its words are in report/texts/theory.yaml
    value: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the claim was met; a value that is no number meets nothing."""
        return self.value <= self.tolerance

    def entry(self) -> dict[str, Any]:
        """Return the check as it is written down; a value that is no finite number as null."""
        value = self.value if math.isfinite(self.value) else None
        return {**self.__dict__, "value": value, "holds": self.holds}


@dataclass(frozen=True)
class Member:
    """One p_g of theorem 1's family."""

    name: str
    criterion: float  # C(G), nats
    jsd: float  # nats
    total_variation: float


def check_maximum() -> Check:
    """Check where a·log y + b·log(1 − y) peaks, for a and b over six decades."""
    a, b = (side.ravel() for side in np.meshgrid(*[np.logspace(-3, 3, 25)] * 2))
    found = maximise(a, b)[0]
    return Check("pointwise_maximum", float(np.abs(found - a / (a + b)).max()), 1e-6)


def check_discriminator(d: Array, p_data: Array, p_g: Array, x: Array) -> Check:
    """Check a trained D against D*, at the points where there is any density to speak of.

    Parameters
    ----------
    d, p_data, p_g, x : (n,)
    """
    supported = p_data + p_g > SUPPORT
    deviation = np.abs(d - optimal_discriminator(p_data, p_g))[supported].max()
    return Check("trained_discriminator", float(deviation), 0.02)


def check_value(logits: Array, p_data: Array, p_g: Array, x: Array) -> Check:
    """Check V of a trained D against C(G).

    Parameters
    ----------
    logits, p_data, p_g, x : (n,)
    """
    value = integral(p_data * log_expit(logits) + p_g * log_expit(-logits), x)
    return Check("trained_value", abs(criterion(p_data, p_g, x) - value), 1e-3)


def family(checks: Checks) -> dict[str, Mixture]:
    """Return theorem 1's family: p_data moved and stretched, and its components alone."""
    members = {
        f"shift {shift:g}, scale {scale:g}": moved(checks.p_data, shift, scale)
        for shift in checks.shifts
        for scale in checks.scales
    }
    for i, component in enumerate(checks.p_data):
        alone = component.model_copy(update={"weight": 1.0})
        members[f"component {i} alone"] = (alone,)
    return members


def measure_family(checks: Checks) -> list[Member]:
    """Return C(G), JSD and total variation of every member of the family."""
    x = points(checks.grid)
    p_data = density(checks.p_data, x)
    members = []
    for name, mixture in family(checks).items():
        p_g = density(mixture, x)
        divergence = jsd(
            lambda at: density(checks.p_data, at),
            lambda at, mixture=mixture: density(mixture, at),  # type: ignore[misc]
            checks.grid.low,
            checks.grid.high,
        )
        distance = total_variation(p_data, p_g, x)
        members.append(Member(name, criterion(p_data, p_g, x), divergence, distance))
    return members


def check_identity(members: list[Member]) -> Check:
    """Check C(G) = −log 4 + 2·JSD over the family."""
    return Check(
        "criterion_and_jsd",
        max(abs(member.criterion + LOG4 - 2 * member.jsd) for member in members),
        1e-7,
    )


def check_minimum(p_data: Array, x: Array) -> Check:
    """Check that C(G) = −log 4 if p_g = p_data (n,)."""
    return Check("minimum_value", abs(criterion(p_data, p_data, x) + LOG4), 1e-9)


def check_only_minimum(members: list[Member]) -> Check:
    """Check that C(G) stays above −log 4 by as much as p_g differs from p_data.

    JSD is the mean of two Kullback–Leibler divergences to the mixture, each at least half the
    squared total variation (Pinsker), so that C(G) + log 4 ≥ TV²: 0 only where p_g = p_data.
    """
    return Check(
        "minimum_only_there",
        max(m.total_variation**2 - (m.criterion + LOG4) for m in members),
        1e-9,
    )


def check_descent(p_data: Array, p_g: Array, curve: list[float], x: Array) -> list[Check]:
    """Check the end of proposition 2's procedure, and that C never rose on the way.

    Parameters
    ----------
    p_data, p_g, x : (n,) `p_g` at the end.
    curve : C(G) in nats, step by step.
    """
    return [
        Check("descent_reaches_data", total_variation(p_data, p_g, x), 1e-4),
        Check("descent_value", abs(curve[-1] + LOG4), 1e-8),
        Check("descent_improves", max(after - before for before, after in pairwise(curve)), 1e-12),
    ]


@dataclass(frozen=True)
class Checked:
    """All checks, and what their picture shows."""

    checks: list[Check]
    x: Array  # (n,) the grid
    p_data: Array  # (n,)
    p_g: Array  # (n,) of proposition 1
    d: Array  # (n,) the trained discriminator
    members: list[Member]
    descent: list[float]  # C(G) in nats, step by step


def run_checks(checks: Checks) -> Checked:
    """Return all checks of section 4."""
    x = points(checks.grid)
    p_data, p_g = density(checks.p_data, x), density(checks.p_g, x)

    trained = checks.discriminator
    discriminator = mlp(trained.units, stream_rng(checks.seed, "theory", "discriminator"))
    fit_discriminator(
        discriminator,
        quantiles(checks.p_data, trained.quantiles, x),
        quantiles(checks.p_g, trained.quantiles, x),
        trained.iterations,
    )
    d = probabilities(discriminator, x)
    members = measure_family(checks)
    end, curve = descend(p_data, p_g, x, checks.descent.step_size, checks.descent.steps)
    results = [
        check_maximum(),
        check_discriminator(d, p_data, p_g, x),
        check_value(apply(discriminator, x), p_data, p_g, x),
        check_identity(members),
        check_minimum(p_data, x),
        check_only_minimum(members),
        *check_descent(p_data, end, curve, x),
    ]
    return Checked(results, x, p_data, p_g, d, members, curve)
