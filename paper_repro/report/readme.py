"""The README's numbers: text between its markers, from the committed results."""

import difflib
from pathlib import Path

import pandas as pd

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_json, read_text, write_text
from paper_repro.core.records import read_record
from paper_repro.report import ablations, benchmarks, tables
from paper_repro.report.escaping import code, markdown
from paper_repro.report.page import deviations
from paper_repro.report.results import results_path
from paper_repro.report.run_files import trainings
from paper_repro.report.schema import RESULTS

README = Path("README.md")


def _results(profile: str) -> str:
    path = results_path(profile)
    if not path.is_file():
        return f"No run of the {profile} profile is committed yet ({path})."
    results = read_record(path, RESULTS)
    parts: list[str] = [tables.markdown(tables.ours(results))]
    if others := tables.markdown(tables.alternatives(results)):
        parts += ["By other grids of σ:", others]
    if found := tables.markdown(tables.grids(results)):
        parts += ["Published generators by grid of σ, means over sets of samples (nats):", found]
    if any(row["seeds"] for row in results["rows"]):
        parts.append(tables.markdown(tables.seeds(results)))
    machines, spent = [], trainings(results["profile"])
    for row in results["rows"]:
        for seed in row["seeds"]:
            training = spent.get(seed["run"])
            if training is None:
                machines.append(f"- {code(seed['run'])}: time and machine not recorded.")
                continue
            last = training["starts"][-1]
            count = sum(1 for start in training["starts"] if start["seconds"])
            machines.append(
                f"- {code(seed['run'])}: {tables.duration(training['seconds'])} on "
                f"{markdown(last['device'])} ({last['threads']} threads), "
                f"torch {markdown(last['versions']['torch'])}; "
                f"{count} start{'s' if count > 1 else ''}."
            )
    return "\n\n".join([*parts, "\n".join(machines)])


def _resources() -> str:
    committed = [path for path in map(results_path, ("paper", "stand-in")) if path.is_file()]
    found = [tables.resources(read_record(path, RESULTS)) for path in committed]
    return tables.markdown(pd.concat([pd.DataFrame(), *found])) or "No run is committed yet."


def _benchmarks() -> str:
    parts = benchmarks.read()
    if parts is None:
        return f"Nothing is measured yet; `make bench` fills {benchmarks.FOLDER}."
    machine = parts["summary"]["provenance"]
    found = [benchmarks.ratios(parts, name) for name in ("update", "parzen")]
    return "\n\n".join(
        [
            f"On {markdown(machine['device'])}, {machine['threads']} threads, torch "
            f"{markdown(machine['versions']['torch'])}:",
            tables.markdown(benchmarks.experiments(parts)),
            tables.markdown(pd.concat(found)),
        ]
    )


def _deviations() -> str:
    lines = [
        {
            "#": number,
            "Topic": item["topic"],
            "Paper's text": item["text"],
            "Released code": item["code"],
            "Here": item["ours"],
            "Switch": "–" if item["switch"] == "none" else code(item["switch"]),
        }
        for number, item in enumerate(deviations(), 1)
    ]
    # As objects: pandas' own type for text forgets that code is Markdown already.
    return tables.markdown(pd.DataFrame(lines, dtype=object))


def _ablations() -> str:
    path = ablations.FOLDER / "ablations.json"
    if not path.is_file():
        return f"Nothing is measured yet; `dvc repro profiles/ablations/dvc.yaml` writes {path}."
    return tables.markdown(ablations.brief(read_json(path)))


def filled(text: str) -> str:
    """Return the README with every marked part made anew.

    Raises
    ------
    UserError
        If a pair of markers is missing.
    """
    for name, content in (
        ("results", _results("paper")),
        ("stand-in results", _results("stand-in")),
        ("resources", _resources()),
        ("benchmarks", _benchmarks()),
        ("deviations", _deviations()),
        ("ablations", _ablations()),
    ):
        begin, end = f"<!-- {name}: filled by `make readme` -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise UserError(f"{README}: the markers {begin} and {end} are missing; restore them")
        text = f"{before}{begin}\n\n{content}\n\n{end}{after}"
    return text


def readme(*, check: bool = False) -> None:
    """Fill the README's numbers, or with `check` only say whether they are current.

    Raises
    ------
    UserError
        If markers are missing or, with `check`, if a number is not current.
    """
    old = read_text(README)
    new = filled(old)
    if check and old != new:
        first = next(
            line
            for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
            if line[0] in "+-" and not line.startswith(("+++", "---"))
        )
        raise UserError(f"{README}: not current ({first[:100]}…); run `make readme`")
    if not check:
        write_text(README, new)
