"""Validation curves of an experiment and its variants."""

from pathlib import Path

import pandas as pd

from paper_repro.figures.canvas import drawing, sns
from paper_repro.figures.curves import whole_epochs


def draw_variants(curves: pd.DataFrame | None, path: Path) -> None:
    """Draw all validation curves, one line an experiment, the mean where there are more seeds.

    Parameters
    ----------
    curves : with columns ``experiment``, ``epoch`` and ``valid_nats``; None if nothing was trained.
    """
    with drawing(path, 9, 4.5) as figure:
        axes = figure.subplots()
        if curves is not None:
            sns.lineplot(
                curves,
                x="epoch",
                y="valid_nats",
                hue="experiment",
                style="experiment",
                errorbar=None,
                ax=axes,
            )
            sns.move_legend(axes, "center left", bbox_to_anchor=(1, 0.5), title=None)
        axes.set(xlabel="epoch", ylabel="nats, validation")
        whole_epochs([axes])
