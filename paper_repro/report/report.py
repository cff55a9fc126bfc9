"""Stage ``report@<profile>``: results, tables, figures and page from the listed runs' files."""

import html
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from paper_repro.core.files import write_json, write_text
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.diagnostics.sample_checks import SAMPLE_CHECKS
from paper_repro.diagnostics.sample_sets import AUTHORS_GRIDS, FINE_GRID, GRIDS
from paper_repro.evaluation.trained_run import WALK
from paper_repro.figures.chains import draw_mixing
from paper_repro.figures.curves import draw_curves, draw_gradients, draw_variants
from paper_repro.figures.forest import Kind, Mark, draw_forest
from paper_repro.figures.parzen_audit import draw as draw_audit
from paper_repro.figures.sample_sets import draw_grids
from paper_repro.figures.step_sizes import draw_step_sizes
from paper_repro.pipeline.presentation import ABLATIONS, presentation
from paper_repro.report import tables
from paper_repro.report.benchmarks import costs
from paper_repro.report.citation import bibliography, metadata
from paper_repro.report.claims import NUMBERS
from paper_repro.report.collect import collect
from paper_repro.report.content import content
from paper_repro.report.escaping import Markdown
from paper_repro.report.formatting import filled, number
from paper_repro.report.published import ADVERSARIAL, CONTEXT, OTHERS, PAPER, margin
from paper_repro.report.release import SAME, read_release
from paper_repro.report.results import Claim, Release, Results, Row, json_schema, results_path
from paper_repro.report.run_files import RunFiles, run_files
from paper_repro.report.step_sizes import compared, step_sizes
from paper_repro.report.templating import notes, text, write_page
from paper_repro.report.verdict import ROUNDING, SEEDS, judge

FIRST_LENGTH, WINDOW = 1500, 100  # epochs, see reports/paper/protocol.md; and those of a mean

# How a verdict shows in the ledger: its colour and sign, and the group that it belongs to.
HOLDS, FAILS, OPEN, OURS = (
    "Claims that hold",
    "Claims that do not hold",
    "Open: not decided, or not run",
    "Our own questions",
)
BADGES = {
    "holds": ("yes", "✔", HOLDS),
    "reproduced": ("yes", "✔", HOLDS),
    "does not hold": ("no", "✘", FAILS),
    "not reproduced": ("no", "✘", FAILS),
}
ANSWERS = {"holds": "yes", "does not hold": "no"}  # to a question


def _claim(claim: Claim) -> dict[str, Any]:
    """Return a claim as the texts show it: its words from claims.yaml, with the numbers in them."""
    about = content("claims.yaml")[claim.id]
    words = {
        name: filled(filled(about.get(name, ""), claim.values), NUMBERS)
        for name in ("where", "claim", "number", "measure", "rule", "note")
    }
    question = about.get("question", False)
    word = ANSWERS.get(claim.verdict, claim.verdict) if question else claim.verdict
    kind, sign, group = BADGES.get(claim.verdict, ("open", "○", OPEN))
    shown = "" if "–" in words["number"] else words["number"]  # as `filled` shows what is missing
    if all(value is None for value in claim.values.values()):
        words["note"] = ""
    if group is OPEN:
        shown = "; ".join(filter(None, (shown.rstrip("."), f"needs {about['needs']}")))
    badge = f'<span class="badge {kind}">{sign} {word}</span>'
    joint = " " if question else ": "
    line = html.escape(joint.join(filter(None, (words["claim"], shown))), quote=False)
    return words | {
        "word": word,
        "summary": Markdown(f"{badge} {line}"),
        "group": OURS if question else group,
        "file": claim.file,
        "picture": about.get("picture") if claim.values else None,
    }


def grouped(claims: Sequence[Claim]) -> dict[str, list[dict[str, Any]]]:
    """Return the ledger in its groups, those without a claim left out."""
    shown = [_claim(claim) for claim in claims]
    groups = {name: [c for c in shown if c["group"] == name] for name in (HOLDS, FAILS, OPEN, OURS)}
    return {name: group for name, group in groups.items() if group}


def _mark(
    group: str, label: str, mean: float, kind: Kind, bar: float | None = None, text: str = ""
) -> Mark:
    """Return a line of the forest plot, with a bar of that length on either side."""
    low, high = (None, None) if bar is None else (mean - bar, mean + bar)
    return Mark(group, label, mean, low, high, kind, text or number(mean, bar))


