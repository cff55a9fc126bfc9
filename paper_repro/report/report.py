"""Stage ``report@<profile>``: results, tables, figures and page from the listed runs' files."""

import html
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from paper_repro.core.files import write_json, write_text
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.diagnostics.sample_checks import SAMPLE_CHECKS
from paper_repro.diagnostics.sample_sets import AUTHORS_GRIDS, FINE_GRID, GSN_GRID
from paper_repro.evaluation.trained_run import WALK
from paper_repro.figures.chains import draw_mixing
from paper_repro.figures.curves import draw_curves, draw_gradients
from paper_repro.figures.forest import Kind, Mark, draw_forest
from paper_repro.figures.parzen_audit import draw as draw_audit
from paper_repro.figures.sample_sets import draw_grids
from paper_repro.figures.variants import draw_variants
from paper_repro.pipeline.presentation import ABLATIONS, presentation
from paper_repro.report import tables
from paper_repro.report.citation import bibliography, metadata
from paper_repro.report.claims import NUMBERS
from paper_repro.report.collect import collect
from paper_repro.report.content import content
from paper_repro.report.escaping import Markdown
from paper_repro.report.formatting import filled, number
from paper_repro.report.published import ADVERSARIAL, CONTEXT, PAPER, TABLE1, margin
from paper_repro.report.release import SAME, read_release
from paper_repro.report.results import Claim, Release, Results, Row, json_schema, results_path
from paper_repro.report.run_files import RunFiles, run_files
from paper_repro.report.templating import notes, text, write_page
from paper_repro.report.verdict import ROUNDING, SEEDS, explore, judge

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
    shown = words["number"]
    if all(value is None for value in claim.values.values()):
        shown = words["note"] = ""
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


