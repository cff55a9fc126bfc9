"""What ``make bench`` measured, as tables and a page; every number from its JSON."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from paper_repro.core.errors import UserError
from paper_repro.core.records import read_record
from paper_repro.report import tables
from paper_repro.report.content import content
from paper_repro.report.escaping import Markdown
from paper_repro.report.templating import text, write_page

FOLDER = Path("reports/benchmarks")
PARTS = ("summary", "update", "parzen", "many_samples", "sampling", "throughput", "experiments")
LABELS = content("texts/benchmarks.yaml")
PART = TypeAdapter(dict[str, Any])


def _spread(spread: dict[str, Any], digits: int = 2, *, size: float = 1, unit: str = "") -> str:
    """Return a median with its quartiles, in a unit of that size."""
    values = (spread["median"], *spread["quartiles"])
    median, low, high = (f"{value / size:.{digits}f}" for value in values)
    return f"{median}{unit} ({low} – {high})"


def _seconds(spread: dict[str, Any]) -> str:
    short = spread["median"] < 1
    return _spread(spread, size=1e-3, unit=" ms") if short else _spread(spread, unit=" s")


def part(name: str) -> Any:
    """Return one of the parts; None if it was not measured (`UserError` as `read_record`)."""
    path = FOLDER / f"{name}.json"
    again = "paper_repro bench --gpu" if name == "gpu" else "make bench"
    return read_record(path, PART, again) if path.is_file() else None


def ways(found: dict[str, Any]) -> Markdown:
    """Return how fast MNIST's update is on a GPU, by the way to make it; `found` is part "gpu"."""
    update, limit = found["update"], found["limits"]["float32_flop_a_second"]
    timed = {name: spread["median"] for name, spread in update["seconds"].items()}
    if "compiled" in found:
        timed["compiled"] = found["compiled"]["seconds"]["plain"]["median"]
    return tables.markdown(
        {
            "Update of MNIST": label,
            "A second": f"{1 / timed[name]:,.0f}",
            "Of the float32 limit": f"{update['gflop'] * 1e9 / timed[name] / limit:.2f}",
            "Recorded is faster": f"{timed[name] / timed['recorded']:.2f} times",
        }
        for name, label in LABELS["gpu"].items()
        if name in timed
    )


def read() -> dict[str, Any] | None:
    """Return all parts by name; None if nothing was measured yet (`UserError` if one is absent)."""
    parts = {name: part(name) for name in PARTS}
    if parts["summary"] is None:
        return None
    for name, measured in parts.items():
        if measured is None:
            raise UserError(f"{FOLDER}/{name}.json: no such file; run `make bench`")
    return parts


def times(parts: dict[str, Any], name: str) -> Markdown:
    """Return what was timed in a part, a line each, with the quartiles."""
    timed = parts[name]
    known = timed | timed.get("products", {})
    return tables.markdown(
        {"What": label.format_map(known), "Median (quartiles)": _seconds(timed["seconds"][key])}
        for key, label in LABELS[name].items()
        if key in timed["seconds"]
    )


def ratios(parts: dict[str, Any], name: str) -> Markdown:
    """Return a part's ratios, a line each, with the quartiles over its rounds."""
    return tables.markdown(
        {"Ratio": LABELS["ratios"][key], "Median (quartiles)": _spread(spread)}
        for key, spread in parts[name]["ratios"].items()
    )


def sampling_seconds() -> dict[str, dict[str, float]]:
    """Return the median seconds of a step of sampling, by experiment and number of chains."""
    timed = (part("sampling") or {}).get("seconds_a_step", {})
    return {
        experiment: {chains: spread["median"] for chains, spread in by_chains.items()}
        for experiment, by_chains in timed.items()
    }


def costs() -> dict[str, dict[str, Any]]:
    """Return what each experiment's training costs by the time of an update, as far as timed."""
    return {row["experiment"]: row for row in (part("experiments") or {}).get("rows", [])}


def benchmarks_page() -> None:
    """Write the page beside the numbers (`UserError` if there are none)."""
    parts = read()
    if parts is None:
        raise UserError(f"{FOLDER}: nothing measured yet; run `make bench`")
    errors = parts["parzen"]["largest_error_nats"]
    on_gpu = part("gpu")
    shown = text(
        "benchmarks.md.j2",
        parts=parts,
        gpu=on_gpu,
        ways=ways(on_gpu) if on_gpu and {"update", "limits"} <= on_gpu.keys() else None,
        machine=parts["summary"]["provenance"],
        updates=times(parts, "update"),
        update_ratios=ratios(parts, "update"),
        parzen=times(parts, "parzen"),
        parzen_ratios=ratios(parts, "parzen"),
        seconds=_seconds,
        ratio=_spread,
        errors=", ".join(f"{name} {error:.1e}" for name, error in errors.items()),
        gib=f"{parts['many_samples']['peak_memory_bytes'] / 2**30:.2f}",
    )
    write_page(shown, FOLDER)
