import math

import numpy as np
import pytest
from scipy.stats import t

from paper_repro.report.published import Published
from paper_repro.report.verdict import alternatives, judge, mean_interval, prediction_interval

PAPER = Published(225.0, 2.0)


def test_the_interval_is_the_rule_s():
    means, errors = [220.0, 222.0, 227.0], [2.0, 2.2, 2.4]
    # mean 223, variance (9 + 1 + 16) / 2 = 13
    spread = 13 * (1 + 1 / 3)
    total = spread + 2.2**2 + 2.0**2
    half = t.ppf(0.975, 2 * (total / spread) ** 2) * math.sqrt(total)
    verdict = judge(means, errors, PAPER)
    assert verdict.text == f"reproduced, −2.0 nats (interval {223 - half:.1f} to {223 + half:.1f})"
    assert verdict.distance == pytest.approx(-2)
    assert verdict.interval == pytest.approx((223 - half, 223 + half), rel=1e-6)


def test_its_two_limits_are_student_s_and_the_normal_distribution_s():
    means = [220.0, 222.0, 227.0]
    _, high = prediction_interval(means, [1e-9] * 3, Published(225.0, 0.0))
    # t(2) at .975 = 4.302653 and the normal quantile 1.959964, from printed tables
    assert high - 223 == pytest.approx(4.302653 * math.sqrt(13 * 4 / 3), rel=1e-6)
    _, high = prediction_interval([223.0] * 3, [3.0] * 3, Published(225.0, 4.0))
    assert high - 223 == pytest.approx(1.959964 * 5, rel=1e-6)


@pytest.mark.parametrize(("n", "spread"), [(3, 0.5), (3, 2.0), (5, 1.3), (5, 10.0)])
def test_it_holds_one_more_run_as_often_as_it_says(n, spread):
    """A run is the truth, plus its seed, plus the error of its measure; so is the paper's."""
    rng, error, trials = np.random.default_rng(0), 2.3, 4000
    inside = 0
    for _ in range(trials):
        common = rng.normal(0, error)  # of our runs: all are measured on the same images
        ours = common + rng.normal(0, spread, n)
        paper = rng.normal(0, math.hypot(spread, PAPER.se))
        low, high = prediction_interval(ours.tolist(), [error] * n, PAPER)
        inside += low <= paper <= high
    assert inside / trials == pytest.approx(0.95, abs=0.015)


def test_it_holds_more_than_it_says_where_the_test_images_are_the_same():
    rng, error, trials = np.random.default_rng(0), 2.3, 4000
    inside = 0
    for _ in range(trials):
        ours = rng.normal(0, 1.2, 5)  # the images' error moves these and the paper's alike
        low, high = prediction_interval(ours.tolist(), [error] * 5, PAPER)
        inside += low <= rng.normal(0, 1.2) <= high
    assert inside / trials > 0.97


def test_what_other_choices_would_say():
    means, errors = [220.0, 222.0, 227.0, 223.0], [2.0, 2.2, 2.4, 2.2]
    last = ([230.0, 232.0, 237.0, 233.0], errors)
    shared, former, fewer, last_epochs = alternatives(means, errors, PAPER, last)
    spread = 26 / 3 * (1 + 1 / 4)  # the variance of 220, 222, 227, 223, for one run more
    half = t.ppf(0.975, 3) * math.sqrt(spread)
    assert shared.interval == pytest.approx((223 - half, 223 + half), rel=1e-6)
    half = t.ppf(0.975, 3) * math.sqrt(spread + 2.2**2 + 2.0**2)
    assert former.interval == pytest.approx((223 - half, 223 + half), rel=1e-6)
    assert fewer.what == "the first 3 seeds"
    assert fewer.interval == judge(means[:3], errors[:3], PAPER).interval
    assert last_epochs.interval == prediction_interval(*last, PAPER)
    for choice in (shared, former, fewer, last_epochs):
        assert choice.reproduced == (choice.interval[0] <= 225.0 <= choice.interval[1])


