"""``results.json``: one row an experiment, from the runs' own JSON files."""

import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pandas as pd
from scipy.stats import linregress

from paper_repro import config
from paper_repro.data.titles import TITLES
from paper_repro.errors import UserError
from paper_repro.files import read_json
from paper_repro.report import schema
from paper_repro.report.claims import ledger
from paper_repro.report.measured import read_measured, read_table
from paper_repro.report.published import PAPER, Published
from paper_repro.report.recipe import VARIANTS, changes
from paper_repro.report.verdict import (
    FEWEST_SEEDS,
    Verdict,
    alternatives,
    judge,
    mean_interval,
)

# What each experiment is, and where the paper shows it.
EXPERIMENTS = {
    "mnist": "MNIST, figure 2 a",
    "tfd_pretrain": "TFD, phase 1",
    "tfd": "TFD, figure 2 b",
    "cifar10_fc": "CIFAR-10, fully connected, figure 2 c",
    "cifar10_conv": "CIFAR-10, convolutional, figure 2 d",
    "mnist_alternating": "MNIST, players in turn, k = 1 (Algorithm 1)",
    "mnist_alternating_k2": "MNIST, players in turn, k = 2",
    "mnist_alternating_k5": "MNIST, players in turn, k = 5",
    "mnist_gaussian": "MNIST with Gaussian noise",
    "mnist_minimax": "MNIST, the generator minimises log(1 − D)",
    "mnist_full_sum": "MNIST, the discriminator's loss is not halved",
    "mnist_unscaled_dropout": "MNIST, dropout without its scale",
    "mnist_bfloat16": "MNIST with bfloat16 matrix products, no part of the paper",
    "mnist_notebook": "MNIST, the tutorial's small network, no part of the paper",
}

# Of experiments for which a number was stated before their second seed was trained (21ba14a).
PLANNED_SEEDS = {"mnist": 5}
WEIGHTS = "paper-mnist-0"  # the run whose generator is published
FEWEST_OF_TREND = 10  # validation estimates that a straight line is fitted to


def comparable(profile: str, stand_in: str | None, changed: list[str]) -> bool:
    """Return whether a number may be held against the paper's: its recipe on its data.

    Parameters
    ----------
    stand_in : what replaces the data set.
    changed : the keys in which a run differs from the released recipe.
    """
    return profile == "paper" and stand_in is None and not changed


def _at_end_of_grid(measured: dict[str, Any]) -> bool:
    """Return whether the grid of σ ends where it was chosen: a better one may lie beyond."""
    means = list(measured["valid_mean_by_sigma"].values())
    return max(means) in (means[0], means[-1])


def trend(epochs: "pd.Series[float]", nats: "pd.Series[float]") -> schema.Trend | None:
    """Return the slope of the last third of the validation estimates, with its error.

    None under `FEWEST_OF_TREND` estimates in that third.
    """
    last = len(nats) // 3
    if last < FEWEST_OF_TREND:
        return None
    line = linregress(epochs[-last:], nats[-last:])
    return {"slope": 100 * float(line.slope), "se": 100 * float(line.stderr)}


def _seed_row(run: config.Run, epochs: int) -> schema.Seed:
    training = read_json(run.folder / "training.json")
    if training["epochs"] != epochs:  # or seeds of different lengths would be averaged
        raise UserError(
            f"{run.folder / 'training.json'}: {training['epochs']} epochs, {config.PARAMS} says "
            f"{epochs}; run `dvc repro report@{run.profile}`"
        )
    metrics = read_measured(run, "metrics.json")
    selected = read_measured(run, "evaluation.json")["selected"]
    folds = selected.get("folds", [selected])
    validation = read_table(run, "validation.csv")
    chosen = validation[validation.epoch == metrics["best_epoch"]].to_dict("records")
    if not chosen:
        raise UserError(
            f"{run.folder / 'validation.csv'}: has no epoch {metrics['best_epoch']}, of which "
            f"metrics.json tells; restore it with git, or run `dvc repro evaluate@{run.key}`"
        )
    return {
        "run": run.key,
        "seed": run.seed,
        "epochs": metrics["epochs"],
        "updates": training["updates"],
        "best_epoch": metrics["best_epoch"],
        "sigma": [fold["sigma"] for fold in folds],
        "sigma_at_end_of_grid": any(_at_end_of_grid(fold) for fold in folds),
        "curve_mean": chosen[0]["valid_nats"],
        "curve_se": chosen[0]["valid_se"],
        "valid_mean": metrics["valid_mean"],
        "valid_trend": trend(validation.epoch, validation.valid_nats),
        "test_mean": metrics["test_mean"],
        "test_se": metrics["test_se"],
        "test_se_population": selected.get("test_se_population"),
        "folds": [
            {
                "sigma": fold["sigma"],
                "test_mean": fold["test_mean"],
                "test_se": fold["test_se"],
                "test_images": fold["test_images"],
            }
            for fold in selected.get("folds", [])
        ],
        "last_test_mean": metrics["last_test_mean"],
        "last_test_se": metrics["last_test_se"],
        "training_seconds": training["seconds"],
        "parameters": training["parameters"],
        "selected": training["selected"],
        # None for runs that were trained before it was recorded.
        "peak_memory_bytes": max(
            (s["peak_memory_bytes"] for s in training["sittings"] if "peak_memory_bytes" in s),
            default=None,
        ),
    }


