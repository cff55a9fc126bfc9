"""Stage ``study@ablations``: where text and code disagree, one change at a time on MNIST.

Validation curves of one seed or several at a stated number of epochs; a study of ours, beside the
reports, of which none depends on it.
"""

import statistics
from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.core.files import write_json, write_text
from paper_repro.core.params import read_params
from paper_repro.core.runs import ABLATIONS
from paper_repro.figures.ablations import draw_ablations
from paper_repro.report import formatting as nats
from paper_repro.report import tables
from paper_repro.report.page import data_address, records
from paper_repro.report.released import changes
from paper_repro.report.results import EXPERIMENTS
from paper_repro.report.run_files import RunFiles, run_files, trainings
from paper_repro.report.templating import environment
from paper_repro.report.verdict import mean_interval

FOLDER = Path("reports", ABLATIONS)
ORIGINAL, TITLE = "mnist", "MNIST, the released recipe"
LAST = 5  # validation estimates neighbouring in a run differ by some nats: the mean of so many


def _run(files: RunFiles) -> dict[str, Any]:
    run, record = files.run, files.record
    found = {"run": run.key, "seed": run.seed, "status": record["status"]}
    if record["status"] != "ok":
        return found | {"reason": record["reason"], "todo": record["todo"]}
    validation, last = files.table("validation.csv"), files.evaluation["last"]
    return found | {
        "epochs": record["epochs"],
        "generator_updates": record["updates"],
        "changed": changes(ORIGINAL, files.parameters, record["data"]["counts"]),
        "validation_epochs": validation.epoch.tolist(),
        "valid_nats": validation.valid_nats.tolist(),
        "last_valid_mean": float(validation.valid_nats.tail(LAST).mean()),
        "last_valid_sd": float(validation.valid_nats.tail(LAST).std()),
        "last_test_mean": last["test_mean"],
        "last_test_se": last["test_se"],
    }


def collect(listed: list[RunFiles]) -> dict[str, Any]:
    """Return the study's results: a row an experiment, the original first.

    Parameters
    ----------
    listed : the files of the study's runs.

    Raises
    ------
    UserError
        If a run's files are absent or damaged.
    """
    found = {files.run: _run(files) for files in listed}
    originals = {  # at the length of each: shorter runs are set against none
        (run.seed, record["epochs"]): record["last_valid_mean"]
        for run, record in found.items()
        if run.experiment == ORIGINAL and record["status"] == "ok"
    }
    rows = []
    for name in dict.fromkeys(files.run.experiment for files in listed):
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
    lines, spent = [], trainings(ABLATIONS)
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
                    "Training time": tables.training_time(spent.get(run["run"])),
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


def study(profile: str) -> None:
    """Write the study's results, picture and page (`UserError` if a run's files are absent)."""
    listed = run_files(read_params(ABLATIONS))
    results = collect(listed)
    write_json(FOLDER / "ablations.json", results)
    draw_ablations(results, FOLDER / "curves.png")
    samples = {
        files.run.key: data_address(files.picture("figure2")) for files in listed if files.trained
    }
    page = environment("HTML").get_template("ablations.html.j2")
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