def test_there_are_no_other_choices_without_a_verdict_nor_of_seeds_that_would_be_too_few():
    assert alternatives([220.0, 222.0], [2.0, 2.0], PAPER) == []
    found = alternatives([220.0, 222.0, 227.0], [2.0] * 3, PAPER)
    assert [choice.what.split()[0] for choice in found] == ["errors", "ν"]


def test_a_verdict_on_fewer_seeds_than_planned_is_provisional():
    means, errors = [220.0, 222.0, 227.0], [2.0] * 3
    assert not judge(means, errors, PAPER).provisional
    verdict = judge(means, errors, PAPER, planned=5)
    assert verdict.provisional
    assert verdict.text.endswith("; provisional, 3 of 5 planned seeds")
    assert not judge(means[:2], errors[:2], PAPER, planned=5).provisional  # there is none


@pytest.mark.parametrize(
    ("means", "text"),
    [
        ([190.0, 191.0, 192.0, 191.0, 191.0], "lower than the paper, −34.0 nats (interval 185"),
        ([260.0, 259.0, 261.0], "higher than the paper, +35.0 nats (interval 253.9"),
        ([212.0, 213.0, 214.0], "lower than the paper, −12.0 nats (interval 206"),
        ([224.0, 226.0, 225.0], "reproduced, +0.0 nats (interval 218.9"),
        ([100.0, 200.0, 300.0], "reproduced, −25.0"),  # seeds that differ so exclude nothing
        ([180.9], "too few seeds (n = 1), −44.1 nats"),
        ([230.0, 231.0], "too few seeds (n = 2), +5.5 nats"),
    ],
)
def test_verdicts(means, text):
    verdict = judge(means, [2.0] * len(means), PAPER)
    assert verdict.text.startswith(text)
    expected = {"too": None, "reproduced,": True}.get(text.split()[0], False)
    assert verdict.reproduced is expected


def test_the_ends_of_the_interval_belong_to_it():
    means, errors = [220.0, 222.0, 227.0], [2.0, 2.0, 2.0]
    low, high = judge(means, errors, PAPER).interval
    half, mean = (high - low) / 2, 223
    for value in (mean + half * 0.9999, mean - half * 0.9999):
        assert judge(means, errors, Published(value, 2.0)).reproduced
    for value in (mean + half * 1.0001, mean - half * 1.0001):
        assert judge(means, errors, Published(value, 2.0)).reproduced is False


def test_more_seeds_and_smaller_errors_narrow_it():
    def width(means, error):
        low, high = judge(means, [error] * len(means), PAPER).interval
        return high - low

    assert width([220.0, 222.0, 224.0] * 3, 2.0) < width([220.0, 222.0, 224.0], 2.0)
    assert width([220.0, 222.0, 224.0], 0.1) < width([220.0, 222.0, 224.0], 5.0)


def test_the_interval_of_the_mean_is_student_s():
    assert mean_interval([5.0]) is None
    low, high = mean_interval([1.0, 2.0, 3.0, 4.0])
    half = t.ppf(0.975, 3) * math.sqrt(5 / 3) / 2
    assert (low, high) == pytest.approx((2.5 - half, 2.5 + half))


def test_an_end_of_the_interval_is_not_shown_as_the_paper_s_value_beside_a_miss():
    paper = Published(225.0, 2.0)
    means = [218.0, 217.1, 219.9, 218.7]
    _, high = prediction_interval(means, [2.2] * 4, paper)
    assert high != 225.0
    # Shift the runs until the paper's value is a hair outside.
    moved = [mean + 225.0 - high - 0.0004 for mean in means]
    verdict = judge(moved, [2.2] * 4, paper)
    assert verdict.reproduced is False
    assert "to 225.0)" not in verdict.text
    assert "to 224.9996)" in verdict.text
