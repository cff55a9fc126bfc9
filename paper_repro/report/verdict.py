"""The verdict on a number of the paper, by a rule that was fixed before the runs."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

from paper_repro.report.published import Published

LEVEL = 0.95
FEWEST_SEEDS = 3
RULE = (
    "A number is reproduced if the paper's value lies in the 95 % prediction interval for one more "
    "run of ours: the mean over n seeds ± t(n − 1) √(s² (1 + 1/n) + e² + p²), where s is the "
    "standard deviation over seeds, e the mean standard error of our runs and p the paper's "
    "standard error. Outside it is higher or lower than the paper. Under three seeds there is no "
    "verdict; nor on stand-in data, in a reduced profile or of a changed recipe."
)


@dataclass(frozen=True)
class Verdict:
    """What is said of a number, and the prediction interval that it rests on, in nats."""

    text: str
    distance: float | None = None  # ours minus the paper's
    interval: tuple[float, float] | None = None


def mean_interval(means: Sequence[float]) -> tuple[float, float] | None:
    """Return the t-based 95 % confidence interval of the mean over seeds; None under two seeds."""
    if len(means) < 2:
        return None
    half = _quantile(len(means)) * statistics.stdev(means) / math.sqrt(len(means))
    mean = statistics.fmean(means)
    return mean - half, mean + half


def judge(means: Sequence[float], errors: Sequence[float], paper: Published) -> Verdict:
    """Return the verdict on comparable runs.

    Parameters
    ----------
    means, errors : of each seed, the test mean and its standard error, in nats; at least one.
    """
    n, mean = len(means), statistics.fmean(means)
    distance = mean - paper.mean
    if n < FEWEST_SEEDS:
        return Verdict(f"too few seeds (n = {n}), {_signed(distance)} nats", distance)
    spread = statistics.variance(means) * (1 + 1 / n)
    half = _quantile(n) * math.sqrt(spread + statistics.fmean(errors) ** 2 + paper.se**2)
    interval = (mean - half, mean + half)
    if interval[0] <= paper.mean <= interval[1]:
        return Verdict("reproduced", distance, interval)
    side = "higher" if distance > 0 else "lower"
    return Verdict(f"{side} than the paper by {abs(distance):.1f} nats", distance, interval)


def _quantile(n: int) -> float:
    return float(t.ppf((1 + LEVEL) / 2, n - 1))


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
