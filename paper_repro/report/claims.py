"""The ledger: every checkable statement of the paper, with number and verdict by a fixed rule."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from paper_repro.core.records import (
    FIGURE2,
    SAMPLE_CHECKS,
    Figure1,
    SampleChecks,
    Theory,
)
from paper_repro.report.formatting import signed
from paper_repro.report.published import ADVERSARIAL, TABLE1, Published
from paper_repro.report.released import content
from paper_repro.report.run_files import RunFiles
from paper_repro.report.schema import Claim, Row
from paper_repro.report.verdict import FEWEST, distance_interval

OTHERS_MNIST = [model.mnist for model in TABLE1 if model is not ADVERSARIAL]
OTHERS_TFD = [model.tfd for model in TABLE1 if model is not ADVERSARIAL]
LARGEST_Z = 4.0
LEAST_SHRINKING = 5.0
NEAR_HALF = 0.1
NEAR_VALUE = 0.1  # nats
NEAR_HALF_IN_TOY = 0.02  # section 4's bound for a D that was trained
# The numbers that the texts of claims.yaml name.
NUMBERS = {
    "ours": ADVERSARIAL,
    "others": {model.name: model for model in TABLE1},
    "largest_z": LARGEST_Z,
    "least_shrinking": LEAST_SHRINKING,
    "near_half": NEAR_HALF,
    "near_value": NEAR_VALUE,
    "near_half_in_toy": NEAR_HALF_IN_TOY,
}
SAMPLES = "sample_checks.json"
ALIKE = "none: all samples are alike"


@dataclass(frozen=True)
class Finding:
    """What a claim's measure gave: the number as shown, the verdict and the file it is from."""

    number: str
    verdict: str
    file: str


@dataclass(frozen=True)
class Evidence:
    """A profile's rows by experiment, what its trained MNIST runs left behind, and figure 1.

    `figure1_reduced` says whether the profile changes the settings of figure 1's run.
    """

    rows: dict[str, Row]
    runs: list[RunFiles]
    figure1: Figure1
    figure1_reduced: bool

    @property
    def run(self) -> RunFiles:
        """The MNIST run whose samples are looked at: the first of those that were."""
        measured = (run for run in self.runs if run.has(SAMPLES))
        return next(measured, self.runs[0])

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
        numbers = [seed["number"] for seed in row["seeds"]]
        # On MNIST the error over test images is common to all numbers: the images are the same.
        error = 0.0 if experiment == "mnist" else other.se
        interval = distance_interval(numbers, other.mean, error)
        number = signed(row["mean"] - other.mean)
        if not row["comparable"]:
            return Finding(number, "not comparable", "results.json")
        if interval is None or len(numbers) < FEWEST:
            return Finding(number, f"too few seeds (n = {len(numbers)})", "results.json")
        text = "holds" if interval[0] > 0 else "does not hold" if interval[1] < 0 else "not decided"
        number += f", 90 % interval {signed(interval[0])} to {signed(interval[1])}"
        return Finding(number, text, "results.json")

    def judged(self, holds: bool) -> str:
        """Return whether a claim holds, on a run that may be held against the paper."""
        if not self.rows["mnist"]["comparable"]:
            return "not comparable"
        return "holds" if holds else "does not hold"

    def answered(self, *, trained: bool, plain: bool) -> str:
        """Return the answer to a question on D as trained, with dropout, and without it."""
        if not self.rows["mnist"]["comparable"]:
            return "not comparable"
        said = {True: "yes", False: "no"}
        return f"as trained {said[trained]}, without dropout {said[plain]}"

    def worst(self, extent: Callable[[RunFiles], float]) -> tuple[RunFiles, float, str]:
        """Return the run of the largest `extent`, that extent, and what to add to its number."""
        extents = {run: extent(run) for run in self.runs}
        run = max(extents, key=extents.__getitem__)
        count = len(self.runs)
        return run, extents[run], "" if count == 1 else f" (the worst of {count} seeds)"

    def samples(self) -> SampleChecks:
        """Return what the stage `sample_checks` measured on the first run."""
        return self.run.measured(SAMPLES, SAMPLE_CHECKS)


