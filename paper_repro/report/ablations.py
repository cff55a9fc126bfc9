"""Stage ``ablations``: where the paper's text and its code disagree, one change at a time on MNIST.

Validation curves of one seed or several at a stated number of epochs; a study of ours, beside the
reports, of which none depends on it.
"""

import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns

from paper_repro import config
from paper_repro.figures.canvas import new_figure, save
from paper_repro.files import read_json, write_json, write_text
from paper_repro.report import nats, tables
from paper_repro.report.measured import read_measured, read_table
from paper_repro.report.page import data_address, records
from paper_repro.report.recipe import changes
from paper_repro.report.results import EXPERIMENTS
from paper_repro.report.templating import environment
from paper_repro.report.verdict import mean_interval

PROFILE = "ablations"
FOLDER = Path("reports", PROFILE)
ORIGINAL, TITLE = "mnist", "MNIST, the released recipe"
LAST = 5  # validation estimates neighbouring in a run differ by some nats: the mean of so many


def _run(run: config.Run) -> dict[str, Any]:
    record = read_json(run.folder / "training.json")
    found = {"run": run.key, "seed": run.seed, "status": record["status"]}
    if record["status"] != "ok":
        return found | {"reason": record["reason"], "todo": record["todo"]}
    validation = read_table(run, "validation.csv")
    metrics = read_measured(run, "metrics.json")
    return found | {
        "epochs": metrics["epochs"],
        "generator_updates": record["updates"],
        "changed": changes(ORIGINAL, record["experiment_parameters"], record["data"]["counts"]),
        "validation_epochs": validation.epoch.tolist(),
        "valid_nats": validation.valid_nats.tolist(),
        "last_valid_mean": float(validation.valid_nats.tail(LAST).mean()),
        "last_valid_sd": float(validation.valid_nats.tail(LAST).std()),
        "last_test_mean": metrics["last_test_mean"],
        "last_test_se": metrics["last_test_se"],
        "training_seconds": record["seconds"],
        "device": record["sittings"][-1]["device"],
        "threads": record["sittings"][-1]["threads"],
    }


def collect() -> dict[str, Any]:
    """Return the study's results: a row an experiment, the original first.

    Raises
    ------
    UserError
        If a run's files are absent or damaged.
    """
    params = config.read_params()
    listed = config.runs(params, PROFILE).values()
    found = {run: _run(run) for run in listed}
    originals = {  # at the length of each: shorter runs are set against none
        (run.seed, record["epochs"]): record["last_valid_mean"]
        for run, record in found.items()
        if run.experiment == ORIGINAL and record["status"] == "ok"
    }
    rows = []
    for name in config.group(params, "profiles", PROFILE, "experiments"):
        runs = [record for run, record in found.items() if run.experiment == name]
        trained = [run for run in runs if run["status"] == "ok"]
        for run in trained:
            original = originals.get((run["seed"], run["epochs"]))
            run["difference"] = None if original is None else run["last_valid_mean"] - original
        differences = [run["difference"] for run in trained if run["difference"] is not None]
        rows.append(
            {
                "experiment": name,
                "title": TITLE if name == ORIGINAL else EXPERIMENTS.get(name, name),
                "runs": runs,
                "last_valid_mean": _mean([run["last_valid_mean"] for run in trained]),
                "last_test_mean": _mean([run["last_test_mean"] for run in trained]),
                "mean_difference": _mean(differences),
                "difference_interval": None if name == ORIGINAL else mean_interval(differences),
            }
        )
    return {"averaged_estimates": LAST, "rows": rows}


def _mean(values: list[float]) -> float | None:
    return statistics.fmean(values) if values else None


def table(results: dict[str, Any]) -> pd.DataFrame:
    """Return the study, one line a run."""
    lines = []
    for row in results["rows"]:
        for run in row["runs"]:
            line = {"What": row["title"], "Run": run["run"]}
            if run["status"] != "ok":
                lines.append(line | {"Changed": f"{run['status']}: {run['reason']}"})
                continue
            lines.append(
                line
                | {
                    "Changed": ", ".join(run["changed"]) or "nothing",
                    "Epochs": run["epochs"],
                    "Updates of G": f"{run['generator_updates']:,}",
                    f"Validation, mean of the last {LAST} estimates (nats)": nats.number(
                        run["last_valid_mean"]
                    ),
                    "their SD": nats.number(run["last_valid_sd"]),
                    "Against mnist, same seed": nats.signed(run["difference"]),
                    "Test, last epoch (nats)": nats.number(
                        run["last_test_mean"], run["last_test_se"]
                    ),
                    "Training time": tables.duration(run["training_seconds"]),
                }
            )
    return pd.DataFrame(lines).fillna("–")


def brief(results: dict[str, Any]) -> pd.DataFrame:
    """Return the study, one line a change: means over its seeds, and each seed's difference.

    The interval is Student's t over the seeds' differences.
    """
    lines = []
    for row in results["rows"]:
        trained = [run for run in row["runs"] if run["status"] == "ok"]
        if not trained:
            continue
        lines.append(
            {
                "What": row["title"],
                "Changed": ", ".join(trained[0]["changed"]) or "nothing",
                "Epochs": trained[0]["epochs"],
                "Seeds": len(trained),
                f"Validation, mean of the last {LAST} estimates (nats)": nats.number(
                    row["last_valid_mean"]
                ),
                "Against mnist, mean": nats.signed(row["mean_difference"]),
                "95 % interval": nats.interval(row["difference_interval"]),
                "by seed": ", ".join(nats.signed(run["difference"]) for run in trained),
            }
        )
    return pd.DataFrame(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw all validation curves, one line an experiment, the mean where there are more seeds."""
    curves = pd.DataFrame(
        [
            {"epoch": epoch, "nats": nats, "experiment": row["experiment"]}
            for row in results["rows"]
            for run in row["runs"]
            if run["status"] == "ok"
            for epoch, nats in zip(run["validation_epochs"], run["valid_nats"], strict=True)
        ],
        columns=["epoch", "nats", "experiment"],
    )
    figure = new_figure(9, 4.5)
    axes = figure.subplots()
    sns.lineplot(curves, x="epoch", y="nats", hue="experiment", errorbar=None, ax=axes)
    axes.set(ylabel="nats, validation", title="Parzen estimate, one change at a time")
    if len(curves):
        sns.move_legend(axes, "center left", bbox_to_anchor=(1, 0.5), fontsize=8, title=None)
    sns.despine(figure)
    save(figure, path)


def ablations() -> None:
    """Write the study's results, picture and page (`UserError` if a run's files are absent)."""
    results = collect()
    write_json(FOLDER / "ablations.json", results)
    draw(results, FOLDER / "curves.png")
    samples = {
        run["run"]: data_address(FOLDER / "runs" / run["run"] / "figure2.png")
        for row in results["rows"]
        for run in row["runs"]
        if run["status"] == "ok"
    }
    page = environment().get_template("ablations.html.j2")
    write_text(
        FOLDER / "index.html",
        page.render(
            results=results,
            brief=records(brief(results)),
            study=records(table(results)),
            curves=data_address(FOLDER / "curves.png"),
            samples=samples,
        ),
    )
    print(f"ablations: {FOLDER / 'index.html'}")
    for row in results["rows"]:
        print(f"ablations: {row['experiment']}: {nats.number(row['last_valid_mean'])} nats")