def _alternatives(seeds: list[schema.Seed], paper: Published) -> list[schema.Alternative]:
    """Return what the verdict on these runs would be if one choice behind it were another."""
    last = (
        [seed["last_test_mean"] for seed in seeds],
        [seed["last_test_se"] for seed in seeds],
    )
    found = alternatives(
        [seed["test_mean"] for seed in seeds],
        [seed["test_se"] for seed in seeds],
        paper,
        last if any(seed["selected"] == "best" for seed in seeds) else None,
    )
    return [cast("schema.Alternative", asdict(one)) for one in found]


def _verdict(verdict: Verdict) -> schema.Verdict:
    return cast("schema.Verdict", asdict(verdict))


def _changed(run: config.Run, params: dict[str, Any]) -> list[str]:
    """Return in what a run, and the one that it is stacked on, differ from the released recipes."""
    record = read_json(run.folder / "training.json")
    parameters = record["experiment_parameters"]
    found = changes(run.experiment, parameters, record["data"]["counts"])
    below = parameters.get("pretrained")
    if below:
        key = f"{run.profile}-{below}-{run.seed}"
        found += [f"{below}.{name}" for name in _changed(config.run(params, key), params)]
    return found


def experiment_row(
    params: dict[str, Any], profile: str, name: str, runs: list[config.Run]
) -> schema.Row:
    """Return one experiment's row: its seeds and their mean, or why it was not run."""
    experiment = config.experiment(params, profile, name)
    paper = PAPER.get(name)
    row: schema.Row = {
        "experiment": name,
        "title": EXPERIMENTS.get(name, name),  # an experiment of the user's own
        "dataset": TITLES[experiment.dataset],
        "status": "not run",
        "canonical_data": False,
        "stand_in": None,
        "comparable": False,
        "changed": [],
        "adam": experiment.adam is not None,
        "paper": {"mean": paper.mean, "se": paper.se} if paper else None,
        "failed": [],
        "seeds": [],
        "mean": None,
        "seed_sd": None,
        "mean_interval": None,
        "verdict": _verdict(Verdict("not run")),
        "alternatives": [],
    }
    records = {run: read_json(run.folder / "training.json") for run in runs}
    trained = [run for run in runs if records[run]["status"] == "ok"]
    row["failed"] = [
        {
            "run": run.key,
            "status": records[run]["status"],
            "reason": records[run]["reason"],
            "todo": records[run]["todo"],
        }
        for run in runs
        if run not in trained
    ]
    if not trained:
        first: schema.Failed = {
            "run": "",
            "status": "not run",
            "reason": f"no run of it is listed for the {profile} profile",
            "todo": f"add one to runs in {config.PARAMS}",
        }
        if row["failed"]:
            first = row["failed"][0]
        data = records[runs[0]].get("data", {}) if runs else {}  # of runs that diverged
        row["status"], row["reason"], row["todo"] = first["status"], first["reason"], first["todo"]
        row["verdict"] = _verdict(Verdict(first["status"]))
        row["stand_in"] = data.get("stand_in")
        return row
    for run in trained:  # or seeds that saw different images would be averaged
        if records[run]["data"]["sha256"] != records[trained[0]]["data"]["sha256"]:
            raise UserError(
                f"{run.folder / 'training.json'}: trained on other data than {trained[0].key}; run "
                f"`dvc repro report@{profile}`"
            )
    seeds = [_seed_row(run, experiment.epochs) for run in trained]
    means = [seed["test_mean"] for seed in seeds]
    stand_in = records[trained[0]]["data"]["stand_in"]
    changed = sorted({key for run in trained for key in _changed(run, params)})
    verdict = Verdict("not comparable")
    if comparable(profile, stand_in, changed):
        verdict = Verdict("no number in the paper")
        if paper:
            errors = [seed["test_se"] for seed in seeds]
            planned = PLANNED_SEEDS.get(name, FEWEST_SEEDS)
            verdict = judge(means, errors, paper, planned=planned)
            row["alternatives"] = _alternatives(seeds, paper)
    row.update(
        {
            "status": "ok",
            "canonical_data": all(records[run]["data"]["canonical"] for run in trained),
            "stand_in": stand_in,
            "comparable": comparable(profile, stand_in, changed),
            "changed": changed,
            "seeds": seeds,
            "mean": statistics.fmean(means),
            "seed_sd": statistics.stdev(means) if len(means) > 1 else None,
            "mean_interval": mean_interval(means),
            "verdict": _verdict(verdict),
        }
    )
    return row


