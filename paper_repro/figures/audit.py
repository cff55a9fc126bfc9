"""Stage ``audit@<run>``: the audit of the measure, as numbers and a figure."""

from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
import torch

from paper_repro import config, provenance
from paper_repro.evaluation.audit import measure, settings
from paper_repro.evaluation.trained import read_trained_run
from paper_repro.figures.canvas import new_figure, save, save_note
from paper_repro.files import write_json
from paper_repro.products import fast_float32


def draw(measured: dict[str, Any], path: Path) -> None:
    """Draw the estimate over the number of samples, and the references as lines across it."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    curve = pd.DataFrame(measured["curve"])
    sns.lineplot(curve, x="n", y="test_mean", marker="o", ax=axes, color="black", label="ours")
    for row, colour in zip(measured["rows"][1:], sns.color_palette(), strict=False):
        axes.axhline(row["fine"]["test_mean"], color=colour, linestyle="--", label=row["samples"])
    axes.set(xscale="log", xlabel="number of samples", ylabel="nats, test, σ on a fine grid")
    axes.set_title("Parzen estimate: our samples, and what is no model", fontsize=10)
    axes.legend(fontsize=8)
    sns.despine(figure)
    save(figure, path)


@fast_float32()
def audit(key: str) -> None:
    """Audit the measure on a trained run (`UserError` on bad inputs)."""
    trained = read_trained_run(key)
    run = trained.run
    chosen = settings(config.read_params(), run.profile)
    if not trained.ok:
        write_json(run.folder / "audit.json", trained.record)
        save_note(run.folder / "audit.png", f"audit: {trained.why_not}")
        print(f"audit@{key}: {trained.why_not}")
        return
    dataset = trained.dataset()
    train, valid, test = (dataset.load(part) for part in ("train", *dataset.folds[0]))
    measured = measure(trained.sampler(), train, valid, test, chosen, run.seed)
    write_json(
        run.folder / "audit.json",
        {
            "status": "ok",
            "run": run.key,
            "stand_in": dataset.record()["stand_in"],
            **measured,
            "settings": chosen.model_dump(mode="json"),
            "provenance": provenance.environment(__name__, torch.device("cpu")),
        },
    )
    draw(measured, run.folder / "audit.png")
    for row in measured["rows"]:
        print(f"audit@{key}: {row['samples']}: {row['test_mean']:.1f} nats")
