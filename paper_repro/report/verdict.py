"""The verdict on a number of the paper, by the rule of ``reports/paper/protocol.md``."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from scipy.stats import norm, t, ttest_ind

from paper_repro.report.results import Answer, Verdict

LEVEL = 0.90  # two one-sided tests at 5 % each
ROUNDING = 0.5  # nats: the paper prints whole ones
SEEDS = 5  # before so many are finished there is no verdict
FEWEST = 3  # numbers that an interval is told from, if the other seeds diverged


def mean_interval(means: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Return Student's interval of a mean over seeds; None under two seeds."""
    if len(means) < 2:
        return None
    quantile = float(t.ppf((1 + level) / 2, len(means) - 1))
    mean, half = statistics.fmean(means), quantile * statistics.stdev(means) / math.sqrt(len(means))
    return mean - half, mean + half


def welch_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float] | None:
    """Return Welch's 90 % interval of a difference of two means over seeds; None under two each."""
    if min(len(ours), len(theirs)) < 2:
        return None
    found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(LEVEL)
    return float(found.low), float(found.high)


def distance_interval(
    means: Sequence[float], number: float, error: float = 0.0
) -> tuple[float, float] | None:
    """Return the interval of the mean over seeds minus a printed number; None under two seeds.

    Parameters
    ----------
    error : the printed number's standard error, as far as ours does not share it.
    """
    ours = mean_interval(means, LEVEL)
    if ours is None:
        return None
    half = math.hypot((ours[1] - ours[0]) / 2, error * float(norm.ppf((1 + LEVEL) / 2))) + ROUNDING
    distance = statistics.fmean(means) - number
    return distance - half, distance + half


def answer(interval: tuple[float, float], margin: float) -> Answer:
    """Return what an interval of Δ says against ±margin."""
    if -margin <= interval[0] and interval[1] <= margin:
        return "reproduced"
    if interval[1] < -margin or interval[0] > margin:
        return "not reproduced"
    return "inconclusive"


def judge(means: Sequence[float], number: float, margin: float, *, diverged: int = 0) -> Verdict:
    """Return the verdict on comparable runs.

    Parameters
    ----------
    means : of each finished seed, its number; at least one.
    number, margin : the paper's, and m of the rule.
    diverged : how many seeds have none.
    """
    interval, finished = distance_interval(means, number), len(means) + diverged
    kind: Answer | Literal["interim"] = "interim"
    if finished >= SEEDS:
        told = interval if len(means) >= FEWEST else None
        kind = answer(told, margin) if told else "inconclusive"
    distance = statistics.fmean(means) - number
    return Verdict(kind=kind, distance=distance, interval=interval, finished=finished)
