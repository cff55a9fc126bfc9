"""What the texts need for their tables; every number comes from ``results.json`` or another record.

Most tables stand in the texts, a line a column. Here are those whose columns depend on the results.
"""

import json
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from paper_repro.core.titles import title
from paper_repro.evaluation.trained_run import WalkChoice
from paper_repro.report import escaping
from paper_repro.report.content import content
from paper_repro.report.escaping import Markdown, code
from paper_repro.report.formatting import duration, number, printed, signed
from paper_repro.report.published import ADVERSARIAL, PAPER, TABLE1
from paper_repro.report.results import Mixes, ReleasedRun, Results, Row, Seed

MODELS = {model.experiment: model.name for model in TABLE1}
CHOSEN = {"best": "best on validation", "last": "last"}


def title_of(experiment: str) -> str:
    """Return an experiment's title; of one of the user's own, its name."""
    found = content("texts/experiments.yaml").get(experiment)
    return str(found["title"]) if found else experiment


def model_of(results: Results, experiment: str) -> str:
    """Return the name in Table 1 of the model that an experiment trains; of others, the title.

    With the extent of its training if that stopped short.
    """
    name, row = MODELS.get(experiment) or title_of(experiment), results.row(experiment)
    return f"{name} ({extent(row)})" if row and row.length else name


def markdown(rows: Iterable[Mapping[str, object]]) -> Markdown:
    """Return a table in Markdown, a row a mapping by column; nothing of an empty one."""
    listed = list(rows)
    if not listed:
        return Markdown()
    lines: list[Iterable[object]] = [listed[0], ["---"] * len(listed[0])]
    lines += [row.values() for row in listed]
    cells = ([escaping.markdown(cell).replace("|", "\\|") for cell in line] for line in lines)
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in cells))


def over_runs(mean: float | None, sd: float | None, runs: int, error: float) -> str:
    """Return a mean over runs as shown, with their standard deviation; of one run, with its ±."""
    if runs == 1:
        return f"{number(mean, error)} (1 run)"
    return f"{number(mean)} ({runs} runs, SD {number(sd)})"


def ours(row: Row) -> str:
    """Return an experiment's number as shown: the error of one run, or the spread over several."""
    if not row.seeds:
        return row.status
    if row.chain_sd is not None:
        runs = len(row.counted)
        between = f"; SD over {runs} runs {number(row.seed_sd)}" if runs > 1 else ""
        return f"{number(row.mean)} (10 chains, SD {number(row.chain_sd)}{between})"
    return over_runs(row.mean, row.seed_sd, len(row.seeds), row.seeds[0].test_se)


def thinned(row: Row) -> str:
    """Return a Markov chain's number by draws that lie apart, as `ours`."""
    first = row.seeds[0].thinned if row.seeds else None
    if first is None:
        return "–"
    shown = over_runs(row.thinned_mean, row.thinned_sd, len(row.seeds), first.test_se)
    return f"{shown}, near its start" if row.near_start else shown


def both(row: Row) -> str:
    """Return an experiment's number and, of a Markov chain, the one by draws that lie apart."""
    return ours(row) if row.thinned_mean is None else f"{ours(row)}; thinned {thinned(row)}"


def extent(row: Row) -> str:
    """Return how long the runs were trained, of how long if they stopped short."""
    epochs = row.seeds[0].epochs
    if row.length:
        return f"{epochs:,} of {row.length:,} epochs"
    return f"{epochs:,} epochs" if epochs > 1 else "1 epoch"


def status(row: Row) -> str:
    """Return the verdict in a word or two, with the distance from the paper or a lack of epochs."""
    parts: list[str] = [row.verdict.kind]
    if row.verdict.distance is not None:
        parts.append(signed(row.verdict.distance))
    if row.opposite:
        parts.append("depends on the grid of σ")
    if row.length:
        parts.append(extent(row))
    return ", ".join(parts)


