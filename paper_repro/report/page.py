"""``index.html``: one file with everything in it, readable without a network."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from paper_repro.files import read_json, write_text
from paper_repro.report import tables
from paper_repro.report.recipe import content
from paper_repro.report.verdict import RULE


def deviations() -> list[dict[str, str]]:
    """Return where the paper's text, its code and this package differ."""
    listed: list[dict[str, str]] = content("deviations.yaml")
    return listed


def data_address(picture: Path) -> str:
    """Return a PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def records(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a table as the templates' macro `table` takes it."""
    return {"columns": list(table.columns), "rows": table.astype(str).to_numpy().tolist()}


def environment() -> Environment:
    """Return the templates' environment: an unknown name is an error, never an empty string."""
    templates = Environment(
        loader=PackageLoader("paper_repro.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["nats"] = tables.number
    templates.filters["duration"] = tables.duration
    return templates


def write_page(results: dict[str, Any], pictures: dict[str, dict[str, Path]], folder: Path) -> None:
    """Write the page into a profile's folder, where ``theory.png`` and ``figure1.png`` lie.

    Parameters
    ----------
    pictures : by experiment that was run, the paths of its ``figure2``, ``curves`` and, if it has
        one, ``figure3``.
    """
    shown = []
    for row in results["rows"]:
        paths = pictures.get(row["experiment"], {})
        figure3 = paths.get("figure3")
        shown.append(
            row
            | {name: data_address(path) for name, path in paths.items()}
            | {"strips": read_json(figure3.with_suffix(".json")) if figure3 else None}
        )
    audit = results["audit"]
    page = (
        environment()
        .get_template("index.html.j2")
        .render(
            results=results,
            rows=[row for row in shown if row["status"] == "ok"],
            missing=[row for row in shown if row["status"] != "ok"],
            ours=records(tables.ours(results)),
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
            deviations=deviations(),
            rule=RULE,
        )
    )
    write_text(folder / "index.html", page)


def summary(results: dict[str, Any]) -> str:
    """Return ``summary.md``, in the sections that reproducibility reports have."""
    template = environment().overlay(autoescape=False).get_template("summary.md.j2")
    return template.render(
        results=results, table=tables.markdown(tables.ours(results)).strip(), rule=RULE
    )
