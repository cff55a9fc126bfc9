"""The verdict on a number of the paper, by one rule, and what other rules would make of it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

from paper_repro.report.formatting import interval_beside, signed
from paper_repro.report.published import Published

LEVEL = 0.95
FEWEST_SEEDS = 3
# What the page prints of the rule, by heading.
RULE = {
    "Rule": (
        "A number is reproduced if the paper's value lies in the 95 % prediction interval for one "
        "more run, measured as the paper's was: the mean over n seeds ± t(ν) √(v + e² + p²), where "
        "v = s² (1 + 1/n), s is the standard deviation over seeds, e the mean standard error of "
        "our runs and p the paper's. Only s is estimated from n numbers, so ν = (n − 1) "
        "((v + e² + p²) / v)² (Welch and Satterthwaite). Outside the interval our number is higher "
        "or lower than the paper's."
    ),
    "No verdict": (
        "Under three seeds, on stand-in data, in a reduced profile or of a changed recipe. With "
        "fewer seeds than were planned it is provisional: one more seed may turn it."
    ),
    "Assumption": (
        "The errors e and p count as independent, although both are over the same test images. As "
        "far as they are shared the interval is too wide and holds nearly all runs, not 95 %."
    ),
    "History": (
        "The rule took this form when one seed was known, before any verdict; before that it had "
        "ν = n − 1. Five seeds on MNIST were planned before the second was trained."
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What is said of a number, and the prediction interval that it rests on, in nats.

    `reproduced` is None where there is no verdict.
    """

    text: str
    reproduced: bool | None = None
    provisional: bool = False
    distance: float | None = None  # ours minus the paper's
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Alternative:
    """What another choice than that of `RULE` would say: its interval, in nats, and the verdict."""

    what: str
    interval: tuple[float, float]
    reproduced: bool


def mean_interval(means: Sequence[float]) -> tuple[float, float] | None:
    """Return the t-based 95 % confidence interval of the mean over seeds; None under two seeds."""
    if len(means) < 2:
        return None
    spread = statistics.variance(means) / len(means)
    return _interval(statistics.fmean(means), spread, len(means) - 1)


def prediction_interval(
    means: Sequence[float],
    errors: Sequence[float],
    paper: Published,
    *,
    freedom: float | None = None,
) -> tuple[float, float] | None:
    """Return the interval of `RULE`, in nats; None under `FEWEST_SEEDS` seeds.

    Parameters
    ----------
    means, errors : of each seed, the test mean and its standard error, in nats.
    freedom : the degrees of freedom, if not those of the rule.
    """
    n = len(means)
    if n < FEWEST_SEEDS:
        return None
    spread = statistics.variance(means) * (1 + 1 / n)
    total = spread + statistics.fmean(errors) ** 2 + paper.se**2
    if freedom is None:
        freedom = (n - 1) * (total / spread) ** 2 if spread else math.inf
    return _interval(statistics.fmean(means), total, freedom)


def seeds_interval(means: Sequence[float]) -> tuple[float, float] | None:
    """Return the interval of `RULE` by the spread over seeds alone; None under `FEWEST_SEEDS`."""
    return prediction_interval(means, [0.0] * len(means), Published(math.nan, 0.0))


def judge(
    means: Sequence[float],
    errors: Sequence[float],
    paper: Published,
    *,
    planned: int = FEWEST_SEEDS,
) -> Verdict:
    """Return the verdict on comparable runs.

    Parameters
    ----------
    means, errors : of each seed, the test mean and its standard error, in nats; at least one.
    planned : how many seeds were planned.
    """
    n, distance = len(means), statistics.fmean(means) - paper.mean
    interval = prediction_interval(means, errors, paper)
    if interval is None:
        text = f"too few seeds (n = {n}), {signed(distance)} nats"
        return Verdict(text, distance=distance)
    reproduced = _holds(interval, paper)
    provisional = n < planned
    side = f"{'higher' if distance > 0 else 'lower'} than the paper"
    text = "reproduced" if reproduced else side
    text += f", {signed(distance)} nats (interval {interval_beside(interval, paper.mean)})"
    if provisional:
        text += f"; provisional, {n} of {planned} planned seeds"
    return Verdict(text, reproduced, provisional, distance, interval)


def alternatives(
    means: Sequence[float],
    errors: Sequence[float],
    paper: Published,
    last: tuple[Sequence[float], Sequence[float]] | None = None,
) -> list[Alternative]:
    """Return what the verdict would be if one choice behind it were another.

    None under `FEWEST_SEEDS` seeds.

    Parameters
    ----------
    means, errors : as `judge` has them.
    last : those of the last epochs, if other epochs were selected.
    """
    n = len(means)
    choices = {
        "errors over test images wholly shared by paper and rerun (e = p = 0)": (
            seeds_interval(means)
        ),
        "ν = n − 1, as before the rule's change": (
            prediction_interval(means, errors, paper, freedom=n - 1)
        ),
        f"the first {n - 1} seeds": prediction_interval(means[:-1], errors[:-1], paper),
    }
    if last is not None:
        choices["last epochs in place of those best on validation images"] = prediction_interval(
            *last, paper
        )
    return [
        Alternative(what, interval, _holds(interval, paper))
        for what, interval in choices.items()
        if interval is not None
    ]


def _holds(interval: tuple[float, float], paper: Published) -> bool:
    return interval[0] <= paper.mean <= interval[1]


def _interval(mean: float, variance: float, freedom: float) -> tuple[float, float]:
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(variance)
    return mean - half, mean + half
