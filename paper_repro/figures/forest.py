"""The forest plot of one number of Table 1: the paper's, ours, and what to compare them with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from paper_repro.figures.canvas import Axes, drawing

Kind = Literal["paper", "ours", "seed", "cited", "retrained", "reference", "grid"]
# Marker, colour (of Okabe and Ito) and size in points: kinds differ in grey, too.
LOOKS: dict[Kind, tuple[str, str, float]] = {
    "paper": ("D", "#000000", 4),
    "ours": ("d", "#0072B2", 6),
    "seed": ("o", "#56B4E9", 3.5),
    "cited": ("s", "#888888", 3.5),
    "retrained": ("^", "#D55E00", 3.5),
    "reference": ("X", "#009E73", 3.5),
    "grid": ("v", "#CC79A7", 3.5),
}


@dataclass(frozen=True)
class Mark:
    """One line of the plot, in nats."""

    group: str  # the heading over lines that belong together
    label: str
    mean: float
    low: float | None  # of the interval, None if there is none
    high: float | None
    kind: Kind
    text: str  # the numbers, as printed at the right


def draw_forest(marks: Sequence[Mark], path: Path, *, number: float, margin: float) -> None:
    """Draw one line a mark in the order given, under the heading of its group.

    Retrained models far to the left of all else are arrows at the edge: a chain that does not mix
    scores hundreds of nats less, and to scale all others would be one line.

    Parameters
    ----------
    number, margin : the paper's, in nats, as a line, with the band that counts as reproduced.
    """
    means = [mark.mean for mark in marks if mark.kind != "retrained"]
    left = min(means) - (max(means) - min(means)) / 2
    groups = [(group, list(members)) for group, members in groupby(marks, lambda m: m.group)]
    names: dict[float, str] = {}  # by y, the headings among them
    top = 0.0
    with drawing(path, 5, 0.19 * (len(marks) + 1.5 * len(groups)) + 0.6, dpi=200) as figure:
        axes = figure.subplots()
        for group, members in groups:
            names[top] = group
            # The band stops at a heading.
            edges = (top + 0.5, top + len(members) + 0.5)
            axes.vlines(number, *edges, color="black", linestyle=":", linewidth=1)
            axes.fill_betweenx(edges, number - margin, number + margin, color="0.9", lw=0)
            for y, mark in enumerate(members, start=1):
                names[top + y] = mark.label
                _draw(axes, mark, top + y, left)
            top += len(members) + 1.5
        if any(mark.mean < left for mark in marks):
            axes.set_xlim(left=left - (max(means) - left) / 40)  # an arrow keeps off the labels
        axes.set(ylim=(top - 0.9, -0.5), yticks=list(names), yticklabels=list(names.values()))
        axes.tick_params("y", length=0)
        for label, name in zip(axes.get_yticklabels(), names.values(), strict=True):
            label.set_fontweight("bold" if name in dict(groups) else "normal")
        shaded = f"shaded: within {margin:g} nats of the paper’s"
        axes.set_xlabel(f"log-likelihood of test images, nats\n{shaded}")
        axes.spines["left"].set_visible(False)


def _draw(axes: Axes, mark: Mark, y: float, left: float) -> None:
    marker, colour, size = LOOKS[mark.kind]
    low, high = mark.low, mark.high
    if mark.mean < left:
        axes.plot(left, y, marker="<", color=colour, markersize=1.5 * size, clip_on=False)
    else:
        axes.errorbar(
            mark.mean,
            y,
            xerr=None if low is None or high is None else [[mark.mean - low], [high - mark.mean]],
            marker=marker,
            color=colour,
            markersize=size,
            elinewidth=size / 3,
        )
    across = axes.get_yaxis_transform()  # x as a part of the axes' width
    axes.text(1.03, y, mark.text, va="center_baseline", transform=across)
