"""The README's one generated part: the result, the pictures and what each experiment costs."""

import difflib
from pathlib import Path

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_text, write_text
from paper_repro.core.params import read_params
from paper_repro.report import benchmarks, tables
from paper_repro.report.release import read_release
from paper_repro.report.report import values
from paper_repro.report.results import read_listed_results
from paper_repro.report.templating import text

README = Path("README.md")
BEGIN, END = "<!-- results: filled by `make readme` -->", "<!-- end of results -->"


def filled(old: str) -> str:
    """Return the README with the marked part made anew (`UserError` if a marker is missing)."""
    before, found, rest = old.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise UserError(f"{README}: the markers {BEGIN} and {END} are missing; restore them")
    results, measured = read_listed_results("paper"), benchmarks.read()
    mnist, seeds = results.row("mnist"), read_params().group("seeds")
    shown = values(results, read_release("paper"), {})
    reference = shown["audit_rows"].get("training images")
    shown |= {
        "first": mnist.seeds[0].run if mnist and mnist.seeds else None,
        "machine": measured["summary"]["provenance"]["device"] if measured else "not measured",
        "listed": sum(map(len, seeds.values())),
        "seconds": sum(
            len(seeds.get(row.experiment, []))
            * tables.run_seconds(row, shown["costs"][row.experiment])
            for row in results.rows
            if row.experiment in shown["costs"]
        ),
        "seeds_listed": ", ".join(f"{name} {len(found)}" for name, found in seeds.items() if found),
        "unlisted": [name for name, found in seeds.items() if not found],
        "mnist_seeds": seeds.get("mnist", []),
        "training_images": reference["test_mean"] if reference else None,
        "rule": "reports/paper/README.md#the-rule-for-verdicts",
    }
    return f"{before}{BEGIN}\n\n{text('readme.md.j2', **shown)}\n{END}{after}"


def readme(*, check: bool = False) -> None:
    """Fill the README's numbers; with `check` a `UserError` says if they are not current."""
    old = read_text(README)
    new = filled(old)
    if check and old != new:
        lines = difflib.ndiff(old.splitlines(), new.splitlines())
        first = next((line for line in lines if line[0] in "+-"), "its line endings")
        raise UserError(f"{README}: not current ({first[:100]}…); run `make readme`")
    if not check:
        write_text(README, new)
