"""Training curves: the Parzen estimate on validation images, D on data and samples, the value."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.figures.canvas import Axes, drawing, sns

MANY = 60  # estimates: no markers, and no place for the first ones
BY_RUN: dict[str, Any] = {"x": "epoch", "hue": "run", "estimator": None}
ACROSS = ("axes fraction", "data")  # what a note's place is in


def draw_curves(
    runs: dict[str, tuple[pd.DataFrame, pd.DataFrame]],
    path: Path,
    *,
    title: str,
    paper_mean: float | None,
) -> None:
    """Draw three panels over epochs, one line a seed; of a Markov chain two.

    Parameters
    ----------
    runs : by label, the per-epoch table and the table of measured epochs.
    paper_mean : the paper's test mean in nats, drawn for orientation where it is comparable.
    """
    curve = pd.concat([table.assign(run=label) for label, (table, _) in runs.items()])
    measured = pd.concat([table.assign(run=label) for label, (_, table) in runs.items()])
    others = [_discriminator, _value] if "d_data" in curve else [_autocorrelation]
    with drawing(path, 3 * (1 + len(others)), 3.3) as figure:
        nats, *rest = figure.subplots(1, 1 + len(others))
        sns.lineplot(
            measured,
            y="valid_nats",
            marker="o" if len(measured) < MANY else None,
            markersize=3,
            linewidth=None if len(runs) == 1 else 0.5,  # or one seed would hide another
            ax=nats,
            **BY_RUN,
        )
        if len(measured) >= MANY:  # the first steps would press all that follows together
            later = measured[measured.epoch > measured.epoch.max() / 10].valid_nats
            highest = max(measured.valid_nats.max(), paper_mean or -math.inf)
            nats.set_ylim(later.min(), highest + 0.05 * (highest - later.min()))
        if paper_mean is not None:
            nats.axhline(paper_mean, color="black", linestyle=":")
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
            note, place = f"paper, test: {paper_mean:g}", (0.02, paper_mean)
            nats.annotate(note, place, xycoords=ACROSS, va="bottom", bbox=box)
        nats.set(ylabel="nats", title="Parzen estimate, validation")
        for draw, axes in zip(others, rest, strict=True):
            draw(curve, measured, axes)
        for axes in (nats, *rest):
            legend = axes.get_legend()
            if legend is not None:
                sns.move_legend(axes, "best", title=None)
        whole_epochs(figure.axes)
        figure.suptitle(title.replace("$", r"\$"))


def means_of_d(curve: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Return an epoch's means of D on data and on samples as rows, with the columns `by`."""
    shown = {"d_data": "on data", "d_samples": "on samples"}
    lines = curve.melt([*by, "epoch"], list(shown), var_name="mean of D", value_name="D")
    return lines.replace({"mean of D": shown})


def _discriminator(curve: pd.DataFrame, measured: pd.DataFrame, axes: Axes) -> None:
    lines = means_of_d(curve, "run")
    sns.lineplot(lines, x="epoch", y="D", hue="mean of D", units="run", estimator=None, ax=axes)
    axes.axhline(0.5, color="black", linestyle=":")
    axes.set(ylabel="mean D, dropout on", ylim=(0, 1), title="Discriminator")


def _value(curve: pd.DataFrame, measured: pd.DataFrame, axes: Axes) -> None:
    sns.lineplot(curve, y="value", legend=False, ax=axes, **BY_RUN)
    axes.axhline(-math.log(4), color="black", linestyle=":")
    axes.annotate("−log 4", (0.98, -math.log(4)), xycoords=ACROSS, ha="right", va="bottom")
    axes.set(ylabel="V(D, G), nats, dropout on", title="Value")
    axes.ticklabel_format(axis="y", useOffset=False)


def _autocorrelation(curve: pd.DataFrame, measured: pd.DataFrame, axes: Axes) -> None:
    markers: dict[str, Any] = {"marker": "o", "markersize": 3}
    sns.lineplot(measured, y="autocorrelation_time", legend=False, ax=axes, **markers, **BY_RUN)
    axes.set(yscale="log", ylabel="τ, steps", title="Autocorrelation time of one chain")


def draw_gradients(curves: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw the norms of G's gradient under its two losses, and their ratio, over the first epochs.

    Parameters
    ----------
    curves : by label, the epochs of the per-epoch table in which both were measured.
    """
    losses = {"g_grad_norm_non_saturating": "−log D", "g_grad_norm_minimax": "log(1 − D)"}
    table = pd.concat([curve.assign(run=label) for label, curve in curves.items()])
    table["ratio"] = table.g_grad_norm_non_saturating / table.g_grad_norm_minimax
    with drawing(path, 8, 3.2) as figure:
        norms, ratio = figure.subplots(1, 2)
        lines = table.rename(columns=losses).melt(
            ["run", "epoch"], list(losses.values()), var_name="loss", value_name="norm"
        )
        of_seeds: dict[str, Any] = {"x": "epoch", "units": "run", "estimator": None}
        sns.lineplot(lines, y="norm", hue="loss", style="loss", ax=norms, **of_seeds)
        norms.set(yscale="log", ylabel="norm of G's gradient, mean of an epoch")
        sns.lineplot(table, y="ratio", marker="o", color="black", ax=ratio, **of_seeds)
        ratio.axhline(1, color="black", linestyle=":")
        ratio.set(yscale="log", ylabel="ratio, a line a seed")
        whole_epochs(figure.axes)


def draw_variants(curves: pd.DataFrame | None, path: Path) -> None:
    """Draw all validation curves, one line an experiment, the mean where there are more seeds.

    Parameters
    ----------
    curves : with columns ``experiment``, ``epoch`` and ``valid_nats``; None if nothing was trained.
    """
    with drawing(path, 9, 4.5) as figure:
        axes = figure.subplots()
        if curves is not None:
            by: dict[str, Any] = {"hue": "experiment", "style": "experiment", "errorbar": None}
            sns.lineplot(curves, x="epoch", y="valid_nats", ax=axes, **by)
            sns.move_legend(axes, "center left", bbox_to_anchor=(1, 0.5), title=None)
        axes.set(xlabel="epoch", ylabel="nats, validation")
        whole_epochs([axes])


def whole_epochs(panels: list[Axes]) -> None:
    """Put the ticks of panels over epochs at whole epochs."""
    for axes in panels:
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