def _file(run: RunFiles, name: str) -> str:
    """Return the address of one of a run's files, from the page."""
    return f"runs/{run.run.key}/{name}"


def _curve(run: RunFiles) -> pd.DataFrame:
    """Return a run's training curve."""
    return run.table("curve.csv")


def _validation(run: RunFiles) -> pd.DataFrame:
    """Return what was measured on validation images, without dropout."""
    return run.table("validation.csv")


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
    """Return how far ours is above the second best of the paper's others, and below their best."""
    second, best = sorted(OTHERS_TFD, key=lambda published: published.mean)[-2:]
    over, under = evidence.above("tfd", second), evidence.above("tfd", best)
    if over == under:  # no result
        return over
    verdict = over.verdict
    if under.verdict == "holds":  # above the best as well: the first, not the second
        verdict = "does not hold"
    elif verdict == "holds" and under.verdict == "not decided":
        verdict = "not decided"
    return Finding(f"{over.number}; {under.number}", verdict, over.file)


def no_memorisation(evidence: Evidence) -> Finding:
    """Return the share of copies among the samples, and how they compare with held-out images."""
    found = evidence.samples()["memorisation"]
    return Finding(
        f"{found['copies']:.2%}, {found['copies_allowed']:.2%} allowed; nearer with probability "
        f"{found['nearer_probability']:.3f} (p = {found['p_value']:.2g})",
        evidence.judged(found["copies"] <= found["copies_allowed"]),
        _file(evidence.run, SAMPLES),
    )


def sixth_column(evidence: Evidence) -> Finding:
    """Return how near the nearest framed pair of figure 2 is, in units of a copy's distance."""
    pairs = evidence.run.measured("figure2.json", FIGURE2)["squared_distance"]
    nearest = math.sqrt(min(pairs)) / evidence.samples()["memorisation"]["copy_distance"]
    return Finding(
        f"{nearest:.2f}", evidence.judged(nearest > 1), _file(evidence.run, "figure2.json")
    )


def independent_draws(evidence: Evidence) -> Finding:
    """Return the largest correlation of samples along the draws, as a z-score."""
    largest, file = evidence.samples()["autocorrelation"]["largest_z"], _file(evidence.run, SAMPLES)
    if largest is None:
        return Finding(ALIKE, evidence.judged(False), file)
    return Finding(f"{largest:.1f}", evidence.judged(largest < LARGEST_Z), file)


def smooth_interpolation(evidence: Evidence) -> Finding:
    """Return how much smaller finer steps along lines in z are."""
    found, file = evidence.samples()["interpolation"], _file(evidence.run, SAMPLES)
    finer, first = found["shrinks_finer"], found["shrinks"]
    if finer is None or first is None:
        return Finding(ALIKE, evidence.judged(False), file)
    number = f"{finer:.1f}; from 10 to 100 steps {first:.1f}"
    return Finding(number, evidence.judged(finer >= LEAST_SHRINKING), file)


def stronger_gradients(evidence: Evidence) -> Finding:
    """Return the least ratio of G's gradients under its two losses, early on."""

    def below(run: RunFiles) -> float:
        curve = _curve(run).dropna(subset=["g_grad_norm_minimax"])
        least = (curve.g_grad_norm_non_saturating / curve.g_grad_norm_minimax).min()
        return math.inf if math.isnan(least) else -float(least)

    run, worst, of_seeds = evidence.worst(below)
    if worst == math.inf:  # `gradient_norms` asked for none
        return Finding("–", "not measured", _file(run, "curve.csv"))
    return Finding(f"{-worst:.1f}{of_seeds}", evidence.judged(worst < -1), _file(run, "curve.csv"))


def one_half_in_one_dimension(evidence: Evidence) -> Finding:
    """Return how far from ½ the last D of figure 1's run is, where data or samples lie."""
    last = evidence.figure1["panels"][-1]
    farthest = last["deviation_from_half"]
    number = f"{farthest:.4f}; total variation between p_g and p_data {last['total_variation']:.3f}"
    verdict = "holds" if farthest <= NEAR_HALF_IN_TOY else "does not hold"
    if evidence.figure1_reduced:
        verdict = "not comparable"
    return Finding(number, verdict, "figure1.json")


