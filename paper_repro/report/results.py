"""``results.json``: one row an experiment, from the runs' own JSON files."""

import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
from scipy.stats import linregress

from paper_repro.core.errors import UserError
from paper_repro.core.params import PARAMS, Params
from paper_repro.core.records import (
    AUDIT,
    FIGURE1,
    SAMPLE_SETS,
    THEORY,
    WEIGHTS,
    Measured,
    OverFolds,
    read_record,
)
from paper_repro.core.runs import Protocol, presentation, repro
from paper_repro.core.titles import TITLES
from paper_repro.report import schema
from paper_repro.report.claims import ledger
from paper_repro.report.published import PAPER, Published
from paper_repro.report.published import margin as paper_margin
from paper_repro.report.released import VARIANTS, changes
from paper_repro.report.run_files import RunFiles
from paper_repro.report.verdict import (
    Verdict,
    answer,
    distance_interval,
    explore,
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

DEPENDS = "depends on the grid of σ, which the paper does not state"
FEWEST_OF_TREND = 10  # validation estimates that a straight line is fitted to


def comparable(profile: str, stand_in: str | None, changed: list[str]) -> bool:
    """Return whether a number may be held against the paper's: its recipe on its data.

    Parameters
    ----------
    stand_in : what replaces the data set.
    changed : the keys in which a run differs from the released recipe.
    """
    return profile == "paper" and stand_in is None and not changed


def _at_end_of_grid(measured: Measured) -> bool:
    """Return whether the grid of σ ends where it was chosen: a better one may lie beyond."""
    means = list(measured["valid_mean_by_sigma"].values())
    return max(means) in (means[0], means[-1])


def _folds(measured: Measured | OverFolds) -> list[Measured]:
    """Return the estimate of each fold; of data without folds, the one that there is."""
    found: list[Any] = cast("dict[str, Any]", measured).get("folds", [measured])
    return found


def trend(epochs: "pd.Series[float]", nats: "pd.Series[float]") -> schema.Trend | None:
    """Return the slope of the last third of the validation estimates, with its error.

    None under `FEWEST_OF_TREND` estimates in that third.
    """
    last = len(nats) // 3
    if last < FEWEST_OF_TREND:
        return None
    line = linregress(epochs[-last:], nats[-last:])
    return {"slope": 100 * float(line.slope), "se": 100 * float(line.stderr)}


def _seed_row(files: RunFiles) -> schema.Seed:
    run, training = files.run, files.training
    selected, last = files.evaluation["selected"], files.evaluation["last"]
    folds = _folds(selected)
    validation = files.table("validation.csv")
    chosen = validation[validation.epoch == training["best_epoch"]].to_dict("records")
    if not chosen:
        raise UserError(
            f"{run.folder / 'validation.csv'}: has no epoch {training['best_epoch']}, of which "
            "training.json tells; restore it with git, or run "
            f"`{repro(run.profile, f'train@{run.key}')}`"
        )
    return {
        "run": run.key,
        "seed": run.seed,
        "epochs": training["epochs"],
        "updates": training["updates"],
        "best_epoch": training["best_epoch"],
        "sigma": [fold["sigma"] for fold in folds],
        "sigma_at_end_of_grid": any(_at_end_of_grid(fold) for fold in folds),
        "curve_mean": chosen[0]["valid_nats"],
        "curve_se": chosen[0]["valid_se"],
        "valid_mean": selected["valid_mean"],
        "valid_trend": trend(validation.epoch, validation.valid_nats),
        "test_mean": selected["test_mean"],
        "test_se": selected["test_se"],
        "test_se_population": cast("dict[str, float]", selected).get("test_se_population"),
        "folds": [
            {
                "sigma": fold["sigma"],
                "test_mean": fold["test_mean"],
                "test_se": fold["test_se"],
                "test_images": fold["test_images"],
            }
            for fold in folds
            if fold is not selected
        ],
        "last_test_mean": last["test_mean"],
        "last_test_se": last["test_se"],
        "parameters": training["parameters"],
        "selected": training["selected"],
        "weights_sha256": files.weights_sha256,
        "sets": _sets(files),
        "number": selected["test_mean"],
    }


def _sets(files: RunFiles) -> schema.Sets | None:
    """Return what a run's sets of samples make together, if it has any."""
    if not files.has("sample_sets.json"):
        return None
    found = files.measured("sample_sets.json", SAMPLE_SETS)
    sets = found["sets"]
    numbers = [one["default"]["first_images"]["test_mean"] for one in sets]
    return {
        "epoch": files.measured("generator.json", WEIGHTS)["epoch"],
        "count": len(sets),
        "mean": statistics.fmean(numbers),
        "sd": statistics.stdev(numbers),
        "grids": {
            name: {
                "first_images": statistics.fmean(
                    s[name]["first_images"]["test_mean"] for s in sets
                ),
                "all_images": statistics.fmean(s[name]["all_images"]["test_mean"] for s in sets),
            }
            for name in found["grids"]
        },
    }


def _alternatives(
    seeds: list[schema.Seed], paper: Published, margin: float, final: bool
) -> list[schema.Alternative]:
    """Return what other grids of σ would make of these runs; nothing if one has no sets."""
    sets = [seed["sets"] for seed in seeds if seed["sets"]]
    if len(sets) < len(seeds):
        return []
    lines: list[schema.Alternative] = []
    for grid in sets[0]["grids"]:
        means = [one["grids"][grid]["first_images"] for one in sets]
        interval = distance_interval(means, paper.mean)
        lines.append(
            {
                "grid": grid,
                "mean": statistics.fmean(means),
                "interval": interval,
                "answer": answer(interval, margin) if interval and final else None,
            }
        )
    return lines


def _verdict(verdict: Verdict) -> schema.Verdict:
    return cast("schema.Verdict", asdict(verdict))


def _judged(row: schema.Row, paper: Published, protocol: Protocol | None) -> Verdict:
    """Return the verdict on a comparable row, and put what other grids say into the row."""
    name, seeds = row["experiment"], row["seeds"]
    numbers, margin = [seed["number"] for seed in seeds], paper_margin(name)
    row["margin"] = margin
    if protocol and not any(_in(protocol, seed) for seed in seeds):
        return explore(numbers, paper.mean, len(protocol.seeds), protocol.epochs)
    diverged = sum(failed["status"] == "diverged" for failed in row["failed"])
    verdict = judge(numbers, paper.mean, margin, diverged=diverged)
    row["alternatives"] = _alternatives(seeds, paper, margin, verdict.answer is not None)
    opposite = {"reproduced": "not reproduced", "not reproduced": "reproduced"}
    against = opposite.get(verdict.answer or "")
    if against and any(other["answer"] == against for other in row["alternatives"]):
        return replace(verdict, text=f"{verdict.text}; {DEPENDS}")
    return verdict


def _in(protocol: Protocol, seed: schema.Seed) -> bool:
    return seed["seed"] in protocol.seeds and seed["epochs"] == protocol.epochs


def _numbered(seed: schema.Seed, protocol: Protocol | None, own: str) -> schema.Seed:
    """Return a seed with the number that is judged (`UserError` if it was not measured)."""
    if protocol is None or not _in(protocol, seed):
        return seed
    if seed["sets"] is None:
        raise UserError(
            f"{own}: presentation.published: lacks {seed['run']}, whose number is the mean over "
            "sets of samples; add it, then type `paper_repro runs` and `dvc repro`"
        )
    return {**seed, "number": seed["sets"]["mean"]}


def _changed(files: RunFiles, listed: list[RunFiles]) -> list[str]:
    """Return in what a run, and the one that it is stacked on, differ from the released recipes."""
    run = files.run
    found = changes(run.experiment, files.parameters, files.training["data"]["counts"])
    below = run.stacked_on
    if below:
        lower = next(other for other in listed if other.run.key == below.stem)
        found += [f"{lower.run.experiment}.{name}" for name in _changed(lower, listed)]
    return found


def _require_alike(trained: list[RunFiles]) -> None:
    """Raise a `UserError` if seeds that would be averaged have other data or another recipe."""
    first = trained[0]

    def made_of(files: RunFiles) -> dict[str, Any]:
        record = files.training
        return {
            "on other data": record["data"]["sha256"],
            "by another recipe": record["experiment_parameters"] | {"device": None},
        }

    expected = made_of(first)
    for files in trained[1:]:
        for what, found in made_of(files).items():
            if found != expected[what]:
                raise UserError(
                    f"{files.run.folder / 'training.json'}: trained {what} than {first.run.key}; "
                    f"run `{repro(files.run.profile, f'report@{files.run.profile}')}`"
                )


def experiment_row(
    params: Params, name: str, runs: list[RunFiles], listed: list[RunFiles]
) -> schema.Row:
    """Return one experiment's row: its seeds and their mean, or why it was not run.

    Parameters
    ----------
    runs : the experiment's, of those `listed` for the profile.
    """
    profile, (values, _) = params.profile, params.recipe(name)
    paper = PAPER.get(name)
    row: schema.Row = {
        "experiment": name,
        "title": EXPERIMENTS.get(name, name),  # an experiment of the user's own
        "dataset": TITLES[values["dataset"]],
        "status": "not run",
        "canonical_data": False,
        "stand_in": None,
        "comparable": False,
        "changed": [],
        "adam": values.get("adam") is not None,
        "paper": {"mean": paper.mean, "se": paper.se} if paper else None,
        "failed": [],
        "seeds": [],
        "mean": None,
        "seed_sd": None,
        "mean_interval": None,
        "margin": None,
        "verdict": _verdict(Verdict("not run")),
        "alternatives": [],
    }
    trained = [files for files in runs if files.trained]
    row["failed"] = [
        {
            "run": files.run.key,
            "status": files.record["status"],
            "reason": files.record["reason"],
            "todo": files.record["todo"],
        }
        for files in runs
        if files.record["status"] != "ok"
    ]
    if not trained:
        first: schema.Failed = {
            "run": "",
            "status": "not run",
            "reason": f"no run of it is listed for the {profile} profile",
            "todo": f"add a seed to seeds.{name} in {params.own.path}",
        }
        if row["failed"]:
            first = row["failed"][0]
        data: Any = runs[0].record.get("data", {}) if runs else {}  # of runs that diverged
        row["status"], row["reason"], row["todo"] = first["status"], first["reason"], first["todo"]
        row["verdict"] = _verdict(Verdict(first["status"]))
        row["stand_in"] = data.get("stand_in")
        return row
    _require_alike(trained)
    protocol = presentation(params).protocol.get(name)
    own = str(params.own.path)
    seeds = [_numbered(_seed_row(files), protocol, own) for files in trained]
    numbers = [seed["number"] for seed in seeds]
    stand_in = trained[0].training["data"]["stand_in"]
    changed = sorted({key for files in trained for key in _changed(files, listed)})
    row["seeds"] = seeds
    verdict = Verdict("not comparable")
    if comparable(profile, stand_in, changed):
        verdict = _judged(row, paper, protocol) if paper else Verdict("no number in the paper")
    row.update(
        {
            "status": "ok",
            "canonical_data": all(files.training["data"]["canonical"] for files in trained),
            "stand_in": stand_in,
            "comparable": comparable(profile, stand_in, changed),
            "changed": changed,
            "mean": statistics.fmean(numbers),
            "seed_sd": statistics.stdev(numbers) if len(numbers) > 1 else None,
            "mean_interval": mean_interval(numbers),
            "verdict": _verdict(verdict),
        }
    )
    return row


def variants(listed: list[RunFiles]) -> list[schema.Variant]:
    """Return, for each trained variant, its validation estimates beside those of the original.

    Only epochs that both measured, of the same seed; nats.
    """
    trained = {(f.run.experiment, f.run.seed): f for f in listed if f.trained}
    found: list[schema.Variant] = []
    for (name, seed), files in trained.items():
        original = trained.get((VARIANTS.get(name, ""), seed))
        if original is None:
            continue
        ours, theirs = (
            f.table("validation.csv").set_index("epoch").valid_nats for f in (files, original)
        )
        both = pd.DataFrame({"ours": ours, "theirs": theirs}).dropna()
        if len(both) < 2:  # no spread of differences
            continue
        found.append(
            {
                "run": files.run.key,
                "original": original.run.key,
                "changed": _changed(files, listed),
                "epochs": both.index.tolist(),
                "valid_nats": both.ours.tolist(),
                "original_valid_nats": both.theirs.tolist(),
                "mean_difference": float((both.ours - both.theirs).mean()),
                "median_difference": float((both.ours - both.theirs).median()),
                "sd_difference": float((both.ours - both.theirs).std()),
            }
        )
    return found


def _provenance(listed: list[RunFiles]) -> dict[str, schema.Provenance]:
    found: dict[str, schema.Provenance] = {}
    for files in listed:
        training = files.record
        if training["status"] == "not run":
            continue
        found[files.run.key] = {
            "data": training["data"],
            "parameters": files.parameters,
        }
    return found


def _audit(listed: list[RunFiles]) -> schema.Audit | None:
    """Return the audit of the measure if there is one of these runs, with its picture's place."""
    for files in listed:
        path = files.run.folder / "parzen_audit.json"
        if path.is_file() and (found := read_record(path, AUDIT))["status"] == "ok":
            picture = results_path(files.run.profile).with_name("curves") / "parzen_audit.png"
            return cast("schema.Audit", {**found, "picture": picture.as_posix()})
    return None


def collect(params: Params, listed: list[RunFiles]) -> schema.Results:
    """Return the results of a profile's runs.

    Raises
    ------
    UserError
        If no run is listed, or a run's files are absent or damaged.
    """
    profile = params.profile
    if not listed:
        raise UserError(f"{params.own.path}: seeds: lists no run; add one")
    rows = []
    for name in params.group("seeds"):
        own = [files for files in listed if files.run.experiment == name]
        rows.append(experiment_row(params, name, own, listed))
    folder = results_path(profile).parent
    theory = read_record(folder / "theory.json", THEORY, repro(profile, f"theory@{profile}"))
    figure1 = read_record(folder / "figure1.json", FIGURE1, repro(profile, f"figure1@{profile}"))
    place = params.places("theory", "figure1")[0]
    reduced = place.path != PARAMS and bool(place.values)
    return {
        "profile": profile,
        "provenance": _provenance(listed),
        "rows": rows,
        "claims": ledger(rows, listed, theory, figure1, figure1_reduced=reduced),
        "variants": variants(listed),
        "audit": _audit(listed),
        "theory": theory,
        "figure1": figure1,
    }


def results_path(profile: str) -> Path:
    """Return where a profile's results lie."""
    return Path("reports", profile, "results.json")
