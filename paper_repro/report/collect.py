"""From the runs' own files to ``results.json``: one row an experiment."""

import statistics
from typing import Any, cast

import pandas as pd
from scipy.stats import linregress

from paper_repro.core.errors import UserError
from paper_repro.core.files import digest
from paper_repro.core.params import PARAMS, Params
from paper_repro.core.records import read_record
from paper_repro.core.runs import repro, weights_path
from paper_repro.core.titles import TITLES
from paper_repro.diagnostics.parzen_audit import AUDIT, Audit
from paper_repro.diagnostics.sample_sets import DEFAULT_GRID, GSN_GRID, SAMPLE_SETS
from paper_repro.evaluation.evaluate import Measured, OverFolds
from paper_repro.evaluation.trained_run import WEIGHTS
from paper_repro.figures.figure1 import FIGURE1
from paper_repro.figures.mixing import MIXING
from paper_repro.pipeline.presentation import (
    ABLATIONS,
    Presentation,
    presentation,
    report_stage,
    reported,
)
from paper_repro.report.benchmarks import epoch_seconds, sampling_seconds
from paper_repro.report.claims import ledger
from paper_repro.report.published import OTHERS, PAPER, margin
from paper_repro.report.release import against_release
from paper_repro.report.released import changes, released_recipe, varied
from paper_repro.report.results import (
    Against,
    Alternative,
    Estimate,
    Failed,
    Fold,
    Inputs,
    Mixes,
    Published,
    Results,
    Row,
    Seed,
    Sets,
    Trend,
    Variant,
    Verdict,
    results_path,
)
from paper_repro.report.run_files import RunFiles
from paper_repro.report.verdict import answer, distance_interval, explore, judge, mean_interval

FEWEST_OF_TREND = 10  # validation estimates that a straight line is fitted to
LAST = 5  # validation estimates neighbouring in a run differ by some nats: the mean of so many


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


def trend(epochs: "pd.Series[float]", nats: "pd.Series[float]") -> Trend | None:
    """Return the slope of the last third of the validation estimates, with its error.

    None under `FEWEST_OF_TREND` estimates in that third.
    """
    last = len(nats) // 3
    if last < FEWEST_OF_TREND:
        return None
    line = linregress(epochs[-last:], nats[-last:])
    return Trend(slope=100 * float(line.slope), se=100 * float(line.stderr))


def _seed(files: RunFiles, shown: Presentation, own: str) -> Seed:
    """Return a run as the page shows it (`UserError` if what is judged was not measured)."""
    run, training = files.run, files.training
    which, epoch = reported(shown, run, training)
    last = files.evaluation["last"]
    found = last if which == "last" else files.evaluation["selected"]
    folds, sets = _folds(found), _sets(files, epoch)
    judged = shown.judges(run, training["epochs"])
    if judged and sets is None:
        raise UserError(
            f"{own}: presentation.published: lacks {run.key}, whose number is the mean over "
            "sets of samples; add it, then type `paper_repro runs` and `dvc repro`"
        )
    validation = files.table("validation.csv")
    chosen = validation[validation.epoch == epoch].to_dict("records")
    if not chosen:
        raise UserError(
            f"{run.folder / 'validation.csv'}: has no epoch {epoch}, of which "
            "training.json tells; restore it with git, or run "
            f"`{repro(run.profile, f'train@{run.key}')}`"
        )
    return Seed(
        run=run.key,
        seed=run.seed,
        epochs=training["epochs"],
        updates=training["updates"],
        best_epoch=epoch,
        selected=which,
        parameters=training["parameters"],
        sigma=[fold["sigma"] for fold in folds],
        sigma_at_end_of_grid=any(_at_end_of_grid(fold) for fold in folds),
        curve_mean=chosen[0]["valid_nats"],
        curve_se=chosen[0]["valid_se"],
        valid_mean=found["valid_mean"],
        valid_trend=trend(validation.epoch, validation.valid_nats),
        test_mean=found["test_mean"],
        test_se=found["test_se"],
        test_se_population=cast("dict[str, float]", found).get("test_se_population"),
        folds=[
            Fold(**{name: fold[name] for name in Fold.model_fields})  # type: ignore[literal-required]
            for fold in folds
            if fold is not found
        ],
        last_test_mean=last["test_mean"],
        last_test_se=last["test_se"],
        thinned=_thinned(files),
        recipe_sha256=digest(list(_made_of(files).values())),
        weights_sha256=files.weights_sha256,
        sets=sets,
        number=sets.mean if judged and sets else found["test_mean"],
    )


