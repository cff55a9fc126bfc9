"""``index.html``: one file with everything in it, readable without a network."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.core.circumstances import Start, Training
from paper_repro.core.files import read_bytes, write_text
from paper_repro.core.params import read_params
from paper_repro.core.records import FIGURE3, read_record
from paper_repro.core.runs import presentation
from paper_repro.report import tables
from paper_repro.report.citation import bibliography
from paper_repro.report.hyperparameters import hyperparameters
from paper_repro.report.released import content
from paper_repro.report.run_files import run_files, trainings
from paper_repro.report.schema import Results
from paper_repro.report.templating import environment
from paper_repro.report.verdict import RULE


def deviations() -> list[dict[str, str]]:
    """Return where the paper's text, its code and this package differ."""
    listed: list[dict[str, str]] = content("deviations.yaml")
    return listed


def data_address(picture: Path) -> str:
    """Return a PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(read_bytes(picture)).decode()


def records(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a table as the templates' macro `table` takes it."""
    return {"columns": list(table.columns), "rows": table.astype(str).to_numpy().tolist()}


def _machines(spent: dict[str, Training]) -> list[tuple[tuple[str, int, str], list[Start]]]:
    """Return the starts of training by device, threads and version of torch."""
    found: dict[tuple[str, int, str], list[Start]] = {}
    for training in spent.values():
        for start in training["starts"]:
            machine = (start["device"], start["threads"], start["versions"]["torch"])
            found.setdefault(machine, []).append(start)
    return list(found.items())


def _versions(spent: dict[str, Training]) -> list[list[tuple[str, str]]]:
    """Return the different sets of versions with which trainings ended."""
    found: list[list[tuple[str, str]]] = []
    for training in spent.values():
        versions = sorted(training["starts"][-1]["versions"].items())
        if versions not in found:
            found.append(versions)
    return found


def _by_reason(rows: list[dict[str, Any]]) -> list[tuple[tuple[str | None, ...], list[str]]]:
    """Return, for each (status, stand-in, reason, todo), the experiments without a result."""
    found: dict[tuple[str | None, ...], list[str]] = {}
    for row in rows:
        why = (row["status"], row["stand_in"], row["reason"], row["todo"])
        found.setdefault(why, []).append(row["experiment"])
    return list(found.items())


def write_page(
    results: Results,
    pictures: dict[str, dict[str, Path]],
    folder: Path,
    grids: Path | None = None,
) -> None:
    """Write the page into a profile's folder, where ``theory.png`` and ``figure1.png`` lie.

    Parameters
    ----------
    pictures : by experiment that was run, the paths of its ``figure2``, ``curves`` and, if it has
        one, ``figure3``.
    grids : the picture of the published generators by grid of σ, if there is one.
    """
    shown, trained = [], []
    for row in results["rows"]:
        trained += [seed["run"] for seed in row["seeds"]]
        paths = pictures.get(row["experiment"], {})
        figure3 = paths.get("figure3")
        shown.append(
            row
            | {name: data_address(path) for name, path in paths.items()}
            | {"strips": read_record(figure3.with_suffix(".json"), FIGURE3) if figure3 else None}
            | {"strips_run": figure3.parent.name if figure3 else None}
        )
    audit, listed = results["audit"], deviations()
    params = read_params(results["profile"])
    spent = trainings(results["profile"])
    measured = {files.run.key: files.circumstances("evaluate") for files in run_files(params)}
    shared = presentation(params).published
    missing = [row for row in shown if row["status"] != "ok"]
    page = (
        environment("HTML")
        .get_template("index.html.j2")
        .render(
            results=results,
            rows=[row for row in shown if row["status"] == "ok"],
            missing=missing,
            without_result=_by_reason(missing),
            ours=records(tables.ours(results)),
            alternatives=records(tables.alternatives(results)),
            grids=records(tables.grids(results)),
            grids_picture=data_address(grids) if grids else None,
            seeds=records(tables.seeds(results)),
            folds=records(tables.folds(results)),
            variants=records(tables.variants(results)),
            table1=records(tables.published()),
            context=records(tables.context()),
            theory=records(tables.theory(results)),
            theory_picture=data_address(folder / "theory.png"),
            figure1_picture=data_address(folder / "figure1.png"),
            audit=records(tables.audit(results)),
            audit_curve=records(tables.audit_curve(results)),
            audit_picture=data_address(Path(audit["picture"])) if audit else None,
            published=[key for key in shared if key in trained],
            hyperparameters=records(hyperparameters(results)),
            lengths=records(tables.lengths(results)),
            machines=_machines(spent),
            unstated=[item["topic"] for item in listed if "not stated" in item["text"]],
            versions=_versions(spent),
            spent=spent,
            measured=measured,
            trained=trained,
            raised=tables.raised(results),
            choice_of_epoch=tables.choice_of_epoch(results),
            deviations=listed,
            bibliography=bibliography(),
            rule=RULE,
        )
    )
    write_text(folder / "index.html", page)


def summary(results: Results) -> str:
    """Return ``summary.md``, in the sections that reproducibility reports have."""
    template = environment("Markdown").get_template("summary.md.j2")
    return template.render(
        results=results,
        spent=trainings(results["profile"]),
        table=tables.markdown(tables.ours(results)),
        rule=tables.rule(),
        raised=tables.raised(results),
        alternatives=tables.markdown(tables.alternatives(results)),
    )
