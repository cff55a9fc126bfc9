"""Published generators by grid of σ: what the choice moves, beside what the seeds do."""

from pathlib import Path

import pandas as pd

from paper_repro.figures.canvas import drawing, sns


def draw_grids(
    means: pd.DataFrame, path: Path, *, number: float | None, margin: float | None
) -> None:
    """Draw each seed's mean over its sets of samples, a line a grid.

    Parameters
    ----------
    means : columns ``run``, ``grid`` (its name) and ``nats``.
    number, margin : the paper's, with the band that counts as reproduced; neither for a run that
        is not comparable.
    """
    with drawing(path, 7, 2.4) as figure:
        axes = figure.subplots()
        if number is not None and margin is not None:
            axes.axvspan(number - margin, number + margin, color="0.92")
            axes.axvline(number, color="black", linestyle=":", label="the paper's")
        sns.scatterplot(means, x="nats", y="grid", hue="run", style="run", s=60, ax=axes)
        axes.set(xlabel="nats, test, mean over sets of samples", ylabel="grid of σ")
        axes.margins(y=0.2)
        sns.move_legend(axes, "center left", bbox_to_anchor=(1, 0.5), title=None)
