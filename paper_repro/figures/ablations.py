"""The ablations' validation curves."""

from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.figures.canvas import drawing, sns


def draw_ablations(results: dict[str, Any], path: Path) -> None:
    """Draw all validation curves, one line an experiment, the mean where there are more seeds."""
    curves = pd.DataFrame(
        [
            {"epoch": epoch, "nats": nats, "experiment": row["experiment"]}
            for row in results["rows"]
            for run in row["runs"]
            if run["status"] == "ok"
            for epoch, nats in zip(run["validation_epochs"], run["valid_nats"], strict=True)
        ],
        columns=["epoch", "nats", "experiment"],
    )
    with drawing(path, 9, 4.5) as figure:
        axes = figure.subplots()
        sns.lineplot(
            curves,
            x="epoch",
            y="nats",
            hue="experiment",
            style="experiment",  # more of them than colours that differ in grey
            errorbar=None,
            ax=axes,
        )
        axes.set(ylabel="nats, validation", title="Parzen estimate, one change at a time")
        if len(curves):
            sns.move_legend(axes, "center left", bbox_to_anchor=(1, 0.5), title=None)
