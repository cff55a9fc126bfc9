"""Both updates side by side at several learning rates: who wins, and what the samples score."""

from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.figures.canvas import drawing, sns
from paper_repro.figures.curves import means_of_d

UPDATES = ["simultaneous", "alternating"]  # in a recipe, `update`


def draw_step_sizes(measured: pd.DataFrame, curve: pd.DataFrame, path: Path) -> None:
    """Draw a column for each learning rate: nats above, D's mean on data and samples below.

    All columns end at the same summed rate, so that each spans the same width.

    Parameters
    ----------
    measured : with columns ``rate``, ``update``, ``seed``, ``epoch`` and ``valid_nats``.
    curve : with ``d_data`` and ``d_samples`` instead of the nats.
    """
    rates = sorted(set(measured.rate), reverse=True)
    d = means_of_d(curve, "rate", "update", "seed")
    with drawing(path, 2.5 + 2.8 * len(rates), 5) as figure:
        panels = figure.subplots(2, len(rates), sharey="row", squeeze=False)
        for rate, (above, below) in zip(rates, panels.T, strict=True):
            lines: dict[str, Any] = {
                "x": "epoch",
                "hue": "update",
                "hue_order": UPDATES,
                "units": "seed",
                "estimator": None,
            }
            of_rate = measured[measured.rate == rate]
            sns.lineplot(of_rate, y="valid_nats", ax=above, legend=False, **lines)
            sns.lineplot(
                d[d.rate == rate],
                y="D",
                style="mean of D",
                ax=below,
                legend=rate == rates[-1],
                **lines,
            )
            below.axhline(0.5, color="black", linestyle=":")
            above.set(title=f"learning rate {rate:g}", xlabel="", ylabel="nats, validation")
            below.set(ylim=(0, 1), ylabel="mean D, dropout on")
        sns.move_legend(below, "center left", bbox_to_anchor=(1, 0.5))
