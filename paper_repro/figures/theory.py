"""Stage ``theory``: the checks of section 4, as numbers and a figure."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from paper_repro.core.params import read_params
from paper_repro.core.records import Closed, Sealed, write_record
from paper_repro.figures.canvas import drawing
from paper_repro.theory.checks import LOG4, SUPPORT, Checked, run_checks
from paper_repro.theory.optimal import optimal_discriminator
from paper_repro.theory.settings import Checks


class Check(Closed):
    """A statement of section 4 in numbers: it holds if `value` is within `tolerance`."""

    id: str
    value: float | None
    tolerance: float
    holds: bool


class Theory(Sealed):
    """Section 4 in numbers, with what the curves of its picture show."""

    checks: list[Check]
    family: list[dict[str, Any]]
    descent: list[float]
    settings: dict[str, Any]


THEORY = TypeAdapter(Theory)


def draw(found: Checked, path: Path) -> None:
    """Draw the trained D beside D*, C(G) against JSD, and C along proposition 2's procedure."""
    x, p_data, p_g = found.x, found.p_data, found.p_g
    with drawing(path, 9, 3.2) as figure:
        trained, identity, descent = figure.subplots(1, 3)
        shown = p_data + p_g > SUPPORT
        trained.plot(x[shown], p_data[shown], color="black", linestyle=":", label="$p_{data}$")
        trained.plot(x[shown], p_g[shown], color="green", label="$p_g$")
        best = optimal_discriminator(p_data, p_g)
        trained.plot(x[shown], best[shown], color="0.7", linewidth=4, label="$D^*$")
        trained.plot(x[shown], found.d[shown], color="blue", linestyle="--", label="D, trained")
        trained.set(xlabel="x", ylim=(0, None), title="Proposition 1: D for a fixed G")
        trained.legend()
        ends = np.array([0, math.log(2)])
        identity.plot(ends, -LOG4 + 2 * ends, color="0.6", label="−log 4 + 2·JSD")
        identity.scatter(
            [m.jsd for m in found.members],
            [m.criterion for m in found.members],
            s=10,
            zorder=2,
            label="a $p_g$",
        )
        identity.set(xlabel="JSD, nats", ylabel="C(G), nats", title="Theorem 1: C(G) and JSD")
        identity.legend()
        descent.plot(found.descent)
        descent.axhline(-LOG4, color="black", linestyle=":")
        descent.annotate(
            "−log 4",
            (0.98, -LOG4),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
        )
        descent.set(
            xlabel="step of $p_g$", ylabel="C(G), nats", title="Proposition 2: D = D* each step"
        )


def theory(profile: str) -> None:
    """Make all checks of a profile, write and draw them (`UserError` on bad settings)."""
    checks = read_params(profile).parse(Checks, "theory", "checks")
    found = run_checks(checks)
    folder = Path("reports", profile)
    draw(found, folder / "theory.png")
    write_record(
        folder / "theory.json",
        {
            "checks": [check.entry() for check in found.checks],
            "family": [member.__dict__ for member in found.members],
            "descent": found.descent,
            "settings": checks.model_dump(mode="json"),
        },
        folder / "theory.png",
    )
