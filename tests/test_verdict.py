import math
import statistics

import numpy as np
import pytest

from paper_repro.report.published import margin
from paper_repro.report.verdict import answer, distance_interval, judge, mean_interval

PAPER, MARGIN = 225.0, 5.5


def test_the_margin_is_half_the_way_to_the_nearest_other_model():
    assert margin("mnist") == 5.5  # deep GSN, 214
    assert margin("tfd") == 26.5  # stacked CAE, 2110


def test_intervals_are_student_s_and_that_of_a_distance_half_a_nat_wider_on_either_side():
    half = 2.9200 / math.sqrt(3)  # t(2) at .95, from printed tables; SD 1
    found = distance_interval([222.0, 223.0, 224.0], PAPER)
    assert found == pytest.approx((223 - half - 225.5, 223 + half - 224.5), abs=1e-4)
    assert distance_interval([223.0], PAPER) is None
    means = [218.3, 217.1, 219.9, 218.7]
    mean, half = statistics.fmean(means), 3.1824 * statistics.stdev(means) / 2  # t(3) at .975
    assert mean_interval(means) == pytest.approx((mean - half, mean + half), abs=1e-3)
    assert mean_interval(means[:1]) is None


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((-5.5, 5.5), "reproduced"),
        ((-5.51, 0.0), "inconclusive"),
        ((0.0, 5.51), "inconclusive"),
        ((-9.0, 9.0), "inconclusive"),
        ((-9.0, -5.51), "not reproduced"),
        ((5.51, 7.0), "not reproduced"),
        ((-9.0, -5.5), "inconclusive"),
    ],
)
def test_an_interval_is_inside_outside_or_neither(interval, expected):
    assert answer(interval, MARGIN) == expected


def spread(centre, sd):
    """Five numbers of that mean and standard deviation."""
    steps = np.array([-2, -1, 0, 1, 2]) / statistics.stdev([-2, -1, 0, 1, 2])
    return (centre + sd * steps).tolist()


@pytest.mark.parametrize(
    ("centre", "sd", "expected"),
    [
        (225.0, 1.0, "reproduced"),
        (222.0, 1.0, "reproduced"),
        (219.0, 1.0, "inconclusive"),
        (214.0, 1.0, "not reproduced"),
        (236.0, 1.0, "not reproduced"),
        (225.0, 7.0, "inconclusive"),
    ],
)
def test_five_seeds_have_an_answer(centre, sd, expected):
    verdict = judge(spread(centre, sd), PAPER, MARGIN)
    assert verdict.answer == expected
    assert (verdict.kind, verdict.finished) == (expected, 5)
    assert verdict.distance == pytest.approx(centre - 225)
    low, high = verdict.interval
    assert low < verdict.distance < high


def test_more_noise_never_makes_a_number_reproduced():
    for centre in np.linspace(210, 240, 31):
        answers = [judge(spread(centre, sd), PAPER, MARGIN).answer for sd in (0.5, 1, 2, 4, 8)]
        if answers[0] != "reproduced":
            assert "reproduced" not in answers


@pytest.mark.parametrize("count", [1, 2, 4])
def test_before_five_seeds_there_is_no_word(count):
    verdict = judge(spread(225.0, 1.0)[:count], PAPER, MARGIN)
    assert (verdict.answer, verdict.kind, verdict.finished) == (None, "interim", count)
    assert (verdict.interval is None) == (count == 1)


def test_a_seed_that_diverged_counts_and_is_told():
    means = spread(225.0, 1.0)
    early = judge(means[:3], PAPER, MARGIN, diverged=1)
    assert (early.kind, early.finished) == ("interim", 4)
    verdict = judge(means[:4], PAPER, MARGIN, diverged=1)
    assert (verdict.answer, verdict.finished) == ("reproduced", 5)
    assert judge([225.0, 225.1], PAPER, MARGIN, diverged=3).answer == "inconclusive"
