"""The models of Table 1 beside each other: how their chains mix, and what that costs in nats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.figures.canvas import drawing, sns
from paper_repro.figures.mixing import Mixing


def draw_mixing(measured: Mapping[str, Mixing], path: Path) -> None:
    """Draw how fast samples forget each other, and what they score the farther they lie apart.

    Parameters
    ----------
    measured : by the model's name.
    """
    forgotten = pd.DataFrame(
        [
            {"model": name, "lag": int(lag), "rho": rho}
            for name, found in measured.items()
            for lag, rho in found["autocorrelation"].items()
            if int(lag)
        ]
    )
    scored = pd.DataFrame(
        [
            {"model": name, "every": by["every"], "nats": by["test_mean"]}
            for name, found in measured.items()
            for by in found["thinning"]
        ]
    )
    with drawing(path, 8, 3) as figure:
        left, right = figure.subplots(1, 2)
        lines: dict[str, Any] = {"hue": "model", "style": "model", "markers": True}
        sns.lineplot(forgotten, x="lag", y="rho", ax=left, **lines)
        left.axhline(0, color="black", linestyle=":")
        left.set(xscale="log", xlabel="steps between samples", ylabel="correlation of the images")
        sns.lineplot(scored, x="every", y="nats", ax=right, legend=False, **lines)
        right.set(xscale="log", xlabel="steps between samples", ylabel="test log-likelihood (nats)")
        apart = sorted(set(scored.every))
        right.set_xticks(apart, map(str, apart))
        right.minorticks_off()
        left.get_legend().remove()
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