def grouped(claims: Sequence[Claim]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the ledger in its groups, those without a claim left out."""
    shown = [_claim(claim) for claim in claims]
    groups = (
        (name, [c for c in shown if c["group"] == name]) for name in (HOLDS, FAILS, OPEN, OURS)
    )
    return [(name, found) for name, found in groups if found]


def _retrained(name: str, row: Row, mark: Callable[..., Mark]) -> list[Mark]:
    """Return the lines of another model of Table 1, by chains one by one and by several, thinned.

    Bars are the standard deviation over chains or runs or, of a single one, the error over images.
    """
    first = row.seeds[0]
    chains = "one chain" if row.chain_sd is None else "10 chains"
    lines = [(chains, row.mean, first.test_se, row.chain_sd or row.seed_sd)]
    if first.thinned:
        thinned = "thinned, near start" if row.near_start else "thinned"
        lines.append((thinned, row.thinned_mean, first.thinned.test_se, row.thinned_sd))
    marks = []
    for samples, mean, se, sd in lines:
        if mean is not None:
            label, bar = f"{name}, {samples}", se if sd is None else sd
            one = mark("Other models, retrained", label, mean, "retrained", bar)
            marks.append(
                one if sd is None else replace(one, text=f"{number(mean)} (SD {number(sd)})")
            )
    return marks


def forest_marks(results: Results, row: Row) -> list[Mark]:
    """Return the lines of the forest plot of MNIST."""

    def mark(group: str, label: str, mean: float, kind: Kind, se: float | None = None) -> Mark:
        low, high = (None, None) if se is None else (mean - se, mean + se)
        return Mark(group, label, mean, low, high, kind, number(mean, se))

    paper, ours = ADVERSARIAL, f"Ours, {row.seeds[0].epochs:,} epochs"
    marks = [mark("The paper", paper.name, paper.mnist.mean, "paper", paper.mnist.se)]
    if row.mean is not None and row.verdict.interval:
        low, high = (paper.mnist.mean + end for end in row.verdict.interval)
        marks.append(Mark(ours, "mean over seeds", row.mean, low, high, "ours", number(row.mean)))
    marks += [mark(ours, f"seed {s.seed}", s.number, "seed", s.test_se) for s in row.seeds]
    marks += [
        mark("Mean over seeds, by grid of σ", tables.GRIDS[grid]["short"], fmean(means), "grid")
        for grid, means in row.by_grid.items()
    ]
    for other in results.rows:
        if other.other_model and other.mean is not None and other.comparable:
            cut = f", {other.seeds[0].epochs:,} epochs" if other.length else ""
            marks += _retrained(f"{other.other_model}{cut}", other, mark)
    marks += [
        mark("Table 1, as printed", m.name, m.mnist.mean, "cited", m.mnist.se)
        for m in TABLE1
        if m is not paper
    ]
    return marks + [
        mark("Not a model", one["samples"], one["test_mean"], "reference", one["test_se"])
        for one in (results.audit["rows"] if results.audit else [])
        if one["samples"] == "training images"
    ]


class Pictures:
    """What the report draws, and which of the runs' pictures it shows; places from its folder."""

    def __init__(self, results: Results, listed: dict[str, RunFiles], folder: Path):
        self.results, self.listed, self.folder = results, listed, folder / "curves"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.drawn: set[Path] = set()

    def path(self, name: str) -> Path:
        """Return where a picture is to be drawn, and remember it with the vector file beside it."""
        path = self.folder / f"{name}.png"
        self.drawn |= {path, path.with_suffix(".pdf")}
        return path

    def draw(self) -> dict[str, Any]:
        """Draw all, remove what no experiment has any longer, and return what the texts name."""
        rows = [row for row in self.results.rows if row.seeds]
        known = content("texts/experiments.yaml")
        samples = {
            row.experiment: run for row in rows if (run := self._first(row, "figure2")) is not None
        }
        panels = {name: run for name, run in samples.items() if known.get(name, {}).get("panel")}
        shown: dict[str, Any] = {
            "samples": samples,
            "figure2": panels,
            "others": {name: run for name, run in samples.items() if name not in panels},
            "checked": {
                name: self.listed[run].measured("sample_checks.json", SAMPLE_CHECKS)
                for name, run in panels.items()
                if self._has(run, "sheet.png")
            },
            "films": {run for run in panels.values() if self._has(run, "film.png")},
            "mixing": {
                tables.model_of(self.results, m.experiment): m.run for m in self.results.mixing
            },
            "figure3": next(filter(None, (self._first(row, "figure3") for row in rows)), None),
            "forest": False,
            "curves": [],
        }
        if self.results.profile == ABLATIONS:
            self._ablations(rows)
        else:
            shown["curves"] = [self._curves(row) for row in rows]
        mnist = self.results.row("mnist")
        if mnist and mnist.comparable:
            marks, path = forest_marks(self.results, mnist), self.path("forest")
            draw_forest(marks, path, number=PAPER["mnist"].mean, margin=margin("mnist"))
            shown["forest"] = True
        self._gradients(mnist)
        if self.results.mixing:
            draw_mixing(
                {
                    tables.model_of(self.results, m.experiment): m.measured
                    for m in self.results.mixing
                },
                self.path("mixing"),
            )
        self._grids(rows)
        if self.results.audit:
            draw_audit(self.results.audit, self.path("parzen_audit"))
        for stale in set(self.folder.iterdir()) - self.drawn:
            stale.unlink()
        return shown

    def _has(self, run: str, picture: str) -> bool:
        return (self.listed[run].run.folder / picture).is_file()

    def _files(self, row: Row) -> list[RunFiles]:
        return [self.listed[seed.run] for seed in row.seeds]

    def _first(self, row: Row, name: Any) -> str | None:
        """Return the first run of an experiment that has a picture, once that is checked."""
        for files in self._files(row):
            if files.has(f"{name}.json"):
                files.picture(name)
                return files.run.key
        return None

    def _curves(self, row: Row) -> str:
        title = f"{row.experiment}, {self.results.profile} profile"
        tables_of = {
            f"seed {files.run.seed}": (files.table("curve.csv"), files.table("validation.csv"))
            for files in self._files(row)
        }
        mean = row.paper.mean if row.comparable and row.paper else None
        draw_curves(
            tables_of,
            self.path(row.experiment),
            title=f"{title}: stand-in data, {row.stand_in}" if row.stand_in else title,
            paper_mean=mean,
        )
        return f"curves/{row.experiment}.png"

    def _gradients(self, row: Row | None) -> None:
        """Draw the norms of G's gradient under both losses, of the runs that measured them."""
        curves = {
            f"seed {files.run.seed}": files.table("curve.csv").dropna(
                subset=["g_grad_norm_minimax"]
            )
            for files in (self._files(row) if row else [])
        }
        measured = {label: curve for label, curve in curves.items() if len(curve)}
        if measured and self.results.claims:
            draw_gradients(measured, self.path("gradients"))

    def _grids(self, rows: list[Row]) -> None:
        for row in rows:
            if row.other_model:
                continue
            means = {
                seed.run: [
                    (tables.GRIDS[grid]["short"], by["first_images"])
                    for grid, by in seed.sets.grids.items()
                ]
                for seed in row.seeds
                if seed.sets
            }
            if means:
                paper = row.paper.mean if row.comparable and row.paper else None
                draw_grids(means, self.path("sigma_grids"), number=paper, margin=row.margin)

    def _ablations(self, rows: list[Row]) -> None:
        curves = [
            files.table("validation.csv").assign(experiment=tables.title_of(row.experiment))
            for row in rows
            for files in self._files(row)
        ]
        draw_variants(pd.concat(curves) if curves else None, self.path("ablations"))


def values(results: Results, release: Release | None, pictures: dict[str, Any]) -> dict[str, Any]:
    """Return what the texts put in: numbers and names, no sentences."""
    claims, deviations = dict(grouped(results.claims)), content("deviations.yaml")
    return {
        "results": results,
        "release": release,
        "devices": list(dict.fromkeys(map(tables.machine, release.runs if release else []))),
        "pictures": pictures,
        "claims": {name: group for name, group in claims.items() if name != OURS},
        "own_questions": claims.get(OURS, []),
        "comparable": any(row.comparable for row in results.rows),
        "missing": dict.fromkeys(
            row.dataset for row in results.rows if row.listed and row.status == "not run"
        ),
        "same": SAME,
        "context": CONTEXT,
        "deviations": deviations,
        "unstated": [one["topic"] for one in deviations if "not stated" in one["text"]],
        "bibliography": Markdown(textwrap.indent(bibliography(), "    ")),
        **_on_the_rule(results),
        **_on_length(results),
        **_on_grids(results),
        **_on_chains(results),
        **_on_the_audit(results),
    }


def _on_the_rule(results: Results) -> dict[str, Any]:
    """Return what the rule for verdicts names, and where it is seen from the page."""
    return {
        "protocol": presentation(read_params(results.profile)).protocol,
        "last": {
            row.experiment: explore([s.last_test_mean for s in row.seeds], row.paper.mean)
            for row in results.own
            if row.verdict.kind == "exploration" and row.paper
        },
        "margins": {name: f"{margin(name):g}" for name in PAPER},
        "rounding": ROUNDING,
        "seeds": SEEDS,
        "here": "",
        "rule": "#the-rule-for-verdicts",
    }


def _on_length(results: Results) -> dict[str, Any]:
    """Return what the verdict on MNIST would be at our first length, if its runs are longer.

    Each number less what its run gained on validation images, from the last `WINDOW` epochs up to
    that length to the last ones of all.
    """
    mnist, gains = results.row("mnist"), []
    if not mnist or not mnist.paper or not mnist.verdict.answer:
        return {}
    files = {one.run.key: one for one in run_files(read_params(results.profile))}
    for seed in mnist.seeds:
        curve = files[seed.run].table("validation.csv").set_index("epoch").valid_nats
        windows = [curve.loc[end - WINDOW + 1 : end] for end in (FIRST_LENGTH, seed.epochs)]
        if seed.epochs < FIRST_LENGTH + WINDOW or any(window.empty for window in windows):
            return {}
        gains.append(windows[1].mean() - windows[0].mean())
    numbers = [seed.number - gain for seed, gain in zip(mnist.seeds, gains, strict=True)]
    verdict = judge(numbers, mnist.paper.mean, margin("mnist"), diverged=len(mnist.failed))
    return {"shorter": {"epochs": FIRST_LENGTH, "gained": fmean(gains), "verdict": verdict}}


def _on_grids(results: Results) -> dict[str, Any]:
    """Return whether other grids of σ were tried, and what MNIST's mean is by the authors'."""
    mnist = results.row("mnist")
    means = {grid: fmean(found) for grid, found in (mnist.by_grid if mnist else {}).items()}
    return {
        "sets": any(seed.sets for _, seed in results.seeds),
        "by_grids": [means[grid] for grid in AUTHORS_GRIDS if means],
        "by_fine_grid": means.get(FINE_GRID),
    }


def _on_chains(results: Results) -> dict[str, Any]:
    """Return how the other models of Table 1 were sampled, and how far their chains differ."""
    chains = {row.experiment: s.sets for row, s in results.seeds if row.other_model and s.sets}
    gsn = chains.get("deep_gsn")
    measures = [made.parameters["parzen"] for made in results.inputs.values()]
    return {
        "chains": chains,
        "gsn_at_its_sigma": gsn.grids[GSN_GRID]["first_images"] if gsn else None,
        "retrained": any(row.other_model and row.mean for row in results.rows if row.comparable),
        "mixed": results.mixing[0].measured["settings"] if results.mixing else None,
        "thinned": next((m["thinned"] for m in measures if m.get("thinned")), None),
    }


def _on_the_audit(results: Results) -> dict[str, Any]:
    """Return the audit of the measure, by samples, and the estimates of its draws."""
    audit = results.audit
    return {
        "audit_rows": {row["samples"]: row for row in audit["rows"]} if audit else {},
        "draws": [one["test_mean"] for one in audit["draws"]] if audit else [],
    }


def report(profile: str) -> None:
    """Write a profile's report (`UserError` if a run's files are absent or damaged)."""
    params = read_params(profile)
    listed = {files.run.key: files for files in run_files(params)}
    results, folder = collect(params, list(listed.values())), results_path(profile).parent
    write_record(results_path(profile), results.model_dump(mode="json"))
    drawn = Pictures(results, listed, folder).draw()
    walks = {
        key: files.measured("walk.json", WALK)
        for key, files in listed.items()
        if files.trained and files.has("walk.json")
    }
    shown = values(results, read_release(profile), drawn)
    shown |= {"notes": notes(folder), "walks": walks}
    shown["explore"] = bool(presentation(params).published)
    if profile == ABLATIONS:
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
