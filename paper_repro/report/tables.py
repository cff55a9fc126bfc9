"""The paper's Table 1 beside ours, in Markdown; numbers come from ``results.json``.

Only times and memory are the circumstances'.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from paper_repro.core.circumstances import Training
from paper_repro.core.params import params_path
from paper_repro.report import escaping
from paper_repro.report.escaping import Markdown
from paper_repro.report.formatting import interval, number, signed
from paper_repro.report.published import CONTEXT, TABLE1
from paper_repro.report.run_files import trainings
from paper_repro.report.schema import Results, Row, Seed
from paper_repro.report.verdict import RULE

# Why a run of the paper profile is as long as it is, if nobody changed it.
LENGTHS = {
    "tfd_pretrain": "the released code's",
    "tfd": "the released code's",
    "mnist_bfloat16": "enough to compare with mnist",
    "mnist_notebook": "the notebook's 20,000 updates, in whole passes",
}


RAISED_TO = 1500  # epochs on MNIST; what is said of their history holds of no other length
RAISED = (
    "The length of training on MNIST was raised in steps, from 150 epochs to 250, 500 and 1,500 "
    "(commits fefb7e2, a773c68, 7dbb688, 3d16f42), with the shorter runs' test numbers known; it "
    "stood at 1,500 before seeds 1 and later were trained. At 1,500 the learning rate is a "
    "twentieth of its start. "
)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size, least in (("days", 86400, 2), ("h", 3600, 1), ("min", 60, 1)):
        if seconds >= least * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def markdown(table: pd.DataFrame) -> Markdown:
    """Return a table in Markdown; nothing of an empty one."""
    if table.empty:
        return Markdown()
    rows: list[Iterable[object]] = [table.columns, ["---"] * len(table.columns)]
    rows += table.itertuples(index=False)
    cells = ([escaping.markdown(cell).replace("|", "\\|") for cell in row] for row in rows)
    return Markdown("\n".join(f"| {' | '.join(row)} |" for row in cells))


def remark(row: Row, profile: str) -> str:
    """Return what a reader must know before comparing a row with the paper."""
    if row["status"] != "ok":
        count = len(row["failed"])
        seeds = f" with {count} seeds" if row["status"] == "diverged" and count > 1 else ""
        data = f", on stand-in data ({row['stand_in']})" if row["stand_in"] else ""
        return f"{row['status']}{seeds}{data}: {row['reason']}"
    failed = "".join(f"; {run['run']}: {run['reason']}" for run in row["failed"])
    return _remark(row, profile) + failed


def _remark(row: Row, profile: str) -> str:
    if row["stand_in"]:
        return f"stand-in data ({row['stand_in']}): not comparable"
    if profile != "paper":
        return f"{profile} profile, reduced scale: not comparable"
    if not row["comparable"]:
        return f"not the released recipe (differs in {', '.join(row['changed'])}): not comparable"
    seeds = len(row["seeds"])
    copy = "" if row["canonical_data"] else ", on an unverified copy of the data"
    recipe = "released" if row["experiment"] != "mnist_notebook" else "notebook's"
    return f"the {recipe} recipe, {seeds} seed{'s' if seeds > 1 else ''}{copy}"


def _ours(row: Row) -> str:
    # The error over test images or folds belongs to one run; several have their spread beside them.
    seeds = row["seeds"]
    return number(row["mean"], seeds[0]["test_se"] if len(seeds) == 1 else None)


def ours(results: Results) -> pd.DataFrame:
    """Return the comparison, one line an experiment."""
    lines = []
    for row in results["rows"]:
        seeds = row["seeds"]
        paper = row["paper"]
        lines.append(
            {
                "Experiment": row["experiment"],
                "Paper (nats)": number(paper["mean"], paper["se"]) if paper else "–",
                "Ours (nats)": _ours(row) if seeds else row["status"],
                "Verdict": row["verdict"]["text"],
                "SD over seeds": number(row["seed_sd"]),
                "95 % interval of the mean": interval(row["mean_interval"]),
                "Seeds": len(seeds),
                "Epochs": seeds[0]["epochs"] if seeds else "–",
                "Data": row["stand_in"] or row["dataset"],
                "Remark": remark(row, results["profile"]),
            }
        )
    return pd.DataFrame(lines)


GRIDS = {
    "default": "10 values, logarithmic from 0.1 to 1: the released script's default",
    "log_15": "15 values, logarithmic from 0.1 to 1: an earlier script of the authors",
    "linear_10": "10 values, evenly spaced from 0.001 to 1: their first script",
    "log_91": "91 values, logarithmic from 0.1 to 1: fine",
}


def alternatives(results: Results) -> pd.DataFrame:
    """Return what each verdict would be by other grids of σ."""
    return pd.DataFrame(
        [
            {
                "Experiment": row["experiment"],
                "Grid of σ": GRIDS[other["grid"]],
                "Mean over seeds (nats)": number(other["mean"]),
                "Against the paper, 90 % interval": interval(other["interval"]),
                "Answer": other["answer"] or "no verdict yet",
            }
            for row in results["rows"]
            for other in row["alternatives"]
        ]
    )


def grids(results: Results) -> pd.DataFrame:
    """Return each published seed by each grid of σ: means over its sets of samples."""
    lines = []
    for row in results["rows"]:
        for seed in row["seeds"]:
            sets = seed["sets"]
            if sets is None:
                continue
            for name, means in sets["grids"].items():
                lines.append(
                    {
                        "Run": seed["run"],
                        "Epoch": sets["epoch"],
                        "Grid of σ": GRIDS[name],
                        "σ on the first validation images": number(means["first_images"]),
                        "σ on all of them": number(means["all_images"]),
                        "Sets of samples": sets["count"],
                    }
                )
    return pd.DataFrame(lines)


def rule() -> Markdown:
    """Return the rule for verdicts as a list in Markdown."""
    lines = (f"{heading}: {text}" for heading, text in RULE.items())
    return Markdown("\n".join(f"- {escaping.markdown(line)}" for line in lines))


def sigmas(values: Sequence[float]) -> str:
    """Return the bandwidths chosen, each once."""
    return ", ".join(f"{sigma:.4f}" for sigma in sorted(set(values)))


def seeds(results: Results) -> pd.DataFrame:
    """Return every run: the generator that was selected, and the last one beside it."""
    spent = trainings(results["profile"])
    lines = [
        {
            "Run": seed["run"],
            "Test (nats)": number(seed["test_mean"], seed["test_se"]),
            "at epoch": seed["best_epoch"],
            "σ": sigmas(seed["sigma"]) + (", end of grid" if seed["sigma_at_end_of_grid"] else ""),
            "Validation, on the curve": number(seed["curve_mean"], seed["curve_se"]),
            "again, fresh samples": number(seed["valid_mean"]),
            "Last epoch, test": number(seed["last_test_mean"], seed["last_test_se"]),
            "Epochs": seed["epochs"],
            "Updates": f"{seed['updates']:,}",
            "Training time": training_time(spent.get(seed["run"])),
        }
        for row in results["rows"]
        for seed in row["seeds"]
    ]
    return pd.DataFrame(lines)


def _last_rate(seed: Seed, results: Results) -> str:
    sgd = results["provenance"][seed["run"]]["parameters"].get("sgd")
    if sgd is None:
        return "–"
    decayed = sgd["learning_rate"] / sgd["learning_rate_decay"] ** (seed["updates"] - 1)
    return f"{max(decayed, sgd['learning_rate_min']):.2g} of {sgd['learning_rate']:g}"


def _as_raised(row: Row, profile: str) -> bool:
    """Return whether a row is that of MNIST at the length whose history `RAISED` tells."""
    lengths = {seed["epochs"] for seed in row["seeds"]}
    return profile == "paper" and row["experiment"] == "mnist" and lengths == {RAISED_TO}


def raised(results: Results) -> str:
    """Return how the length of training on MNIST came about; nothing of another length."""
    rows = (row for row in results["rows"] if _as_raised(row, results["profile"]))
    return RAISED if any(rows) else ""


def _why_so_long(row: Row, profile: str) -> str:
    if profile != "paper" or "epochs" in row["changed"]:
        return f"set in {params_path(profile)} for the {profile} profile"
    ours = "neither paper nor code states one; ours, in params.yaml"
    if _as_raised(row, profile):
        return "ours, raised in steps; see below"
    return LENGTHS.get(row["experiment"], ours)


def choice_of_epoch(results: Results) -> str:
    """Return what is known of the luck in choosing an epoch; nothing where none was chosen."""
    seeds = [seed for row in results["rows"] for seed in row["seeds"]]
    chosen = [seed for seed in seeds if seed["selected"] == "best"]
    if not chosen:
        return ""
    errors = [seed["curve_se"] for seed in chosen]
    again = [seed["valid_mean"] - seed["curve_mean"] for seed in chosen]
    higher = sum(seed["last_test_mean"] > seed["test_mean"] for seed in chosen)
    return (
        f"The choice is largely luck: the estimates have standard errors of {number(min(errors))} "
        f"to {number(max(errors))} nats, measured again with fresh samples those of the chosen "
        f"generators change by {signed(min(again))} to {signed(max(again))} nats, and in {higher} "
        f"of {len(chosen)} runs the last epoch scores higher on test images. "
    )


def _slope(seed: Seed) -> str:
    trend = seed["valid_trend"]
    return number(trend["slope"], trend["se"]) if trend else "–"


def lengths(results: Results) -> pd.DataFrame:
    """Return how long each run was trained, and how that and the epoch reported were set."""
    chosen = {"best": "best on validation images", "last": "the last"}
    return pd.DataFrame(
        [
            {
                "Run": seed["run"],
                "Epochs": seed["epochs"],
                "Updates": f"{seed['updates']:,}",
                "Reported epoch": seed["best_epoch"],
                "Chosen": chosen[seed["selected"]],
                "Last learning rate": _last_rate(seed, results),
                "Why so long": _why_so_long(row, results["profile"]),
                "Slope (nats per 100 epochs)": _slope(seed),
            }
            for row in results["rows"]
            for seed in row["seeds"]
        ]
    )


def training_time(training: Training | None, epochs: int = 1) -> str:
    """Return how long training took, all of it or an epoch."""
    return duration(training["seconds"] / epochs) if training else "not recorded"


def _peak_memory(training: Training | None) -> int | None:
    starts = training["starts"] if training else []
    return max((s["peak_memory_bytes"] for s in starts if "peak_memory_bytes" in s), default=None)


def size(count: float | None) -> str:
    """Return a number of bytes in the unit that suits it."""
    if count is None:
        return "not recorded"
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def resources(results: Results) -> pd.DataFrame:
    """Return what each run needs; sizes of files follow from the number of parameters."""
    lines, spent = [], trainings(results["profile"])
    for row in results["rows"]:
        for seed in row["seeds"]:
            count = sum(seed["parameters"].values())
            kept = 2 if seed["selected"] == "best" else 1  # the best and the last epoch's networks
            optimizer = 2 if row["adam"] else 1  # tensors a parameter
            lines.append(
                {
                    "Run": seed["run"],
                    "Parameters, G + D": " + ".join(
                        f"{n / 1e6:.1f} M" for n in seed["parameters"].values()
                    ),
                    "Model file": size(4 * count * kept),
                    "Checkpoint": size(4 * count * (kept + optimizer)),
                    "Peak memory": size(_peak_memory(spent.get(seed["run"]))),
                    "Time an epoch": training_time(spent.get(seed["run"]), seed["epochs"]),
                }
            )
    return pd.DataFrame(lines)


def folds(results: Results) -> pd.DataFrame:
    """Return the estimate fold by fold, and what the folds make together."""
    lines = []
    for row in results["rows"]:
        for seed in row["seeds"]:
            if not seed["folds"]:
                continue
            lines += [
                {
                    "Run": seed["run"],
                    "Fold": str(index),
                    "σ": f"{fold['sigma']:.4f}",
                    "Test (nats)": number(fold["test_mean"], fold["test_se"]),
                    "± is of": f"{fold['test_images']} test images",
                }
                for index, fold in enumerate(seed["folds"], 1)
            ]
            count = len(seed["folds"])
            for error, divisor in (
                (seed["test_se"], count - 1),
                (seed["test_se_population"], count),
            ):
                lines.append(
                    {
                        "Run": seed["run"],
                        "Fold": "mean",
                        "σ": "",
                        "Test (nats)": number(seed["test_mean"], error),
                        "± is of": f"{count} folds, standard deviation with divisor {divisor}",
                    }
                )
    return pd.DataFrame(lines)


def variants(results: Results) -> pd.DataFrame:
    """Return the validation estimates of variants beside those of the original, epoch by epoch."""
    return pd.DataFrame(
        [
            {
                "Run": variant["run"],
                "Epoch": epoch,
                "Validation (nats)": number(ours),
                "Original": variant["original"],
                "its (nats)": number(theirs),
                "Difference": signed(ours - theirs),
            }
            for variant in results["variants"]
            for epoch, ours, theirs in zip(
                variant["epochs"],
                variant["valid_nats"],
                variant["original_valid_nats"],
                strict=True,
            )
        ]
    )


def audit(results: Results) -> pd.DataFrame:
    """Return what the estimate says of our samples and of what is no model, beside Table 1."""
    found = results["audit"]
    if found is None:
        return pd.DataFrame()
    lines = [
        {
            "Samples": row["samples"],
            "n": f"{row['n']:,}",
            "Paper's grid of σ": number(row["test_mean"], row["test_se"]),
            "σ": f"{row['sigma']:.4f}",
            "Finer grid": number(row["fine"]["test_mean"], row["fine"]["test_se"]),
            "its σ": f"{row['fine']['sigma']:.4f}",
        }
        for row in found["rows"]
    ]
    lines += [
        {
            "Samples": f"{model.name}, the paper's Table 1",
            "n": "–",
            "Paper's grid of σ": number(model.mnist.mean, model.mnist.se),
            "σ": "–",
            "Finer grid": "–",
            "its σ": "–",
        }
        for model in TABLE1
    ]
    return pd.DataFrame(lines)


def audit_curve(results: Results) -> pd.DataFrame:
    """Return the estimate of our generator over the number of samples, σ on the finer grid."""
    found = results["audit"]
    return pd.DataFrame(
        [
            {
                "Samples": f"{point['n']:,}",
                "Test (nats)": number(point["test_mean"], point["test_se"]),
                "σ": f"{point['sigma']:.4f}",
            }
            for point in (found["curve"] if found else [])
        ]
    )


def published() -> pd.DataFrame:
    """Return the paper's Table 1."""
    return pd.DataFrame(
        [
            {
                "Model": model.name,
                "MNIST (nats)": number(model.mnist.mean, model.mnist.se),
                "TFD (nats)": number(model.tfd.mean, model.tfd.se),
            }
            for model in TABLE1
        ]
    )


