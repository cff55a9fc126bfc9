"""How numbers are shown: nats with one decimal, a minus sign that is one, times, a commit."""

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from paper_repro.core.circumstances import Commit

if TYPE_CHECKING:  # a repro that has nothing to do should not wait for torch
    from paper_repro.report.results import Published


def number(mean: float | None, error: float | None = None) -> str:
    """Return a number of nats as shown, with its ± if it has one."""
    if mean is None:
        return "–"
    text = f"{mean:.1f}".replace("-", "−")
    return text if error is None else f"{text}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.1f}"


def printed(found: "Published") -> str:
    """Return a number of the paper as printed there."""
    return f"{found.mean:g}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{found.se:g}"


def signed(difference: float | None) -> str:
    """Return a difference in nats as shown, with its sign."""
    return "–" if difference is None else f"{difference:+.1f}".replace("-", "−")


def between(ends: Sequence[float] | None) -> str:
    """Return an interval of differences in nats as shown."""
    return "–" if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"


def duration(seconds: float | None) -> str:
    """Return a time in the unit that suits it."""
    if seconds is None:
        return "–"
    for unit, size, least in (("days", 86400, 2), ("h", 3600, 1), ("min", 60, 1)):
        if seconds >= least * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def commit(made: Commit) -> str:
    """Return the commit that something was made at, or what git said in place of one."""
    found = made["commit"]
    if found is None:
        return f"none, git: {made.get('git', 'nothing recorded')}"
    return found[:10] + (" + changes" if made["uncommitted_changes"] else "")


class _Shown(string.Formatter):
    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        return kwargs.get(key)  # of a claim that was not measured there are none

    def format_field(self, value: Any, format_spec: str) -> str:
        return "–" if value is None else str(format(value, format_spec)).replace("-", "−")


def filled(text: str, values: dict[str, Any]) -> str:
    """Return a text with numbers in its braces, as `str.format` takes them."""
    return _Shown().vformat(text, (), values)
