"""Stage ``parzen_audit@<run>``: the audit of the measure, as numbers and a figure."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from paper_repro.core import provenance
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.records import write_record
from paper_repro.diagnostics.parzen_audit import AuditSettings, measure
from paper_repro.evaluation.trained_run import open_run
from paper_repro.figures.canvas import drawing, save_note, sns


def draw(measured: dict[str, Any], path: Path) -> None:
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
        axes.set_title("Parzen estimate: our samples, and what is no model", fontsize=10)
        axes.legend(fontsize=8)
        sns.despine(figure)


@fast_float32()
def parzen_audit(key: str) -> None:
    """Audit the measure on a trained run (`UserError` on bad inputs)."""
    trained = open_run(key, "parzen_audit.json", "parzen_audit.png", draw_note=save_note)
    if trained is None:
        return
    run = trained.run
    chosen = trained.params.parse(AuditSettings, "parzen_audit")
    dataset = trained.dataset()
    train, valid, test = (dataset.load(part) for part in ("train", *dataset.folds[0]))
    measured = measure(trained.sampler(), train, valid, test, trained.measure(), chosen, run.seed)
    draw(measured, run.folder / "parzen_audit.png")
    write_record(
        run.folder / "parzen_audit.json",
        {
            "status": "ok",
            "run": run.key,
            "stand_in": dataset.record()["stand_in"],
            **measured,
            "settings": chosen.model_dump(mode="json"),
            "provenance": provenance.environment(__name__, torch.device("cpu")),
        },
        run.folder / "parzen_audit.png",
    )
    for row in measured["rows"]:
        print(f"{key}: {row['samples']}: {row['test_mean']:.1f} nats")