def context() -> pd.DataFrame:
    """Return other papers' numbers."""
    return pd.DataFrame(
        [
            {
                "Model": entry.name,
                "MNIST (nats)": number(entry.mnist.mean, entry.mnist.se),
                "Source": entry.source,
            }
            for entry in CONTEXT
        ]
    )


def theory(results: Results) -> pd.DataFrame:
    """Return the checks of section 4, one line each."""
    return pd.DataFrame(
        [
            {
                "Where": check["where"],
                "Claim": check["claim"],
                "Measured": check["measure"],
                "Value": "no number"
                if check["value"] is None
                else f"{check['value']:.2g}".replace("-", "−"),
                "Tolerance": f"{check['tolerance']:.2g}",
                "Holds": "yes" if check["holds"] else "no",
            }
            for check in results["theory"]["checks"]
        ]
    )


def latex(results: Results) -> str:
    """Return ``table1.tex``: the comparison as a tabular for booktabs."""
    columns = ["Experiment", "Data", "Paper (nats)", "Ours (nats)", "SD over seeds", "Seeds"]
    table = ours(results)[[*columns, "Epochs", "Verdict"]]
    escaped = table.map(lambda cell: escaping.latex(cell) if isinstance(cell, str) else cell)
    text: str = escaped.to_latex(index=False)
    return text


