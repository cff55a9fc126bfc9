"""The verdict on a number of the paper, by one rule."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

from paper_repro.report.nats import interval_beside, signed
from paper_repro.report.published import Published

LEVEL = 0.95
FEWEST_SEEDS = 3
RULE = (
    "A number is reproduced if the paper's value lies in the 95 % prediction interval for one more "
    "run, measured as the paper's was: the mean over n seeds ± t(ν) √(v + e² + p²), where v = s² "
    "(1 + 1/n), s is the standard deviation over seeds, e the mean standard error of our runs and "
    "p the paper's. Only s is estimated from n numbers, so ν = (n − 1) ((v + e² + p²) / v)² (Welch "
    "and Satterthwaite). e and p count as independent, although both are errors over the same test "
    "images: as far as they are shared, it holds more than 95 % of runs, and the interval by the "
    "spread over seeds alone (e = p = 0), right if they are shared wholly, is stated beside it. "
    "Outside it is higher or lower than the paper. Under three seeds there is no verdict; nor on "
    "stand-in data, in a reduced profile or of a changed recipe. The rule took this form when one "
    "seed was known, before any verdict; before that it had ν = n − 1, a wider interval. Five "
    "seeds were planned on MNIST before the second was trained: the verdict on fewer is "
    "provisional, and a paper's value near an end of the interval may change sides with one more."
)


@dataclass(frozen=True)
class Verdict:
    """What is said of a number, and the prediction interval that it rests on, in nats.

    `reproduced` is None where there is no verdict. `seeds_interval` is the prediction interval by
    the spread over seeds alone.
    """

    text: str
    reproduced: bool | None = None
    distance: float | None = None  # ours minus the paper's
    interval: tuple[float, float] | None = None
    seeds_interval: tuple[float, float] | None = None


def mean_interval(means: Sequence[float]) -> tuple[float, float] | None:
    """Return the t-based 95 % confidence interval of the mean over seeds; None under two seeds."""
    if len(means) < 2:
        return None
    mean, variance = statistics.fmean(means), statistics.variance(means)
    half = _quantile(len(means) - 1) * math.sqrt(variance / len(means))
    return mean - half, mean + half


def prediction_interval(
    means: Sequence[float], errors: Sequence[float], paper: Published
) -> tuple[float, float] | None:
    """Return the interval of `RULE`, in nats; None under `FEWEST_SEEDS` seeds.

    Parameters
    ----------
    means, errors : of each seed, the test mean and its standard error, in nats.
    """
    n, mean = len(means), statistics.fmean(means)
    if n < FEWEST_SEEDS:
        return None
    spread = statistics.variance(means) * (1 + 1 / n)
    total = spread + statistics.fmean(errors) ** 2 + paper.se**2
    freedom = (n - 1) * (total / spread) ** 2 if spread else math.inf
    half = _quantile(freedom) * math.sqrt(total)
    return mean - half, mean + half


def judge(means: Sequence[float], errors: Sequence[float], paper: Published) -> Verdict:
    """Return the verdict on comparable runs.

    Parameters
    ----------
    means, errors : of each seed, the test mean and its standard error, in nats; at least one.
    """
    distance = statistics.fmean(means) - paper.mean
    interval = prediction_interval(means, errors, paper)
    if interval is None:
        text = f"too few seeds (n = {len(means)}), {signed(distance)} nats"
        return Verdict(text, distance=distance)
    reproduced = interval[0] <= paper.mean <= interval[1]
    side = f"{'higher' if distance > 0 else 'lower'} than the paper"
    text = "reproduced" if reproduced else side
    text += f", {signed(distance)} nats (interval {interval_beside(interval, paper.mean)})"
    alone = prediction_interval(means, [0.0] * len(means), Published(paper.mean, 0.0))
    return Verdict(text, reproduced, distance, interval, alone)


def _quantile(freedom: float) -> float:
    return float(t.ppf((1 + LEVEL) / 2, freedom))
