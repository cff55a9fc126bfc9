"""How numbers of nats are shown: one decimal, and a minus sign that is one; and a commit."""

from collections.abc import Sequence

from paper_repro.core.circumstances import Commit


def number(mean: float | None, error: float | None = None) -> str:
    """Return a number of nats as shown, with its ± if it has one."""
    if mean is None:
        return "–"
    text = f"{mean:.1f}".replace("-", "−")
    return text if error is None else f"{text}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.1f}"


def signed(difference: float | None) -> str:
    """Return a difference in nats as shown, with its sign."""
    return "–" if difference is None else f"{difference:+.1f}".replace("-", "−")


def interval(ends: Sequence[float] | None) -> str:
    """Return an interval of nats as shown."""
    return "–" if ends is None else f"{number(ends[0])} to {number(ends[1])}"


def commit(made: Commit) -> str:
    """Return the commit that something was made at, or what git said in place of one."""
    found = made["commit"]
    if found is None:
        return f"none, git: {made.get('git', 'nothing recorded')}"
    return found[:10] + (" + changes" if made["uncommitted_changes"] else "")
