"""How the time of the Parzen estimate grows with its sizes."""

from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.figures.canvas import drawing, sns


def draw_growth(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the time of the Parzen estimate over images, samples and pixels, one panel each."""
    table = pd.DataFrame([row | {"median": row["seconds"]["median"]} for row in rows])
    with drawing(path, 10, 3) as figure:
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (name, part) in zip(panels, table.groupby("axis", sort=False), strict=True):
            sns.lineplot(part, x=str(name), y="median", marker="o", ax=axes)
            rest = [key for key in ("images", "samples", "pixels") if key != name]
            axes.set(xscale="log", yscale="log", xlabel=str(name), ylabel="seconds")
            axes.set_title(", ".join(f"{part[key].iloc[0]:,} {key}" for key in rest))
            axes.grid(alpha=0.4)
            axes.minorticks_off()