def table1(results: Results) -> Markdown:
    """Return the paper's Table 1 with our numbers, and the release's where this is another."""
    before = {line.name: line.released for line in results.against_release}
    released = {
        row.experiment: before.get(row.experiment, before.get(row.seeds[0].run))
        for row in results.rows
        if row.seeds
    }
    lines, whole = [], any(row.comparable for row in results.rows)
    for dataset in PAPER:
        for model in TABLE1:
            own = model is ADVERSARIAL
            name = dataset if own else model.experiment
            row = results.row(name) if own or dataset == "mnist" else None
            if row is None and not whole:
                continue
            line = {
                "Model": model.name,
                "Data": row.data if row else title(dataset),
                "Paper": printed(getattr(model, dataset)),
                "Release": number(released.get(name)) if row else "–",
                "Ours": ours(row) if row else "–",
                "Status": status(row) if row else "–",
            }
            lines.append(line)
            if row and row.thinned_mean is not None:
                # A release keeps the number of consecutive samples only.
                apart = {"Model": f"{model.name}, thinned", "Release": "–", "Ours": thinned(row)}
                lines.append(line | apart)
    left_out = "Status" if results.against_release else "Release"
    return markdown({k: cell for k, cell in line.items() if k != left_out} for line in lines)


def panels(results: Results, runs: Mapping[str, str]) -> Markdown:
    """Return figure 2 as the paper has it, its panels side by side.

    Parameters
    ----------
    runs : by experiment, the run that is shown.
    """
    found: dict[str, str] = {}
    for name, about in content("texts/experiments.yaml").items():
        row = results.row(name)
        if row is None or "panel" not in about:
            continue
        head = f"{about['panel']}) {about['title']}"
        head += f", {extent(row)}" if row.length else ""
        found[head] = f"{row.status}; needs {about['needs']}" if row.listed else row.status
        if name in runs:
            picture = f"runs/{runs[name]}/figure2.png"
            found[head] = Markdown(f"![Figure 2 {about['panel']}]({picture})")
    return markdown([found] if found else [])


def remark(row: Row) -> str:
    """Return the verdict with what keeps the number from being compared, or from being there."""
    parts = [status(row)]
    if row.stand_in:
        parts.append("stand-in data")
    elif row.changed and not row.comparable:
        parts.append(f"differs in {', '.join(row.changed)}")
    parts += [f"{failed.run or row.experiment}: {failed.reason}" for failed in row.failed]
    return "; ".join(parts)


def sigmas(seed: Seed) -> str:
    """Return the bandwidths chosen, each once."""
    chosen = ", ".join(f"{sigma:.4f}" for sigma in sorted(set(seed.sigma)))
    return f"{chosen}, end of grid" if seed.sigma_at_end_of_grid else chosen


def recipes(results: Results) -> Markdown:
    """Return the recipes that were run, key by key as in ``params.yaml``, by each first run."""
    made = {
        row.experiment: _keys(results.inputs[row.seeds[0].run].parameters)
        for row in results.rows
        if row.seeds
    }
    keys = dict.fromkeys(key for recipe in made.values() for key in recipe)
    return markdown(
        {"Key": code(key)} | {name: recipe.get(key, "–") for name, recipe in made.items()}
        for key in keys
    )


def _keys(values: Mapping[Any, Any], place: str = "") -> dict[str, str]:
    """Return a recipe by its dotted keys, a layer's settings in one line."""
    found: dict[str, str] = {}
    for name, value in values.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(inner, dict) and "layer" not in inner:
            found |= _keys(inner, f"{place}{name}.")
        elif inner is not None:
            found[f"{place}{name}"] = json.dumps(inner).replace('"', "").strip("{}")
    return found


def machine(run: ReleasedRun) -> str:
    """Return what a published run was trained on: of a CPU, with the threads that sum."""
    return f"{run.device}, {run.threads} threads" if run.device.startswith("CPU") else run.device


def time(found: Mixes, steps: float, chains: int = 1) -> str:
    """Return what so many steps of so many chains together take; – where no step was timed."""
    a_step = found.seconds_a_step.get(str(chains))
    if a_step is None:
        return "–"
    seconds = a_step * steps
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 1e-6:.0f} µs"