def discriminator_at_one_half(evidence: Evidence) -> Finding:
    """Return D's mean outputs in the last epoch."""

    def distance(run: RunFiles) -> float:
        last = _curve(run).iloc[-1]
        return float(max(abs(last.d_data - 0.5), abs(last.d_samples - 0.5)))

    run, worst, of_seeds = evidence.worst(distance)
    last, plain = _curve(run).iloc[-1], _validation(run).iloc[-1]
    farthest = max(abs(plain.d_valid - 0.5), abs(plain.d_samples - 0.5))
    return Finding(
        f"{last.d_data:.3f} and {last.d_samples:.3f}; "
        f"without dropout {plain.d_valid:.3f} and {plain.d_samples:.3f}{of_seeds}",
        evidence.answered(trained=worst <= NEAR_HALF, plain=bool(farthest <= NEAR_HALF)),
        _file(run, "curve.csv"),
    )


def value_at_convergence(evidence: Evidence) -> Finding:
    """Return how far the value is from −log 4 in the last epoch."""

    def above(run: RunFiles) -> float:
        return float(_curve(run).iloc[-1].value) + math.log(4)

    run, worst, of_seeds = evidence.worst(lambda run: abs(above(run)))
    plain = float(_validation(run).iloc[-1].value) + math.log(4)
    number = f"{above(run):+.3f}; without dropout {plain:+.3f}{of_seeds}"
    return Finding(
        number.replace("-", "−"),
        evidence.answered(trained=worst <= NEAR_VALUE, plain=abs(plain) <= NEAR_VALUE),
        _file(run, "curve.csv"),
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
        one_half_in_one_dimension,
        discriminator_at_one_half,
        value_at_convergence,
    )
}
WITHOUT_RUN = (
    "table1_mnist",
    "table1_tfd",
    "best_of_table1_mnist",
    "second_of_table1_tfd",
    "one_half_in_one_dimension",
)
OF_SAMPLES = ("no_memorisation", "sixth_column", "independent_draws", "smooth_interpolation")


def ledger(
    rows: list[Row],
    runs: list[RunFiles],
    theory: Theory,
    figure1: Figure1,
    *,
    figure1_reduced: bool = False,
) -> list[Claim]:
    """Return a line a claim, the checks of section 4 last.

    Parameters
    ----------
    rows : of ``results.json``.
    runs : the profile's, in the order of the list.
    theory, figure1 : what ``theory.json`` and ``figure1.json`` hold.
    figure1_reduced : whether the profile changes the settings of figure 1's run.

    Raises
    ------
    UserError
        If a file of the MNIST run is absent or damaged.
    """
    by_experiment = {row["experiment"]: row for row in rows}
    trained = [seed["run"] for seed in by_experiment.get("mnist", {"seeds": []})["seeds"]]
    mnist_runs = [files for files in runs if files.run.key in trained]
    evidence = Evidence(by_experiment, mnist_runs, figure1, figure1_reduced)
    measured = evidence.runs and evidence.run.has(SAMPLES)
    lines = []
    for claim in content("claims.yaml"):
        if not evidence.runs and claim["id"] not in WITHOUT_RUN:
            finding = Finding("–", evidence.row("mnist").verdict, "results.json")
        elif claim["id"] in OF_SAMPLES and not measured:
            finding = Finding("–", "not measured", "results.json")
        else:
            finding = RULES[claim["id"]](evidence)
        text = {name: claim[name].format_map(NUMBERS) for name in ("claim", "measure", "rule")}
        lines.append({"note": None, "question": False} | claim | text | vars(finding))
    return lines + [
        {
            "id": check["id"],
            "where": check["where"],
            "claim": check["claim"],
            "measure": check["measure"],
            "rule": f"within {check['tolerance']:.2g}",
            "note": None,
            "question": False,
            "number": "no number" if check["value"] is None else f"{check['value']:.2g}",
            "verdict": "holds" if check["holds"] else "does not hold",
            "file": "theory.json",
        }
        for check in theory["checks"]
    ]
