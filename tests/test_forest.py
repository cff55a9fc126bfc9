"""The forest plot: every number stands where it belongs, and can be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.transforms import Bbox

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


def test_marks_stand_at_their_means_in_order_from_the_top(axes):
    drawn = axes()
    points = [errorbar.lines[0].get_xydata()[0] for errorbar in drawn.containers]
    assert [x for x, _ in points] == [mark.mean for mark in MARKS]
    heights = drawn.transData.transform(points)[:, 1]
    assert np.all(np.diff(heights) < 0)
    for mark, errorbar in zip(MARKS, drawn.containers, strict=True):
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


def test_label_and_numbers_are_on_the_mark_s_line_and_headings_once_above(axes):
    drawn = axes()
    labels = {text.get_text(): text for text in drawn.get_yticklabels()}
    heights = dict(zip(labels, drawn.get_yticks(), strict=True))
    groups = list(dict.fromkeys(mark.group for mark in MARKS))
    assert list(labels) == [
        name
        for group in groups
        for name in (group, *(mark.label for mark in MARKS if mark.group == group))
    ]
    shown = {text.get_text(): text.get_position()[1] for text in drawn.texts}
    for mark, errorbar in zip(MARKS, drawn.containers, strict=True):
        y = errorbar.lines[0].get_ydata()[0]
        assert heights[mark.label] == shown[mark.text] == y
    assert {n for n, t in labels.items() if t.get_fontweight() == "bold"} == set(groups)


def test_no_text_covers_another_or_a_mark(axes):
    drawn = axes()
    drawn.figure.draw_without_rendering()
    texts = [*drawn.texts, *drawn.get_yticklabels()]
    boxes = [text.get_window_extent().shrunk(1, 0.6) for text in texts]  # to the letters
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    for mark, errorbar in zip(MARKS, drawn.containers, strict=True):
        marker = errorbar.lines[0]
        y = marker.get_ydata()[0]
        ends = [(mark.low or mark.mean, y), (mark.high or mark.mean, y)]
        covered = Bbox.union([marker.get_window_extent(), Bbox(drawn.transData.transform(ends))])
        assert covered.count_overlaps(boxes) == 0, mark


@pytest.mark.parametrize("margin", [None, 5.5])
def test_the_band_is_the_paper_s_number_plus_or_minus_the_margin(axes, margin):
    drawn = axes(margin=margin)
    bands = [part for part in drawn.collections if isinstance(part, PolyCollection)]
    edges = {tuple(band.get_paths()[0].get_extents().intervalx) for band in bands}
    assert edges == (set() if margin is None else {(219.5, 230.5)})
    assert ("5.5 nats" in drawn.get_xlabel()) == (margin is not None)
    lines = [part.get_segments()[0] for part in drawn.collections if part not in bands]
    lines = [line for line in lines if line[0, 0] == line[1, 0]]  # upright: no interval
    assert {line[0, 0] for line in lines} == {225.0}
    for errorbar in drawn.containers:
        y = errorbar.lines[0].get_ydata()[0]
        assert sum(line[:, 1].min() < y < line[:, 1].max() for line in lines) == 1


def test_one_seed_alone_can_be_drawn_and_bytes_repeat(axes, tmp_path):
    pictures = []
    for marks in (MARKS[:1] + MARKS[2:3], MARKS, MARKS):
        axes(marks)
        pictures.append(Path(tmp_path / "forest.png").read_bytes())
    assert pictures[0] != pictures[1] == pictures[2]
