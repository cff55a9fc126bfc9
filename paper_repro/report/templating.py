"""The templates' environment."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from paper_repro.core.runs import repro
from paper_repro.report import formatting as nats
from paper_repro.report import tables


def environment(*, escape: bool = True) -> Environment:
    """Return the templates' environment: an unknown name is an error, never an empty string.

    Parameters
    ----------
    escape : for HTML; without it, text goes in as it is.
    """
    templates = Environment(
        loader=PackageLoader("paper_repro.report"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["nats"] = nats.number
    templates.filters["signed"] = nats.signed
    templates.filters["commit"] = nats.commit
    templates.filters["duration"] = tables.duration
    templates.globals["repro"] = repro
    return templates
