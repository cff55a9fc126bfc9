"""The templates' environment."""

from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from paper_repro.core.runs import repro
from paper_repro.report import escaping, tables
from paper_repro.report import formatting as nats


def environment(form: Literal["HTML", "Markdown", "text"]) -> Environment:
    """Return the templates' environment: an unknown name is an error, never an empty string.

    Parameters
    ----------
    form : what the templates are written in; all that is put into them shows as itself there.
    """
    templates = Environment(
        loader=PackageLoader("paper_repro.report"),
        autoescape=form == "HTML",
        finalize=escaping.markdown if form == "Markdown" else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["nats"] = nats.number
    templates.filters["signed"] = nats.signed
    templates.filters["commit"] = nats.commit
    templates.filters["code"] = escaping.code
    templates.filters["duration"] = tables.duration
    templates.globals["repro"] = repro
    return templates
