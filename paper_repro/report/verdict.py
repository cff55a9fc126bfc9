"""The verdict on a number of the paper, by the rule of ``reports/paper/protocol.md``."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import norm, t

from paper_repro.report.formatting import signed

LEVEL = 0.90  # two one-sided tests at 5 % each
ROUNDING = 0.5  # nats: the paper prints whole ones
SEEDS = 5  # before so many are finished there is no verdict
FEWEST = 3  # numbers that an interval is told from, if the other seeds diverged
# What the page prints of the rule, by heading.
RULE = {
    "Rule": (
        "Δ is the mean over seeds minus the paper's number. Its interval is Student's 90 % "
        "interval over the seeds, widened by 0.5 nats on either side, because the paper prints "
        "whole nats. A number is reproduced if that interval lies inside ±m, not reproduced if it "
        "lies outside, inconclusive else. m is half of what separates the paper's number from the "
        "nearest of the other models of its table: 5.5 nats on MNIST, 26.5 on TFD."
    ),
    "No verdict": (
        "On stand-in data, in a reduced profile or of a changed recipe. Before five seeds are "
        "finished: interim, with the interval alone. A seed that diverges counts as finished and "
        "is not replaced."
    ),
    "MNIST": (
        "Judged are seeds 4 to 8 at 2305 epochs, by the last epoch and ten sets of samples each: "
        "fixed in reports/paper/protocol.md before they were trained. Other seeds and lengths are "
        "exploration."
    ),
    "What it speaks of": "The printed number, itself one run, and not the recipe in general.",
}

Answer = Literal["reproduced", "not reproduced", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """What is said of a number; in nats.

    `answer` is None where there is no verdict.
    """

    text: str
    answer: Answer | None = None
    distance: float | None = None  # Δ, ours minus the paper's
    interval: tuple[float, float] | None = None  # of Δ


def mean_interval(means: Sequence[float]) -> tuple[float, float] | None:
    """Return the t-based 95 % confidence interval of the mean over seeds; None under two seeds."""
    if len(means) < 2:
        return None
    mean, half = statistics.fmean(means), _half(means, 0.95)
    return mean - half, mean + half


def distance_interval(
    means: Sequence[float], number: float, error: float = 0.0
) -> tuple[float, float] | None:
    """Return the interval of the mean over seeds minus a printed number; None under two seeds.

    Parameters
    ----------
    error : the printed number's standard error, as far as ours does not share it.
    """
    if len(means) < 2:
        return None
    half = math.hypot(_half(means, LEVEL), error * float(norm.ppf((1 + LEVEL) / 2))) + ROUNDING
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
    number, margin : the paper's, and m of `RULE`.
    diverged : how many seeds have none.
    """
    distance = statistics.fmean(means) - number
    interval = distance_interval(means, number)
    told = f"{signed(distance)} nats"
    if interval is not None:
        told += f" (90 % interval {signed(interval[0])} to {signed(interval[1])})"
    done = len(means) + diverged
    if done < SEEDS:
        return Verdict(f"interim, {done} of {SEEDS} seeds: {told}", None, distance, interval)
    found: Answer = "inconclusive"
    if interval is not None and len(means) >= FEWEST:
        found = answer(interval, margin)
    over = f", over {len(means)} of {done} seeds; the others diverged" if diverged else ""
    return Verdict(f"{found}: {told}{over}", found, distance, interval)


def explore(means: Sequence[float], number: float, seeds: int, epochs: int) -> Verdict:
    """Return what is said of runs that no protocol judges.

    Parameters
    ----------
    seeds, epochs : how many seeds the protocol has, and of what length.
    """
    distance, interval = statistics.fmean(means) - number, distance_interval(means, number)
    text = (
        f"none yet: exploration, {signed(distance)} nats; of the protocol's {seeds} seeds at "
        f"{epochs} epochs none is finished"
    )
    return Verdict(text, None, distance, interval)


def _half(means: Sequence[float], level: float) -> float:
    """Return half of Student's interval of a mean over two seeds or more."""
    quantile = float(t.ppf((1 + level) / 2, len(means) - 1))
    return quantile * statistics.stdev(means) / math.sqrt(len(means))
