"""The paper's Table 1 beside ours, in Markdown; numbers come from ``results.json`` only."""

from typing import Any

import pandas as pd

from paper_repro.report.published import CONTEXT_MNIST, TABLE1_MNIST, Published


def number(mean: float | None, error: float | None = None) -> str:
    """Return a number of nats as shown: one decimal, with its ± if it has one."""
    if mean is None:
        return "–"
    text = f"{mean:.1f}".replace("-", "−")
    return text if error is None else f"{text} ± {error:.1f}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown."""
    header = "| " + " | ".join(table.columns) + " |"
    rule = "|" + "|".join(" --- " for _ in table.columns) + "|"
    rows = [
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
        for row in table.itertuples(index=False)
    ]
    return "\n".join([header, rule, *rows]) + "\n"


def remark(row: dict[str, Any], profile: str) -> str:
    """Return what a reader must know before comparing a row with the paper."""
    if row["status"] != "ok":
        return f"not run: {row['reason']}; {row['todo']}"
    if row["stand_in"]:
        return f"stand-in data ({row['stand_in']}): not comparable"
    if profile != "paper":
        return f"{profile} profile, reduced scale: not comparable"
    if not row["comparable"]:
        changed = ", ".join(row["changed"]) or "data"
        return f"not the released recipe (differs in {changed}): not comparable"
    seeds = len(row["seeds"])
    return f"the paper's recipe, {seeds} seed{'s' if seeds > 1 else ''}"


def _ours(row: dict[str, Any]) -> str:
    # The error over test images belongs to one run; several have their spread beside them.
    seeds = row["seeds"]
    return number(row["mean"], seeds[0]["test_se"] if len(seeds) == 1 else None)


def ours(results: dict[str, Any]) -> pd.DataFrame:
    """Return the comparison, one line an experiment."""
    lines = []
    for row in results["rows"]:
        seeds = row["seeds"]
        paper = row["paper"]
        lines.append(
            {
                "Experiment": row["experiment"],
                "Data": row["stand_in"] or row["dataset"],
                "Paper (nats)": number(paper["mean"], paper["se"]) if paper else "–",
                "Ours (nats)": _ours(row) if seeds else "not run",
                "SD over seeds": number(row["seed_sd"]),
                "Seeds": len(seeds),
                "Epochs": seeds[0]["epochs"] if seeds else "–",
                "Remark": remark(row, results["profile"]),
            }
        )
    return pd.DataFrame(lines)


def seeds(results: dict[str, Any]) -> pd.DataFrame:
    """Return every run: the generator best on validation, and the last one beside it."""
    lines = [
        {
            "Run": seed["run"],
            "Test (nats)": number(seed["test_mean"], seed["test_se"]),
            "at epoch": seed["best_epoch"],
            "σ": f"{seed['sigma']:.4f}",
            "Validation": number(seed["valid_mean"]),
            "Last epoch, test": number(seed["last_test_mean"], seed["last_test_se"]),
            "Epochs": seed["epochs"],
            "Updates": f"{seed['updates']:,}",
            "Training time": duration(seed["training_seconds"]),
        }
        for row in results["rows"]
        for seed in row["seeds"]
    ]
    return pd.DataFrame(lines)


def published(entries: tuple[Published, ...]) -> pd.DataFrame:
    """Return published numbers."""
    return pd.DataFrame(
        [
            {"Model": e.model, "MNIST (nats)": number(e.mean, e.se), "Source": e.source}
            for e in entries
        ]
    )


def table1(results: dict[str, Any]) -> str:
    """Return ``table1.md``."""
    parts = [
        f"# Table 1, {results['profile']} profile",
        "Parzen-window log-likelihood of the test set in nats; ± is the standard error of the "
        "mean over the test images.",
        markdown(ours(results)),
    ]
    if any(row["seeds"] for row in results["rows"]):
        parts += ["## Runs", markdown(seeds(results))]
    parts += ["## The paper's Table 1, MNIST", markdown(published(TABLE1_MNIST))]
    parts += ["## Other published Parzen numbers", markdown(published(CONTEXT_MNIST))]
    return "\n\n".join(part.strip() for part in parts) + "\n"