def _retrained(name: str, row: Row) -> Iterator[Mark]:
    """Return the lines of another model of Table 1, by chains one by one and by several, thinned.

    Bars are the standard deviation over chains or runs or, of a single one, the error over images.
    """
    first = row.seeds[0]
    chains = "one chain" if row.chain_sd is None else "10 chains"
    lines = [(chains, row.mean, first.test_se, row.chain_sd or row.seed_sd)]
    if first.thinned:
        thinned = "thinned, near start" if row.near_start else "thinned"
        lines.append((thinned, row.thinned_mean, first.thinned.test_se, row.thinned_sd))
    for samples, mean, se, sd in lines:
        if mean is not None:
            bar, text = (se, "") if sd is None else (sd, f"{number(mean)} (SD {number(sd)})")
            label = f"{name}, {samples}"
            yield _mark("Other models, retrained", label, mean, "retrained", bar, text)


def forest_marks(results: Results, row: Row) -> Iterator[Mark]:
    """Return the lines of the forest plot of MNIST."""
    paper, ours = ADVERSARIAL.mnist, f"Ours, {row.seeds[0].epochs:,} epochs"
    yield _mark("The paper", ADVERSARIAL.name, paper.mean, "paper", paper.se)
    if row.mean is not None and row.verdict.interval:
        low, high = (paper.mean + end for end in row.verdict.interval)
        yield Mark(ours, "mean over seeds", row.mean, low, high, "ours", number(row.mean))
    for seed in row.seeds:
        yield _mark(ours, f"seed {seed.seed}", seed.number, "seed", seed.test_se)
    for grid, means in row.by_grid.items():
        label = GRIDS[grid].short
        yield _mark("Mean over seeds, by grid of σ", label, fmean(means), "grid")
    for other in results.rows:
        if other.other_model and other.mean is not None and other.comparable:
            cut = f", {other.seeds[0].epochs:,} epochs" if other.length else ""
            yield from _retrained(f"{other.other_model}{cut}", other)
    for model in OTHERS.values():
        cited = model.mnist
        yield _mark("Table 1, as printed", model.name, cited.mean, "cited", cited.se)
    for one in results.audit["rows"] if results.audit else []:
        if one["samples"] == "training images":
            label = one["samples"]
            yield _mark("Not a model", label, one["test_mean"], "reference", one["test_se"])


def drawings(results: Results, listed: dict[str, RunFiles]) -> dict[str, Callable[[Path], None]]:
    """Return what the report draws, by the picture's name."""
    rows = [row for row in results.rows if row.seeds]
    files = {row.experiment: [listed[seed.run] for seed in row.seeds] for row in rows}
    mnist, found = results.row("mnist"), dict[str, Callable[[Path], None]]()
    apart = presentation(read_params(results.profile)).step_sizes
    if results.profile == ABLATIONS:
        curves = [
            run.table("validation.csv").assign(experiment=tables.title_of(name))
            for name, runs in files.items()
            for run in runs
            if name not in apart
        ]
        found["ablations"] = partial(draw_variants, pd.concat(curves) if curves else None)
        if studied := [run for name in apart for run in files.get(name, [])]:
            both = step_sizes(studied, "validation.csv"), step_sizes(studied, "curve.csv")
            found["step_sizes"] = partial(draw_step_sizes, *both)
    else:
        found |= {row.experiment: _curves(row, files[row.experiment], results) for row in rows}
    if mnist and mnist.comparable:
        marks, paper = list(forest_marks(results, mnist)), PAPER["mnist"].mean
        found["forest"] = partial(draw_forest, marks, number=paper, margin=margin("mnist"))
    norms = {
        f"seed {run.run.seed}": curve
        for run in files.get("mnist", [])
        if len(curve := run.table("curve.csv").dropna(subset=["g_grad_norm_minimax"]))
    }
    if norms and results.claims:
        found["gradients"] = partial(draw_gradients, norms)
    if results.mixing:
        mixing = {tables.model_of(results, m.experiment): m.measured for m in results.mixing}
        found["mixing"] = partial(draw_mixing, mixing)
    means = [
        {"run": seed.run, "grid": GRIDS[grid].short, "nats": by["first_images"]}
        for seed in (mnist.seeds if mnist else [])
        if seed.sets
        for grid, by in seed.sets.grids.items()
    ]
    if mnist and means:
        points, theirs = pd.DataFrame(means), _comparable_mean(mnist)
        found["sigma_grids"] = partial(draw_grids, points, number=theirs, margin=mnist.margin)
    if results.audit:
        found["parzen_audit"] = partial(draw_audit, results.audit)
    return found


