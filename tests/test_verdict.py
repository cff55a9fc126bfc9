import math

import pytest
from scipy.stats import t

from paper_repro.report.published import Published
from paper_repro.report.verdict import judge, mean_interval

PAPER = Published(225.0, 2.0)


def test_the_interval_is_the_rule_s():
    means, errors = [220.0, 222.0, 227.0], [2.0, 2.2, 2.4]
    # mean 223, variance (9 + 1 + 16) / 2 = 13, t(2) at .975 = 4.302653 from a printed table
    half = 4.302653 * math.sqrt(13 * (1 + 1 / 3) + 2.2**2 + 2.0**2)
    verdict = judge(means, errors, PAPER)
    assert verdict.text == "reproduced"
    assert verdict.distance == pytest.approx(-2)
    assert verdict.interval == pytest.approx((223 - half, 223 + half), rel=1e-6)


@pytest.mark.parametrize(
    ("means", "text"),
    [
        ([190.0, 191.0, 192.0, 191.0, 191.0], "lower than the paper by 34.0 nats"),
        ([260.0, 259.0, 261.0], "higher than the paper by 35.0 nats"),
        ([224.0, 226.0, 225.0], "reproduced"),
        ([100.0, 200.0, 300.0], "reproduced"),  # seeds that differ so much exclude nothing
        ([180.9], "too few seeds (n = 1), −44.1 nats"),
        ([230.0, 231.0], "too few seeds (n = 2), +5.5 nats"),
    ],
)
def test_verdicts(means, text):
    assert judge(means, [2.0] * len(means), PAPER).text == text


def test_the_ends_of_the_interval_belong_to_it():
    means, errors = [220.0, 222.0, 227.0], [2.0, 2.0, 2.0]
    low, high = judge(means, errors, PAPER).interval
    half, mean = (high - low) / 2, 223
    for value in (mean + half * 0.9999, mean - half * 0.9999):
        assert judge(means, errors, Published(value, 2.0)).text == "reproduced"
    for value in (mean + half * 1.0001, mean - half * 1.0001):
        assert "than the paper" in judge(means, errors, Published(value, 2.0)).text


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
