"""Stage ``report@<profile>``: results, table, figures and page from the listed runs' files."""

from pathlib import Path

from paper_repro.core.files import write_json, write_text
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.figures.curves import draw_curves
from paper_repro.figures.sample_sets import draw_grids
from paper_repro.report import tables
from paper_repro.report.citation import bibliography, metadata
from paper_repro.report.crate import crate
from paper_repro.report.page import summary, write_page
from paper_repro.report.results import collect, results_path
from paper_repro.report.run_files import RunFiles, run_files
from paper_repro.report.schema import Results, Row, json_schema

# What a profile's folder holds beside its runs and their curves: by this stage and those before it.
FILES = (
    "index.html",
    "results.json",
    "results.schema.json",
    "results.csv",
    "table1.md",
    "table1.tex",
    "summary.md",
    "metadata.yaml",
    "bibliography.bib",
    "theory.json",
    "theory.png",
    "figure1.json",
    "figure1.png",
)


def _draw_curves(row: Row, runs: list[RunFiles], profile: str, path: Path) -> None:
    curves = {
        f"seed {files.run.seed}": (
            files.table("curve.csv"),
            files.table("validation.csv"),
        )
        for files in runs
    }
    draw_curves(
        curves,
        path,
        title=f"{row['experiment']}, {profile} profile: {tables.remark(row, profile)}",
        paper_mean=row["paper"]["mean"] if row["comparable"] and row["paper"] else None,
    )


def _pictures(row: Row, runs: list[RunFiles], profile: str, folder: Path) -> dict[str, Path]:
    """Draw an experiment's curves; return them and the figures of its first seed that has them."""
    curves = folder / "curves" / f"{row['experiment']}.png"
    _draw_curves(row, runs, profile, curves)
    pictures = {"figure2": runs[0].picture("figure2"), "curves": curves}
    examined = (files.picture("figure3") for files in runs if files.has("figure3.json"))
    figure3 = next(examined, None)
    return pictures | ({"figure3": figure3} if figure3 else {})


def _draw_grids(results: Results, path: Path) -> Path | None:
    """Draw the published generators by grid of σ, if there are any."""
    for row in results["rows"]:
        found = {seed["run"]: seed["sets"] for seed in row["seeds"] if seed["sets"]}
        if found:
            means = {
                run: [(grid, by["first_images"]) for grid, by in sets["grids"].items()]
                for run, sets in found.items()
            }
            number = row["paper"]["mean"] if row["comparable"] and row["paper"] else None
            draw_grids(means, path, number=number, margin=row["margin"])
            return path
    return None


def report(profile: str) -> None:
    """Write a profile's report (`UserError` if a run's files are absent or damaged)."""
    params = read_params(profile)
    listed = {files.run.key: files for files in run_files(params)}
    results = collect(params, list(listed.values()))
    folder = results_path(profile).parent
    write_record(results_path(profile), results)
    write_json(folder / "results.schema.json", json_schema())
    write_text(folder / "table1.md", tables.table1(results))
    write_text(folder / "table1.tex", tables.latex(results))
    write_text(folder / "summary.md", summary(results))
    write_text(folder / "results.csv", tables.runs(results).to_csv(index=False))
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    pictures = {
        row["experiment"]: _pictures(
            row, [listed[seed["run"]] for seed in row["seeds"]], profile, folder
        )
        for row in results["rows"]
        if row["status"] == "ok"
    }
    drawn = {paths["curves"] for paths in pictures.values()}
    grids = _draw_grids(results, folder / "curves" / "sigma_grids.png")
    drawn |= {grids} if grids else set()
    drawn |= {picture.with_suffix(".pdf") for picture in drawn}
    for stale in set((folder / "curves").iterdir()) - drawn:  # of an experiment no longer run
        stale.unlink()
    write_text(folder / "bibliography.bib", bibliography())
    write_text(folder / "metadata.yaml", metadata(results))
    write_page(results, pictures, folder, grids)
    files = [folder / name for name in FILES] + sorted(drawn)
    for found in listed.values():
        left = found.run.folder.glob("[!.]*")  # no temporary file of a killed stage
        files += sorted(path for path in left if path.is_file())
    write_json(folder / "ro-crate-metadata.json", crate(results, folder, files))
    print(f"report: {folder / 'index.html'}")
    for row in results["rows"]:
        todo = f"; {row['todo']}" if "todo" in row else ""
        print(f"report: {row['experiment']}: {tables.remark(row, profile)}{todo}")