def runs(results: Results) -> pd.DataFrame:
    """Return ``results.csv``: a line a run, numbers in full."""
    names = ["run", "seed", "epochs", "updates", "best_epoch", "valid_mean", "test_mean", "test_se"]
    lines = [
        {"experiment": row["experiment"], "data": row["stand_in"] or row["dataset"], **seed}
        for row in results["rows"]
        for seed in row["seeds"]
    ]
    columns = ["experiment", "data", *names, "last_test_mean"]
    return pd.DataFrame(lines, columns=columns)


def table1(results: Results) -> str:
    """Return ``table1.md``."""
    parts = [
        f"# Table 1, {escaping.markdown(results['profile'])} profile",
        "Parzen-window log-likelihood of the test set in nats; ± is the standard error of the "
        "mean, over the test images or, on TFD, over its five folds.",
        markdown(ours(results)),
        "The rule for verdicts:",
        rule(),
    ]
    if others := markdown(alternatives(results)):
        parts += ["What other grids of σ would make of the verdicts:", others]
    if found := markdown(grids(results)):
        parts += ["Published generators by grid of σ, means over sets of samples (nats):", found]
    if any(row["seeds"] for row in results["rows"]):
        parts += ["## Runs", markdown(seeds(results))]
    if any(seed["folds"] for row in results["rows"] for seed in row["seeds"]):
        parts += ["## TFD, fold by fold", markdown(folds(results))]
    parts += ["## The paper's Table 1", markdown(published())]
    parts += ["## Other published Parzen numbers", markdown(context())]
    parts += ["## Section 4, numerically", markdown(theory(results))]
    return "\n\n".join(parts) + "\n"
