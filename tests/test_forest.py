"""The forest plot: every number stands where it belongs, and can be read."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from paper_repro.figures import forest as module
from paper_repro.figures.forest import Mark, draw_forest
from paper_repro.report.report import _retrained
from paper_repro.report.results import Estimate
from tests import rows

MARKS = [
    Mark("The paper", "adversarial nets", 225.0, 223.0, 227.0, "paper", "225.0 ± 2.0"),
    Mark("Ours", "mean", 218.5, 216.6, 221.0, "ours", "218.5"),
    Mark("Ours", "seed 0", 217.0, 214.7, 219.3, "seed", "217.0 ± 2.3"),
    Mark("Others", "DBN", 138.0, 136.0, 140.0, "cited", "138.0 ± 2.0"),
    Mark("Others", "deep GSN", 211.0, 210.0, 212.0, "retrained", "211.0 ± 1.0"),
    Mark("Images", "training", 240.0, 239.0, 241.0, "reference", "240.0 ± 1.0"),
    Mark("Grids", "even", 191.3, None, None, "grid", "191.3"),
]


@pytest.fixture
def axes(tmp_path, drawn):
    """Draw the marks, or some of them, and return the axes."""
    figures = drawn(module)

    def draw(marks=MARKS, **keywords):
        draw_forest(marks, tmp_path / "forest.png", **{"number": 225.0, "margin": 5.5} | keywords)
        (axes,) = figures[-1].axes
        return axes

    return draw


def test_marks_stand_at_their_means_beside_their_numbers_in_order_from_the_top(axes):
    drawn = axes()
    points = [errorbar.lines[0].get_xydata()[0] for errorbar in drawn.containers]
    assert [x for x, _ in points] == [mark.mean for mark in MARKS]
    assert np.all(np.diff(drawn.transData.transform(points)[:, 1]) < 0)
    names = [text.get_text() for text in drawn.get_yticklabels()]
    labels = dict(zip(names, drawn.get_yticks(), strict=True))
    numbers = {text.get_text(): text.get_position()[1] for text in drawn.texts}
    for mark, (_, y), errorbar in zip(MARKS, points, drawn.containers, strict=True):
        assert labels[mark.label] == numbers[mark.text] == y
        found = [tuple(bar.get_segments()[0][:, 0]) for bar in errorbar.lines[2]]
        assert found == ([] if mark.low is None else [pytest.approx((mark.low, mark.high))])


def test_a_retrained_model_far_to_the_left_is_an_arrow_at_the_edge_and_leaves_the_scale(axes):
    far = Mark("Retrained", "one chain", -160.5, -161.0, -160.0, "retrained", "−160.5")
    near = replace(far, label="thinned", mean=min(mark.mean for mark in MARKS) - 1, low=None)
    before, drawn = axes().get_xlim(), axes([*MARKS, far, near])
    assert len(drawn.containers) == len(MARKS) + 1
    (arrow,) = [line for line in drawn.lines if line.get_marker() == "<"]
    low, high = drawn.get_xlim()
    assert low < arrow.get_xdata()[0] < near.mean
    assert arrow.get_xdata()[0] - low < (high - low) / 20
    assert high == pytest.approx(before[1], abs=5)
    assert before[0] - low < before[1] - before[0]


@pytest.mark.parametrize(
    ("sd", "bars", "text"),
    [(None, [1.5, 1.2], "180.0\xa0±\xa01.5"), (7.0, [7.0, 9.0], "180.0 (SD 7.0)")],
)
def test_a_retrained_model_s_bar_is_over_runs_or_over_the_images_of_a_single_one(sd, bars, text):
    thinned = Estimate(sigma=0.2, test_mean=190.0, test_se=1.2)
    row = rows.row("deep_gsn", [rows.seed(test_se=1.5, thinned=thinned)])
    row.mean, row.seed_sd, row.thinned_mean, row.thinned_sd = 180.0, sd, 190.0, sd and sd + 2

    one_chain, several = _retrained("Deep GSN", row)
    assert [one_chain.mean - one_chain.low, several.mean - several.low] == pytest.approx(bars)
    assert (one_chain.label, several.label) == ("Deep GSN, one chain", "Deep GSN, thinned")
    assert one_chain.text == text


def test_the_band_is_the_paper_s_number_plus_or_minus_the_margin(axes):
    drawn = axes()
    bands = [part for part in drawn.collections if isinstance(part, PolyCollection)]
    edges = {tuple(band.get_paths()[0].get_extents().intervalx) for band in bands}
    assert edges == {(219.5, 230.5)}
    assert "5.5 nats" in drawn.get_xlabel()
    lines = [part.get_segments()[0] for part in drawn.collections if part not in bands]
    upright = {line[0, 0] for line in lines if line[0, 0] == line[1, 0]}  # else an interval
    assert upright == {225.0}