def _thinned(files: RunFiles) -> Estimate | None:
    found: Any = files.evaluation.get("thinned")
    return Estimate(**{name: found[name] for name in Estimate.model_fields}) if found else None


def _sets(files: RunFiles, epoch: int) -> Sets | None:
    """Return what the sets of samples of a run's generator of that epoch make, if it has any."""
    if not files.published:
        return None
    weights = files.measured("generator.json", WEIGHTS)["epoch"]
    if weights != epoch:
        run = files.run
        raise UserError(
            f"{weights_path(run)}: is of epoch {weights}, but the number is of epoch {epoch}; run "
            f"`{repro(run.profile, f'weights@{run.key}', report_stage(run.profile))}`"
        )
    found = files.measured("sample_sets.json", SAMPLE_SETS)

    def means(grid: str, images: str) -> list[float]:
        return [one[grid][images]["test_mean"] for one in found["sets"]]  # type: ignore[literal-required]

    numbers = means(DEFAULT_GRID, "first_images")
    return Sets(
        epoch=epoch,
        count=len(numbers),
        mean=statistics.fmean(numbers),
        sd=statistics.stdev(numbers),
        grids={
            grid: {
                "first_images": statistics.fmean(means(grid, "first_images")),
                "all_images": statistics.fmean(means(grid, "all_images")),
            }
            for grid in found["grids"]
        },
    )


def _alternatives(
    seeds: list[Seed], paper: Published, margin: float, *, final: bool
) -> list[Alternative]:
    """Return what other grids of σ would make of these runs; nothing if one has no sets."""
    sets = [seed.sets for seed in seeds if seed.sets]
    if len(sets) < len(seeds):
        return []
    lines = []
    for grid in sets[0].grids:
        means = [one.grids[grid]["first_images"] for one in sets]
        interval = distance_interval(means, paper.mean)
        said = answer(interval, margin) if interval and final else None
        mean = statistics.fmean(means)
        lines.append(Alternative(grid=grid, mean=mean, interval=interval, answer=said))
    return lines


def _length_lacked(experiment: str, seeds: list[Seed]) -> int | None:
    """Return how many epochs a recipe has where a run has fewer; None where none has."""
    length: int = (released_recipe(experiment, experiment) or {}).get("length", 0)
    return length if any(seed.epochs < length for seed in seeds) else None


def _documented(model: str, parameters: dict[str, Any]) -> Verdict:
    """Return by what recipe another model of Table 1 is."""
    documented = (released_recipe(model, model) or {}).get("documented", {})
    as_documented = all(parameters[key] == value for key, value in documented.items())
    return Verdict(kind="documented recipe" if as_documented else "adapted recipe")


def _judged(row: Row, paper: Published, bound: float, diverged: int) -> Verdict:
    """Return the verdict on a comparable row, and put what other grids say into the row."""
    numbers = [seed.number for seed in row.seeds]
    verdict = judge(numbers, paper.mean, bound, diverged=diverged)
    final = verdict.answer is not None
    row.alternatives = _alternatives(row.seeds, paper, bound, final=final)
    opposite = {"reproduced": "not reproduced", "not reproduced": "reproduced"}
    against = opposite.get(verdict.kind)
    # Deep GSN's σ is no grid that the protocol names.
    others = [other.answer for other in row.alternatives if other.grid != GSN_GRID]
    decides = against is not None and against in others
    return verdict.model_copy(update={"grid_decides": decides})


def _made_of(files: RunFiles) -> dict[str, Any]:
    record = files.training
    return {
        "on other data": record["data"]["sha256"],
        "by another recipe": record["experiment_parameters"] | {"device": None},
    }


