"""The ledger: every checkable statement of the paper, with number and verdict by a fixed rule."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from paper_repro import config
from paper_repro.files import read_json
from paper_repro.report.published import ADVERSARIAL, TABLE1, Published
from paper_repro.report.recipe import content
from paper_repro.report.schema import Claim, Row, Theory
from paper_repro.report.verdict import judge

OTHERS_MNIST = [model.mnist for model in TABLE1 if model is not ADVERSARIAL]
OTHERS_TFD = [model.tfd for model in TABLE1 if model is not ADVERSARIAL]
LARGEST_Z = 4.0
LEAST_SHRINKING = 5.0
NEAR_HALF = 0.1
NEAR_VALUE = 0.1  # nats


@dataclass(frozen=True)
class Finding:
    """What a claim's measure gave: the number as shown, the verdict and the file it is from."""

    number: str
    verdict: str
    file: str


@dataclass(frozen=True)
class Evidence:
    """A profile's rows by experiment, and what the first trained MNIST run left behind."""

    rows: dict[str, Row]
    run: config.Run | None

    def row(self, experiment: str) -> Finding:
        """Return an experiment's number against the paper's."""
        row = self.rows.get(experiment)
        if row is None or row["mean"] is None:
            return Finding("–", row["status"] if row else "not run", "results.json")
        return Finding(f"{row['mean']:.1f}", row["verdict"]["text"], "results.json")

    def above(self, experiment: str, other: Published) -> Finding:
        """Return how far an experiment's number is above that of another model of the paper."""
        row = self.rows.get(experiment)
        if row is None or row["mean"] is None:
            return self.row(experiment)
        seeds = row["seeds"]
        verdict = judge([s["test_mean"] for s in seeds], [s["test_se"] for s in seeds], other)
        text = verdict.text
        if verdict.interval is not None:
            text = "holds" if verdict.interval[0] > other.mean else "does not hold"
        number = f"{row['mean'] - other.mean:+.1f}".replace("-", "−")
        return Finding(number, text if row["comparable"] else "not comparable", "results.json")

    def judged(self, holds: bool) -> str:
        """Return whether a claim holds, on a run that may be held against the paper."""
        if not self.rows["mnist"]["comparable"]:
            return "not comparable"
        return "holds" if holds else "does not hold"

    def file(self, name: str) -> str:
        """Return the address of one of the MNIST run's files, from the page."""
        return f"runs/{self.run.key}/{name}" if self.run else "results.json"

    def samples(self) -> dict[str, Any]:
        """Return what the stage `samples` measured."""
        assert self.run is not None
        return dict(read_json(self.run.folder / "samples.json"))

    def curve(self) -> pd.DataFrame:
        """Return the training curve."""
        assert self.run is not None
        return pd.read_csv(self.run.folder / "curve.csv")

    def validation(self) -> pd.DataFrame:
        """Return what was measured on validation images, without dropout."""
        assert self.run is not None
        return pd.read_csv(self.run.folder / "validation.csv")


def table1_mnist(evidence: Evidence) -> Finding:
    """Return our MNIST number beside the paper's."""
    return evidence.row("mnist")


def table1_tfd(evidence: Evidence) -> Finding:
    """Return our TFD number beside the paper's."""
    return evidence.row("tfd")


def best_of_table1_mnist(evidence: Evidence) -> Finding:
    """Return how far ours is above the best of the paper's other models on MNIST."""
    return evidence.above("mnist", max(OTHERS_MNIST, key=lambda published: published.mean))


def second_of_table1_tfd(evidence: Evidence) -> Finding:
    """Return how far ours is above the second best of the paper's other models on TFD."""
    return evidence.above("tfd", sorted(OTHERS_TFD, key=lambda published: published.mean)[-2])


def no_memorisation(evidence: Evidence) -> Finding:
    """Return the share of copies among the samples."""
    found = evidence.samples()["memorisation"]
    return Finding(
        f"{found['copies']:.2%}, {found['copies_allowed']:.2%} allowed",
        evidence.judged(found["copies"] <= found["copies_allowed"]),
        evidence.file("samples.json"),
    )


def sixth_column(evidence: Evidence) -> Finding:
    """Return how near the nearest framed pair of figure 2 is, in units of a copy's distance."""
    assert evidence.run is not None
    pairs = read_json(evidence.run.folder / "figure2.json")["squared_distance"]
    nearest = math.sqrt(min(pairs)) / evidence.samples()["memorisation"]["copy_distance"]
    return Finding(f"{nearest:.2f}", evidence.judged(nearest > 1), evidence.file("figure2.json"))


