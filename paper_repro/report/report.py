"""Stage ``report@<profile>``: results, table, figures and page from the listed runs' files."""

from pathlib import Path

import pandas as pd

from paper_repro import config
from paper_repro.figures.canvas import save_note
from paper_repro.figures.curves import draw_curves
from paper_repro.files import write_bytes, write_json, write_text
from paper_repro.report.page import write_page
from paper_repro.report.results import collect, results_path
from paper_repro.report.tables import remark, table1


def _figures(
    row: dict[str, object], runs: list[config.Run], folder: Path, profile: str
) -> dict[str, Path]:
    """Write an experiment's figures; figure 2 is that of the first seed listed."""
    name = str(row["experiment"])
    paths = {kind: folder / f"{kind}_{name}.png" for kind in ("figure2", "curves")}
    if runs:
        write_bytes(paths["figure2"], (runs[0].folder / "figure2.png").read_bytes())
    else:
        save_note(paths["figure2"], f"Not run: {row['reason']}")
    tables = {
        f"seed {run.seed}": (
            pd.read_csv(run.folder / "curve.csv"),
            pd.read_csv(run.folder / "validation.csv"),
        )
        for run in runs
        if row["status"] == "ok"
    }
    paper = row["paper"]
    draw_curves(
        tables,
        paths["curves"],
        title=f"{name}, {profile} profile: {remark(row, profile)}",
        paper_mean=paper["mean"] if row["comparable"] and isinstance(paper, dict) else None,
    )
    return paths


def report(profile: str) -> None:
    """Write a profile's report (`UserError` if a run's files are absent or damaged)."""
    results = collect(profile)
    listed = list(config.runs(config.read_params(), profile).values())
    folder = results_path(profile).parent
    write_json(results_path(profile), results)
    write_text(folder / "table1.md", table1(results))
    pictures = {}
    for row in results["rows"]:
        runs = [run for run in listed if run.experiment == row["experiment"]]
        pictures[row["experiment"]] = _figures(row, runs, folder, profile)
    write_page(results, pictures, folder / "index.html")
    print(f"report: {folder / 'index.html'}")
    for row in results["rows"]:
        print(f"report: {row['experiment']}: {remark(row, profile)}")