def _comparable_mean(row: Row) -> float | None:
    """Return the paper's number for an experiment, if ours may stand beside it."""
    return row.paper.mean if row.comparable and row.paper else None


def _curves(row: Row, files: list[RunFiles], results: Results) -> Callable[[Path], None]:
    title = f"{row.experiment}, {results.profile} profile"
    return partial(
        draw_curves,
        {f"seed {f.run.seed}": (f.table("curve.csv"), f.table("validation.csv")) for f in files},
        title=f"{title}: stand-in data, {row.stand_in}" if row.stand_in else title,
        paper_mean=_comparable_mean(row),
    )


def draw(results: Results, listed: dict[str, RunFiles], folder: Path) -> dict[str, Any]:
    """Draw all, remove what no experiment has any longer, and return what the texts name."""
    rows = [row for row in results.rows if row.seeds]
    samples = {row.experiment: run for row in rows if (run := _first(row, "figure2", listed))}
    about = content("texts/experiments.yaml")
    panels = {name: run for name, run in samples.items() if "panel" in about.get(name, {})}
    shown = {
        "samples": samples,
        "figure2": panels,
        "others": {name: run for name, run in samples.items() if name not in panels},
        "checked": {
            name: listed[run].measured("sample_checks.json", SAMPLE_CHECKS)
            for name, run in panels.items()
            if (listed[run].run.folder / "sheet.png").is_file()
        },
        "films": {
            run for run in panels.values() if (listed[run].run.folder / "film.png").is_file()
        },
        "figure3": next(filter(None, (_first(row, "figure3", listed) for row in rows)), None),
        "curves": [row.experiment for row in rows],
        "mixing": {tables.model_of(results, m.experiment): m.run for m in results.mixing},
    }
    drawn = drawings(results, listed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in drawn.items():
        picture(folder / f"{name}.png")
    kept = {folder / f"{name}{form}" for name in drawn for form in (".png", ".pdf")}
    for stale in set(folder.iterdir()) - kept:
        stale.unlink()
    return shown | {name: name in drawn for name in ("forest", "sigma_grids")}


def _first(
    row: Row, name: Literal["figure2", "figure3"], listed: dict[str, RunFiles]
) -> str | None:
    """Return the first run of an experiment that has a picture, once that is checked."""
    for seed in row.seeds:
        if listed[seed.run].has(f"{name}.json"):
            listed[seed.run].picture(name)
            return seed.run
    return None


def values(results: Results, release: Release | None, pictures: dict[str, Any]) -> dict[str, Any]:
    """Return what the texts put in: numbers and names, no sentences."""
    claims, deviations = grouped(results.claims), content("deviations.yaml")
    mnist, audit = results.row("mnist"), results.audit
    chains = {row.experiment: s.sets for row, s in results.seeds if row.other_model and s.sets}
    means = {grid: fmean(found) for grid, found in (mnist.by_grid if mnist else {}).items()}
    measures = [made.parameters["parzen"] for made in results.inputs.values()]
    released = release.runs if release else []
    return {
        "results": results,
        "experiments": content("texts/experiments.yaml"),
        "release": release,
        "released": {run.run: run for run in released},
        "devices": list(dict.fromkeys(map(tables.machine, released))),
        "pictures": pictures,
        "claims": {name: group for name, group in claims.items() if name != OURS},
        "own_questions": claims.get(OURS, []),
        "costs": costs() if results.profile == "paper" else {},  # of its recipes alone
        "comparable": any(row.comparable for row in results.rows),
        "same": SAME,
        "context": CONTEXT,
        "deviations": deviations,
        "unstated": [one["topic"] for one in deviations if "not stated" in one["text"]],
        "bibliography": Markdown(textwrap.indent(bibliography(), "    ")),
        # The rule for verdicts, and where it is seen from the page.
        "exploratory": any(row.verdict.kind == "exploration" for row in results.own),
        "margins": {name: f"{margin(name):g}" for name in PAPER},
        "rounding": ROUNDING,
        "seeds": SEEDS,
        "rule": "#the-rule-for-verdicts",
        "shorter": _at_first_length(mnist, results.profile),
        # Other grids of σ, and MNIST's mean by the authors'.
        "sets": any(seed.sets for _, seed in results.seeds),
        "grids": GRIDS,
        "by_grids": [means[grid] for grid in AUTHORS_GRIDS if means],
        "by_fine_grid": means.get(FINE_GRID),
        "numbers": [seed.number for seed in mnist.seeds] if mnist else [],
        # How the other models of Table 1 were sampled, and how far their chains differ.
        "chains": chains,
        "retrained": any(row.other_model and row.mean for row in results.rows if row.comparable),
        "mixed": results.mixing[0].measured["settings"] if results.mixing else None,
        "thinned": next((m["thinned"] for m in measures if m.get("thinned")), None),
        "audit_rows": {row["samples"]: row for row in audit["rows"]} if audit else {},
        "draws": [one["test_mean"] for one in audit["draws"]] if audit else [],
    }


def _at_first_length(mnist: Row | None, profile: str) -> dict[str, Any] | None:
    """Return what the verdict on MNIST would be at our first length, if its runs are longer.

    Each number less what its run gained on validation images, from the last `WINDOW` epochs up to
    that length to the last ones of all.
    """
    if not mnist or not mnist.paper or not mnist.verdict.answer:
        return None
    files, gains = {one.run.key: one for one in run_files(read_params(profile))}, []
    for seed in mnist.seeds:
        curve = files[seed.run].table("validation.csv").set_index("epoch").valid_nats
        windows = [curve.loc[end - WINDOW + 1 : end] for end in (FIRST_LENGTH, seed.epochs)]
        if seed.epochs < FIRST_LENGTH + WINDOW or any(window.empty for window in windows):
            return None
        gains.append(windows[1].mean() - windows[0].mean())
    numbers = [seed.number - gain for seed, gain in zip(mnist.seeds, gains, strict=True)]
    verdict = judge(numbers, mnist.paper.mean, margin("mnist"), diverged=len(mnist.failed))
    return {"epochs": FIRST_LENGTH, "gained": fmean(gains), "verdict": verdict}


def report(profile: str) -> None:
    """Write a profile's report (`UserError` if a run's files are absent or damaged)."""
    params = read_params(profile)
    listed = {files.run.key: files for files in run_files(params)}
    results, folder = collect(params, list(listed.values())), results_path(profile).parent
    write_record(results_path(profile), results.model_dump(mode="json"))
    drawn = draw(results, listed, folder / "curves")
    walks = {
        key: files.measured("walk.json", WALK)
        for key, files in listed.items()
        if files.trained and files.has("walk.json")
    }
    shown = values(results, read_release(profile), drawn)
    kept = presentation(params)
    shown |= {"notes": notes(folder), "walks": walks, "explore": bool(kept.published)}
    if profile == ABLATIONS:
        apart = [f for f in listed.values() if f.trained and f.run.experiment in kept.step_sizes]
        shown |= {"step_sizes": compared(step_sizes(apart, "validation.csv")) if apart else []}
        write_page(text("ablations.md.j2", **shown), folder)
    else:
        write_page(text("report.md.j2", **shown), folder)
        write_json(folder / "results.schema.json", json_schema())
        write_text(folder / "results.csv", tables.runs(results).to_csv(index=False))
        write_text(folder / "table1.tex", tables.latex(results))
        write_text(folder / "summary.md", text("summary.md.j2", **shown))
        write_text(folder / "bibliography.bib", bibliography())
        write_text(folder / "metadata.yaml", metadata(results))
    print(f"report: {folder / 'index.html'}")
    for row in results.rows:
        told = [f"{row.mean:.1f} nats"] if row.mean is not None else []
        told += [row.verdict.kind, *(x for f in row.failed[:1] for x in (f.reason, f.todo))]
        print(f"report: {row.experiment}: {'; '.join(told)}")  # in any locale