def independent_draws(evidence: Evidence) -> Finding:
    """Return the largest correlation of samples along the draws, as a z-score."""
    largest = evidence.samples()["autocorrelation"]["largest_z"]
    return Finding(
        f"{largest:.1f}", evidence.judged(largest < LARGEST_Z), evidence.file("samples.json")
    )


def smooth_interpolation(evidence: Evidence) -> Finding:
    """Return how much smaller finer steps along lines in z are."""
    shrinks = evidence.samples()["interpolation"]["shrinks"]
    return Finding(
        f"{shrinks:.1f}", evidence.judged(shrinks >= LEAST_SHRINKING), evidence.file("samples.json")
    )


def stronger_gradients(evidence: Evidence) -> Finding:
    """Return the least ratio of G's gradients under its two losses, early on."""
    curve = evidence.curve().dropna(subset=["g_grad_norm_minimax"])
    least = float((curve.g_grad_norm_non_saturating / curve.g_grad_norm_minimax).min())
    return Finding(f"{least:.1f}", evidence.judged(least > 1), evidence.file("curve.csv"))


def discriminator_at_one_half(evidence: Evidence) -> Finding:
    """Return D's mean outputs in the last epoch."""
    last, plain = evidence.curve().iloc[-1], evidence.validation().iloc[-1]
    near = max(abs(last.d_data - 0.5), abs(last.d_samples - 0.5)) <= NEAR_HALF
    return Finding(
        f"{last.d_data:.3f} and {last.d_samples:.3f}; "
        f"without dropout {plain.d_valid:.3f} and {plain.d_samples:.3f}",
        evidence.judged(near),
        evidence.file("curve.csv"),
    )


def value_at_convergence(evidence: Evidence) -> Finding:
    """Return how far the value is from −log 4 in the last epoch."""
    above = float(evidence.curve().iloc[-1].value) + math.log(4)
    plain = float(evidence.validation().iloc[-1].value) + math.log(4)
    return Finding(
        f"{above:+.3f}; without dropout {plain:+.3f}".replace("-", "−"),
        evidence.judged(abs(above) <= NEAR_VALUE),
        evidence.file("curve.csv"),
    )


RULES: dict[str, Callable[[Evidence], Finding]] = {
    rule.__name__: rule
    for rule in (
        table1_mnist,
        table1_tfd,
        best_of_table1_mnist,
        second_of_table1_tfd,
        no_memorisation,
        sixth_column,
        independent_draws,
        smooth_interpolation,
        stronger_gradients,
        discriminator_at_one_half,
        value_at_convergence,
    )
}
WITHOUT_RUN = ("table1_mnist", "table1_tfd", "best_of_table1_mnist", "second_of_table1_tfd")
OF_SAMPLES = ("no_memorisation", "sixth_column", "independent_draws", "smooth_interpolation")


def ledger(rows: list[Row], runs: list[config.Run], theory: Theory) -> list[Claim]:
    """Return a line a claim: id, where, claim, measure, rule, number, verdict, file.

    Parameters
    ----------
    rows : of ``results.json``.
    runs : the profile's, in the order of the list.
    theory : what ``theory.json`` holds.

    Raises
    ------
    UserError
        If a file of the MNIST run is absent or damaged.
    """
    by_experiment = {row["experiment"]: row for row in rows}
    trained = [seed["run"] for seed in by_experiment.get("mnist", {"seeds": []})["seeds"]]
    run = next((run for run in runs if run.key in trained[:1]), None)
    evidence = Evidence(by_experiment, run)
    lines = []
    for claim in content("claims.yaml"):
        if run is None and claim["id"] not in WITHOUT_RUN:
            finding = Finding("–", evidence.row("mnist").verdict, "results.json")
        elif claim["id"] in OF_SAMPLES and not (run and (run.folder / "samples.json").is_file()):
            finding = Finding("–", "not measured", "results.json")
        else:
            finding = RULES[claim["id"]](evidence)
        lines.append(claim | vars(finding))
    return lines + [
        {
            "id": check["id"],
            "where": check["where"],
            "claim": check["claim"],
            "measure": check["measure"],
            "rule": f"within {check['tolerance']:.2g}",
            "number": "no number" if check["value"] is None else f"{check['value']:.2g}",
            "verdict": "holds" if check["holds"] else "does not hold",
            "file": "theory.json",
        }
        for check in theory["checks"]
    ]
