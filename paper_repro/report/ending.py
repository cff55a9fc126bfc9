"""What a repro ends with: its numbers beside the release's, and whether they agree."""

from paper_repro.report.formatting import number
from paper_repro.report.release import compared
from paper_repro.report.results import AgainstRelease, Results, read_results, results_path

AGREE = ("agrees", "within the spread", "same")
DIFFER = ("differs", "outside the spread")
LINES = 8  # of experiments; with a head and a last line that is ten


def table(results: Results) -> list[str]:
    """Return the ending of a profile as lines; those that call for a look come first."""
    lines = {line.name: line for line in compared(results.profile, results.rows)}
    rows, found = [], dict[str, AgainstRelease]()
    for row in results.rows:
        name = row.seeds[0].run if len(row.seeds) == 1 else row.experiment
        line = lines.get(name)
        if line and line.kind != "no counterpart":
            found[row.experiment] = line
        if row.listed:
            released, kind = (line.released, line.kind) if line else (None, row.status)
            rows.append((row.experiment, number(row.mean), number(released), kind))
    order = (*DIFFER, "undecided", "another number", "no counterpart", "not run", *AGREE)
    rows.sort(key=lambda row: order.index(row[3]) if row[3] in order else -1)
    shown = [("experiment", "nats", "release", ""), *rows[:LINES]]
    width = max(len(name) for name, *_ in shown)
    text = [
        f"{name:{width}}{ours:>10}{released:>10}  {kind}".rstrip()
        for name, ours, released, kind in shown
    ]
    more = f" ({len(rows) - LINES} more are in the report)" if len(rows) > LINES else ""
    if not found:
        return [*text, f"The release has no number of these data and recipes{more}."]
    agreeing = [line for line in found.values() if line.kind in AGREE]
    differing = [name for name, line in found.items() if line.kind in DIFFER]
    if len(agreeing) == len(found):
        exact = sum(line.difference == 0 for line in agreeing)
        said = f"All {len(found)} numbers agree with the release, {exact} to the last digit"
    else:
        said = f"{len(agreeing)} of {len(found)} numbers agree with the release"
        said += f"; they differ for {', '.join(differing)}" if differing else ""
    return [*text, f"{said}{more}."]


def ending(profile: str) -> None:
    """Print a profile's numbers beside the release's (`UserError` as `read_results`)."""
    print("\n".join(table(read_results(profile))))
    print(f"The report: {results_path(profile).with_name('index.html')}")