def _require_alike(trained: list[RunFiles]) -> None:
    """Raise a `UserError` if seeds that would be averaged have other data or another recipe."""
    first = trained[0]
    expected = _made_of(first)
    for files in trained[1:]:
        for what, found in _made_of(files).items():
            if found != expected[what]:
                raise UserError(
                    f"{files.run.folder / 'training.json'}: trained {what} than {first.run.key}; "
                    f"run `{repro(files.run.profile, report_stage(files.run.profile))}`"
                )


class Collected:
    """A profile's runs, on the way to its results."""

    def __init__(self, params: Params, listed: list[RunFiles]):
        self.params, self.listed = params, listed
        self.by_key = {files.run.key: files for files in listed}

    def changed(self, files: RunFiles) -> list[str]:
        """Return in what a run, and the one that it is stacked on, differ from the released one."""
        run = files.run
        released = released_recipe(run.experiment, self.params.base(run.experiment))
        if released is None:  # an experiment of the user's own
            return [f"experiments.{run.experiment}"]
        found = changes(released, files.parameters, files.training["data"]["counts"])
        if run.stacked_on:
            lower = self.by_key[run.stacked_on.stem]
            found += [f"{lower.run.experiment}.{name}" for name in self.changed(lower)]
        return found

    def row(self, name: str) -> Row:
        """Return one experiment's row: its seeds and their mean, or why it was not run."""
        profile, (values, _) = self.params.profile, self.params.recipe(name)
        runs = [files for files in self.listed if files.run.experiment == name]
        trained = [files for files in runs if files.trained]
        row = Row(
            experiment=name,
            dataset=TITLES[values["dataset"]],
            status="not run",
            paper=OTHERS[name].mnist if name in OTHERS else PAPER.get(name),
            other_model=OTHERS[name].name if name in OTHERS else None,
            failed=[
                Failed(
                    run=files.run.key,
                    status=files.record["status"],
                    reason=files.record["reason"],
                    todo=files.record["todo"],
                )
                for files in runs
                if files.record["status"] != "ok"
            ],
            verdict=Verdict(kind="not run"),
        )
        if not trained:
            none = Failed(
                run="",
                status="not run",
                reason=f"no run of it is listed for the {profile} profile",
                todo=f"add a seed to seeds.{name} in {self.params.own.path}",
            )
            row.failed = row.failed or [none]
            data: Any = runs[0].record.get("data", {}) if runs else {}  # of runs that diverged
            row.status, row.stand_in = row.failed[0].status, data.get("stand_in")
            row.verdict = Verdict(kind="diverged" if row.status == "diverged" else "not run")
            return row
        _require_alike(trained)
        shown, own = presentation(self.params), str(self.params.own.path)
        protocol = shown.protocol.get(name)
        data = trained[0].training["data"]
        row.status, row.stand_in = "ok", data["stand_in"]
        row.seeds = [_seed(files, shown, own) for files in trained]
        judged = {shown.judges(files.run, files.training["epochs"]) for files in trained}
        if len(judged) > 1:
            raise UserError(
                f"{own}: seeds.{name}: lists seeds that the protocol judges beside others; list "
                "one kind, then type `paper_repro runs`"
            )
        diverged = sum(
            files.record["status"] == "diverged"
            and (protocol is None or files.run.seed in protocol.seeds)
            for files in runs
        )
        numbers = [seed.number for seed in row.seeds]
        row.mean = statistics.fmean(numbers)
        row.seed_sd = statistics.stdev(numbers) if len(numbers) > 1 else None
        row.changed = sorted({key for files in trained for key in self.changed(files)})
        thinned = [seed.thinned.test_mean for seed in row.seeds if seed.thinned]
        if thinned:
            row.thinned_mean = statistics.fmean(thinned)
            row.thinned_sd = statistics.stdev(thinned) if len(thinned) > 1 else None
        row.comparable = comparable(profile, row.stand_in, row.changed)
        row.verdict = Verdict(kind="not comparable")
        if row.comparable:
            row.verdict = Verdict(kind="no published number")
            model = self.params.base(name)
            row.length = _length_lacked(model, row.seeds)
            if row.length:
                row.verdict = Verdict(kind="interim")
            elif model in OTHERS:
                row.verdict = _documented(model, trained[0].parameters)
            elif row.paper:
                row.margin = margin(name)
                if protocol and not any(judged):
                    row.verdict = explore(numbers, row.paper.mean, len(protocol.seeds))
                else:
                    row.verdict = _judged(row, row.paper, row.margin, diverged)
        return row

    def variants(self) -> list[Variant]:
        """Return, for each trained variant, its runs against its original's of the same seeds."""
        trained = {(f.run.experiment, f.run.seed): f for f in self.listed if f.trained}
        found = []
        for name in dict.fromkeys(experiment for experiment, _ in trained):
            original = self.params.base(name)
            if released_recipe(name, name) or original == name:
                continue
            pairs = [
                (files, trained[original, seed])
                for (experiment, seed), files in trained.items()
                if experiment == name and (original, seed) in trained
            ]
            seeds = [one for pair in pairs if (one := _against(*pair))]
            differences = [one.valid_mean - one.original_valid_mean for one in seeds]
            if differences:
                found.append(
                    Variant(
                        experiment=name,
                        changed=varied(pairs[0][1].parameters, pairs[0][0].parameters),
                        seeds=seeds,
                        difference=statistics.fmean(differences),
                        interval=mean_interval(differences),
                    )
                )
        return found

    def mixing(self) -> list[Mixes]:
        """Return how the samples of those runs follow each other that were followed."""
        timed = self.params.profile == "paper"  # by its recipes alone
        steps = sampling_seconds() if timed else {}
        epochs = epoch_seconds() if timed else {}
        found = []
        for name in presentation(self.params).mixing:
            files = next(files for files in self.listed if files.run.experiment == name)
            if files.trained:
                measured = files.measured("mixing.json", MIXING)
                found.append(
                    Mixes(
                        run=files.run.key,
                        experiment=name,
                        measured=measured,
                        seconds_a_step=steps.get(name, {}),
                        seconds_to_train=epochs[name] * files.training["epochs"]
                        if name in epochs
                        else None,
                    )
                )
        return found

    def audit(self) -> Audit | None:
        """Return the audit of the measure, if there is one of these runs."""
        for files in self.listed:
            if files.has("parzen_audit.json"):
                found = read_record(files.run.folder / "parzen_audit.json", AUDIT)
                if found["status"] == "ok":
                    return found
        return None


