"""``index.html``: one file with everything in it, readable without a network."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from paper_repro.files import write_text
from paper_repro.report import tables
from paper_repro.report.published import CONTEXT_MNIST, TABLE1_MNIST
from paper_repro.report.recipe import content


def deviations() -> list[dict[str, str]]:
    """Return where the paper's text, its code and this package differ."""
    listed: list[dict[str, str]] = content("deviations.yaml")
    return listed


def data_address(picture: Path) -> str:
    """Return a PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def _records(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {"columns": list(table.columns), "rows": table.astype(str).to_numpy().tolist()}


def _sigma_images(results: dict[str, Any]) -> str:
    found = {run["parameters"]["parzen"]["sigma_images"] for run in results["provenance"].values()}
    return " or ".join(f"{n:,}" for n in sorted(found)) or "few"


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


def write_page(results: dict[str, Any], pictures: dict[str, dict[str, Path]], path: Path) -> None:
    """Write the page.

    Parameters
    ----------
    pictures : by experiment, the paths of its ``figure2`` and ``curves``.
    """
    shown = [
        row | {name: data_address(p) for name, p in pictures[row["experiment"]].items()}
        for row in results["rows"]
    ]
    page = (
        environment()
        .get_template("index.html.j2")
        .render(
            results=results,
            rows=shown,
            ours=_records(tables.ours(results)),
            seeds=_records(tables.seeds(results)),
            table1=_records(tables.published(TABLE1_MNIST)),
            context=_records(tables.published(CONTEXT_MNIST)),
            deviations=deviations(),
            sigma_images=_sigma_images(results),
        )
    )
    write_text(path, page)
