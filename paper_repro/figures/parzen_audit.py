"""The audit of the measure as a figure."""

from pathlib import Path

import pandas as pd

from paper_repro.diagnostics.parzen_audit import Audit
from paper_repro.figures.canvas import drawing, sns


def draw(measured: Audit, path: Path) -> None:
    """Draw the estimate over the number of samples, and the references as lines across it."""
    with drawing(path, 7, 4) as figure:
        axes = figure.subplots()
        curve = pd.DataFrame(measured["curve"])
        sns.lineplot(curve, x="n", y="test_mean", marker="o", ax=axes, color="black", label="ours")
        for row, colour in zip(measured["rows"][1:], sns.color_palette(), strict=False):
            axes.axhline(
                row["fine"]["test_mean"], color=colour, linestyle="--", label=row["samples"]
            )
        axes.set(xscale="log", xlabel="number of samples", ylabel="nats, test, σ on a fine grid")
        axes.set_title("Parzen estimate: our samples, and what is no model")
        axes.legend()