def _against(files: RunFiles, original: RunFiles) -> Against | None:
    """Return a run against its original; None if they measured no epoch in common."""
    ours, theirs = (
        f.table("validation.csv").set_index("epoch").valid_nats for f in (files, original)
    )
    by_layer = files.training["epochs"] > files.parameters["epochs"]
    # Of a model trained layer by layer, neighbouring estimates are of other models.
    both = pd.DataFrame({"ours": ours, "theirs": theirs}).dropna().tail(1 if by_layer else LAST)
    if both.empty:
        return None
    return Against(
        run=files.run.key,
        epoch=int(both.index[-1]),
        valid_mean=float(both.ours.mean()),
        original_valid_mean=float(both.theirs.mean()),
    )


def collect(params: Params, listed: list[RunFiles]) -> Results:
    """Return the results of a profile's runs.

    Raises
    ------
    UserError
        If no run is listed, or a run's files are absent or damaged.
    """
    profile = params.profile
    if not listed:
        raise UserError(f"{params.own.path}: seeds: lists no run; add one")
    found = Collected(params, listed)
    rows = [found.row(name) for name in params.group("seeds")]
    figure1 = None
    if profile != ABLATIONS:
        folder = results_path(profile).parent
        again = repro(profile, f"figure1@{profile}")
        figure1 = read_record(folder / "figure1.json", FIGURE1, again)
    place = params.places("theory", "figure1")[0]
    reduced = place.path != PARAMS and bool(place.values)
    return Results(
        profile=profile,
        inputs={
            files.run.key: Inputs(data=files.training["data"], parameters=files.parameters)
            for files in listed
            if files.trained
        },
        rows=rows,
        claims=ledger(rows, listed, figure1, figure1_reduced=reduced) if figure1 else [],
        variants=found.variants(),
        against_release=against_release(profile, rows),
        mixing=found.mixing() if figure1 else [],
        audit=found.audit(),
        figure1=figure1,
    )
