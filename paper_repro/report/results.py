"""``results.json``: one row an experiment, from the runs' own JSON files."""

import statistics
from pathlib import Path
from typing import Any

from paper_repro import config
from paper_repro.errors import UserError
from paper_repro.files import read_json
from paper_repro.report.published import PAPER
from paper_repro.report.recipe import changes

TITLES = {"mnist": "MNIST"}


def comparable(profile: str, canonical: bool, changed: list[str]) -> bool:
    """Return whether a number may be held against the paper's: its recipe on its data.

    Parameters
    ----------
    canonical : whether the data are the official bytes.
    changed : the keys in which a run differs from the released recipe.
    """
    return profile == "paper" and canonical and not changed


def _seed_row(run: config.Run) -> dict[str, Any]:
    training = read_json(run.folder / "training.json")
    metrics = read_json(run.folder / "metrics.json")
    return {
        "run": run.key,
        "seed": run.seed,
        "epochs": metrics["epochs"],
        "updates": training["updates"],
        "best_epoch": metrics["best_epoch"],
        "sigma": metrics["sigma"],
        "valid_mean": metrics["valid_mean"],
        "test_mean": metrics["test_mean"],
        "test_se": metrics["test_se"],
        "last_test_mean": metrics["last_test_mean"],
        "last_test_se": metrics["last_test_se"],
        "training_seconds": training["seconds"],
    }


def experiment_row(profile: str, name: str, dataset: str, runs: list[config.Run]) -> dict[str, Any]:
    """Return one experiment's row: its seeds and their mean, or why it was not run."""
    paper = PAPER.get(name)
    row: dict[str, Any] = {
        "experiment": name,
        "dataset": TITLES.get(dataset, dataset),
        "status": "not run",
        "canonical_data": False,
        "stand_in": None,
        "comparable": False,
        "changed": [],
        "paper": {"mean": paper.mean, "se": paper.se} if paper else None,
        "seeds": [],
        "mean": None,
        "seed_sd": None,
    }
    records = [read_json(run.folder / "training.json") for run in runs]
    missing = [record for record in records if record["status"] != "ok"]
    if not runs or missing:
        reason = {
            "reason": f"no run of it is listed for the {profile} profile",
            "todo": f"add one to runs in {config.PARAMS}",
        }
        source = missing[0] if missing else reason
        return row | {"reason": source["reason"], "todo": source["todo"]}
    seeds = [_seed_row(run) for run in runs]
    means = [seed["test_mean"] for seed in seeds]
    canonical = all(record["data"]["canonical"] for record in records)
    changed = sorted(
        {
            key
            for record in records
            for key in changes(name, record["experiment_parameters"], record["data"]["counts"])
        }
    )
    return row | {
        "status": "ok",
        "canonical_data": canonical,
        "stand_in": records[0]["data"]["stand_in"],
        "comparable": comparable(profile, canonical, changed),
        "changed": changed,
        "seeds": seeds,
        "mean": statistics.fmean(means),
        "seed_sd": statistics.stdev(means) if len(means) > 1 else None,
    }


def _provenance(runs: list[config.Run]) -> dict[str, Any]:
    found = {}
    for run in runs:
        training = read_json(run.folder / "training.json")
        if training["status"] != "ok":
            continue
        evaluation = read_json(run.folder / "evaluation.json")
        found[run.key] = {
            "data": training["data"],
            "training": training["sittings"],
            "evaluation": evaluation["provenance"],
            "parameters": training["experiment_parameters"],
        }
    return found


def collect(profile: str) -> dict[str, Any]:
    """Return the profile's results (`UserError` if a run's files are absent or damaged)."""
    params = config.read_params()
    profiles = params.get("profiles", {})
    if profile not in profiles:
        raise UserError(
            f"{config.PARAMS}: profiles.{profile}: no such key (there: {', '.join(profiles)})"
        )
    listed = list(config.runs(params, profile).values())
    rows = []
    for name in profiles[profile]["experiments"]:
        dataset = config.experiment(params, profile, name).dataset
        runs = [run for run in listed if run.experiment == name]
        rows.append(experiment_row(profile, name, dataset, runs))
    return {"profile": profile, "provenance": _provenance(listed), "rows": rows}


def results_path(profile: str) -> Path:
    """Return where a profile's results lie."""
    return Path("reports", profile, "results.json")