def steps(count: float) -> str:
    """Return a mean number of steps as shown."""
    return f"{count:,.0f}" if count >= 10 else f"{count:.1f}"


def walks(chosen: Mapping[str, WalkChoice]) -> Markdown:
    """Return what walks of each width score on validation images, in nats, a column a run.

    The mean over chains, and their SD; of each run the chosen one is bold.
    """
    stds = sorted({width["std"] for choice in chosen.values() for width in choice["widths"]})
    lines = {std: {"std": f"{std:g}"} | dict.fromkeys(map(code, chosen), "–") for std in stds}
    for run, choice in chosen.items():
        for width in choice["widths"]:
            means, std = width["valid_means"], width["std"]
            shown = f"{number(statistics.fmean(means))} (SD {number(statistics.stdev(means))})"
            bold = Markdown(f"**{shown}**")
            lines[std][code(run)] = bold if std == choice["std"] else shown
    return markdown(lines.values())


def data(results: Results) -> Markdown:
    """Return the data of the runs, a line each."""
    read: dict[tuple[str, str, str], list[str]] = {}
    for run, made in results.inputs.items():
        about = made.data
        kind = "official bytes, by published hash" if about["canonical"] else "unverified copy"
        kind = "stand-in" if about["stand_in"] else kind
        images = ", ".join(f"{count:,} {part}" for part, count in about["counts"].items())
        read.setdefault((about["stand_in"] or about["name"], kind, images), []).append(run)
    return markdown(
        {"Data": name, "Kind": kind, "Images": images, "Runs": code(", ".join(runs))}
        for (name, kind, images), runs in read.items()
    )


def run_seconds(row: Row, cost: Mapping[str, Any]) -> float:
    """Return what a run takes by the time of an update: one of ours or, without, by its recipe."""
    epochs = row.seeds[0].epochs if row.seeds else cost["epochs"]
    return float(cost["hours"] * 3600 * epochs / cost["epochs"])


def a_run(row: Row, cost: Mapping[str, Any]) -> str:
    """Return `run_seconds` as shown, with the length."""
    whole = extent(row) if row.seeds else f"{cost['epochs']:,} epochs"
    return f"{duration(run_seconds(row, cost))}, {whole}"


def measured_by(row: Row) -> str:
    """Return the stage that makes a row's number: of a judged run, from ten sets of samples."""
    judged = [seed.sets is not None and seed.number == seed.sets.mean for seed in row.seeds]
    return "sample_sets" if judged and all(judged) else "evaluate"


def measured_again(row: Row) -> Markdown:
    """Return the command that makes a row's number."""
    seeds = [str(seed.seed) for seed in row.seeds] or ["0"]
    listed = seeds[0] if len(seeds) == 1 else f"{{{','.join(seeds)}}}"  # as a shell takes them
    return code(f"dvc repro {measured_by(row)}@paper-{row.experiment}-{listed}")


def latex(results: Results) -> str:
    """Return ``table1.tex``: the comparison as a tabular."""
    lines = [
        {
            "Experiment": row.experiment,
            "Data": row.data,
            "Paper (nats)": printed(row.paper) if row.paper else "–",
            "Ours (nats)": both(row),
            "Status": status(row),
        }
        for row in results.rows
    ]
    escaped = pd.DataFrame(lines).map(escaping.latex)
    return "% Needs \\usepackage{booktabs}.\n" + escaped.to_latex(index=False)


def runs(results: Results) -> pd.DataFrame:
    """Return ``results.csv``: a line a run, numbers in full."""
    names = ["run", "seed", "epochs", "updates", "best_epoch", "valid_mean", "test_mean", "test_se"]
    names += ["last_test_mean", "number"]
    lines = [
        {"experiment": row.experiment, "data": row.data} | seed.model_dump(include=set(names))
        for row, seed in results.seeds
    ]
    return pd.DataFrame(lines, columns=["experiment", "data", *names])