def variants(listed: list[config.Run], params: dict[str, Any]) -> list[schema.Variant]:
    """Return, for each trained variant, its validation estimates beside those of the original.

    Only epochs that both measured, of the same seed; nats.
    """
    trained = {
        (run.experiment, run.seed): run
        for run in listed
        if read_json(run.folder / "training.json")["status"] == "ok"
    }
    found: list[schema.Variant] = []
    for (name, seed), run in trained.items():
        original = trained.get((VARIANTS.get(name, ""), seed))
        if original is None:
            continue
        ours, theirs = (
            read_table(r, "validation.csv").set_index("epoch").valid_nats for r in (run, original)
        )
        both = pd.DataFrame({"ours": ours, "theirs": theirs}).dropna()
        if len(both) < 2:  # no spread of differences
            continue
        found.append(
            {
                "run": run.key,
                "original": original.key,
                "changed": _changed(run, params),
                "epochs": both.index.tolist(),
                "valid_nats": both.ours.tolist(),
                "original_valid_nats": both.theirs.tolist(),
                "mean_difference": float((both.ours - both.theirs).mean()),
                "median_difference": float((both.ours - both.theirs).median()),
                "sd_difference": float((both.ours - both.theirs).std()),
            }
        )
    return found


def _provenance(runs: list[config.Run]) -> dict[str, schema.Provenance]:
    found: dict[str, schema.Provenance] = {}
    for run in runs:
        training = read_json(run.folder / "training.json")
        if training["status"] == "not run":
            continue
        evaluation = read_json(run.folder / "evaluation.json")
        found[run.key] = {
            "data": training["data"],
            "training": training["sittings"],
            "evaluation": evaluation.get("provenance"),  # none of a run that diverged
            "parameters": training["experiment_parameters"],
        }
    return found


def _audit(runs: list[config.Run]) -> schema.Audit | None:
    """Return the audit of the measure, and its picture's place, if there is one of these runs."""
    for run in runs:
        path = run.folder / "audit.json"
        if path.is_file() and (found := read_json(path))["status"] == "ok":
            return cast("schema.Audit", found | {"picture": path.with_suffix(".png").as_posix()})
    return None


def collect(profile: str) -> schema.Results:
    """Return the profile's results (`UserError` if a run's files are absent or damaged)."""
    params = config.read_params()
    experiments = config.group(params, "profiles", profile, "experiments")
    if not experiments:
        raise UserError(f"{config.PARAMS}: profiles.{profile}.experiments: names none; add one")
    listed = list(config.runs(params, profile).values())
    rows = []
    for name in experiments:
        runs = [run for run in listed if run.experiment == name]
        rows.append(experiment_row(params, profile, name, runs))
    folder = results_path(profile).parent
    theory, figure1 = (read_json(folder / name) for name in ("theory.json", "figure1.json"))
    return {
        "profile": profile,
        "provenance": _provenance(listed),
        "rows": rows,
        "claims": ledger(
            rows,
            listed,
            theory,
            figure1,
            figure1_reduced="figure1" in (params["profiles"][profile].get("theory") or {}),
        ),
        "variants": variants(listed, params),
        "audit": _audit(listed),
        "theory": theory,
        "figure1": figure1,
    }


def results_path(profile: str) -> Path:
    """Return where a profile's results lie."""
    return Path("reports", profile, "results.json")
