"""From the runs' own files to ``results.json``: one row an experiment."""

from statistics import fmean, stdev
from typing import Any, TypeVar

import pandas as pd
from scipy.stats import linregress

from paper_repro.core.errors import UserError
from paper_repro.core.files import digest
from paper_repro.core.params import PARAMS, Params
from paper_repro.core.records import read_record
from paper_repro.core.runs import repro, weights_path
from paper_repro.core.titles import title
from paper_repro.diagnostics.parzen_audit import AUDIT, Audit
from paper_repro.figures.figure1 import FIGURE1
from paper_repro.figures.mixing import MIXING
from paper_repro.pipeline.presentation import ABLATIONS, presentation, report_stage, reported
from paper_repro.report.benchmarks import sampling_seconds
from paper_repro.report.claims import ledger
from paper_repro.report.measurements import (
    CONSECUTIVE,
    IN_TRAINING,
    THINNED,
    by_default,
    measurements,
)
from paper_repro.report.published import OTHERS, PAPER, margin
from paper_repro.report.release import against_release
from paper_repro.report.released import changes, released_recipe, varied
from paper_repro.report.results import (
    Against,
    Alternative,
    Closed,
    Estimate,
    Failed,
    Fold,
    Inputs,
    Mixes,
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
from paper_repro.report.verdict import answer, distance_interval, judge, mean_interval

C = TypeVar("C", bound=Closed)
FEWEST_OF_TREND = 10  # validation estimates that a straight line is fitted to
LAST = 5  # validation estimates neighbouring in a run differ by some nats: the mean of so many


def comparable(profile: str, stand_in: str | None, changed: list[str]) -> bool:
    """Return whether a number may be held against the paper's: the released recipe on its data."""
    return profile == "paper" and stand_in is None and not changed


def trend(nats: "pd.Series[float]") -> Trend | None:
    """Return the slope of the last third of the validation estimates by epoch, with its error.

    None under `FEWEST_OF_TREND` estimates in that third.
    """
    last = len(nats) // 3
    if last < FEWEST_OF_TREND:
        return None
    line = linregress(nats.index[-last:], nats[-last:])
    return Trend(slope=100 * float(line.slope), se=100 * float(line.stderr))


def _mean_and_sd(numbers: list[float]) -> tuple[float | None, float | None]:
    """Return the mean and the standard deviation of numbers, as far as there are enough."""
    mean = fmean(numbers) if numbers else None
    return mean, stdev(numbers) if len(numbers) > 1 else None


class Collected:
    """A profile's runs, on the way to its results; `measured` is their table of measurements."""

    def __init__(self, params: Params, listed: list[RunFiles]):
        self.params, self.listed = params, listed
        self.shown, self.own = presentation(params), params.own.path
        self.by_key = {files.run.key: files for files in listed}
        self.measured = measurements(listed)

    def row(self, name: str) -> Row:
        """Return one experiment's row: its seeds and their mean, or why it was not run."""
        runs = [files for files in self.listed if files.run.experiment == name]
        trained = [files for files in runs if files.trained]
        row = Row(
            experiment=name,
            dataset=title(self.params.recipe(name)[0]["dataset"]),
            status="ok",
            paper=OTHERS[name].mnist if name in OTHERS else PAPER.get(name),
            other_model=OTHERS[name].name if name in OTHERS else None,
            failed=[_failed(files) for files in runs if not files.trained],
            verdict=Verdict(kind="not run"),
        )
        if not trained:
            return self._without_result(row, runs)
        _require_alike(trained)
        row.stand_in = trained[0].training["data"]["stand_in"]
        row.seeds = [self.seed(files) for files in trained]
        row.mean, row.seed_sd = _mean_and_sd([seed.number for seed in row.counted])
        if row.other_model:
            row.chain_sd, _ = _mean_and_sd([seed.sets.sd for seed in row.counted if seed.sets])
        thinned = [seed.thinned.test_mean for seed in row.seeds if seed.thinned]
        row.thinned_mean, row.thinned_sd = _mean_and_sd(thinned)
        row.changed = sorted({key for files in trained for key in self.changed(files)})
        row.comparable = comparable(self.params.profile, row.stand_in, row.changed)
        row.verdict = self._verdict(row, runs)
        return row

    def _without_result(self, row: Row, runs: list[RunFiles]) -> Row:
        """Return the row of an experiment none of whose runs has a model."""
        if runs:
            data: Any = runs[0].record.get("data", {})  # of runs that diverged
            row.stand_in = data.get("stand_in")
        else:
            reason = f"no run of it is listed for the {self.params.profile} profile"
            todo = f"add a seed to seeds.{row.experiment} in {self.own}"
            row.failed = [Failed(run="", status="not run", reason=reason, todo=todo)]
        row.status = row.failed[0].status
        row.verdict = Verdict(kind="diverged" if row.status == "diverged" else "not run")
        return row

    def seed(self, files: RunFiles) -> Seed:
        """Return a run as the page shows it (`UserError` if what is judged was not measured)."""
        run, training = files.run, files.training
        which, epoch = reported(self.shown, run, training)
        judged = self.shown.judges(run, training["epochs"])
        rows = self.measured[self.measured.run == run.key].set_index("epoch")
        in_training = rows[rows.sampling == IN_TRAINING]
        on_test = rows[(rows.sampling == CONSECUTIVE) & rows["set"].isna()]
        thinned = _as(Estimate, rows[rows.sampling == THINNED])
        sets = _sets(files, rows[rows["set"].notna()], epoch)
        if judged and sets is None:
            raise UserError(
                f"{self.own}: presentation.published: lacks {run.key}, whose number is the mean "
                "over sets of samples; add it, then type `paper_repro runs` and `dvc repro`"
            )
        found = on_test.loc[[epoch]]  # all folds together, then each
        whole, folds = found.iloc[0].dropna(), _as(Fold, found.iloc[1:])
        last = on_test.loc[[training["epochs"]]].iloc[0]
        curve = in_training.loc[[epoch]].iloc[0]
        return Seed(
            run=run.key,
            seed=run.seed,
            epochs=training["epochs"],
            updates=training["updates"],
            best_epoch=epoch,
            selected=which,
            sigma=found.sigma.dropna().tolist(),
            sigma_at_end_of_grid=bool(found.end_of_grid.any()),
            curve_mean=curve.valid_mean,
            curve_se=curve.valid_se,
            valid_mean=whole.valid_mean,
            valid_trend=trend(in_training.valid_mean),
            test_mean=whole.test_mean,
            test_se=whole.test_se,
            test_se_population=whole.get("test_se_population"),
            folds=folds,
            last_test_mean=last.test_mean,
            last_test_se=last.test_se,
            thinned=thinned[0] if thinned else None,
            recipe_sha256=digest(list(_made_of(files).values())),
            weights_sha256=files.weights_sha256,
            sets=sets,
            number=sets.mean if sets and (judged or files.chains) else whole.test_mean,
        )

    def _verdict(self, row: Row, runs: list[RunFiles]) -> Verdict:
        """Return the verdict on a row, and put what bears on it into the row."""
        name, model = row.experiment, self.params.base(row.experiment)
        protocol, trained = self.shown.protocol.get(name), [f for f in runs if f.trained]
        judged = {self.shown.judges(f.run, f.training["epochs"]) for f in trained}
        if len(judged) > 1:
            raise UserError(
                f"{self.own}: seeds.{name}: lists seeds that the protocol judges beside others; "
                "list one kind, then type `paper_repro runs`"
            )
        if not row.comparable:
            return Verdict(kind="not comparable")
        row.length = length_lacked(model, row.seeds)
        if row.length:
            return Verdict(kind="interim")
        if model in OTHERS:
            documented = (released_recipe(model, model) or {}).get("documented", {})
            as_documented = documented.items() <= trained[0].parameters.items()
            return Verdict(kind="documented recipe" if as_documented else "adapted recipe")
        if row.paper is None:
            return Verdict(kind="no published number")
        row.margin = margin(name)
        numbers = [seed.number for seed in row.seeds]
        if protocol and not any(judged):
            found = judge(numbers, row.paper.mean, row.margin)
            return found.model_copy(update={"kind": "exploration"})
        diverged = sum(
            files.record["status"] == "diverged"
            and (protocol is None or files.run.seed in protocol.seeds)
            for files in runs
        )
        row.verdict = judge(numbers, row.paper.mean, row.margin, diverged=diverged)
        row.alternatives = _alternatives(row, row.paper.mean, row.margin)
        return row.verdict

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

    def variants(self) -> list[Variant]:
        """Return, for each trained variant, its runs against its original's of the same seeds."""
        trained = {(f.run.experiment, f.run.seed): f for f in self.listed if f.trained}
        in_training = self.measured[self.measured.sampling == IN_TRAINING]
        curves = in_training.pivot(index="epoch", columns="run", values="valid_mean")
        found = []
        for name in dict.fromkeys(experiment for experiment, _ in trained):
            original = self.params.base(name)
            if released_recipe(name, name) or original == name or name in self.shown.step_sizes:
                continue
            seeds, changed = [], list[str]()
            for (experiment, seed), files in trained.items():
                other = trained.get((original, seed))
                if experiment != name or other is None or files.chains:
                    continue  # single estimates of a chain are mostly noise
                last = curves[[files.run.key, other.run.key]].dropna().tail(LAST)
                if last.empty:
                    continue
                means = dict(zip(("valid_mean", "original_valid_mean"), last.mean(), strict=True))
                seeds.append(Against(run=files.run.key, epoch=int(last.index[-1]), **means))
                changed = varied(other.parameters, files.parameters)
            differences = [one.difference for one in seeds]
            if differences:
                found.append(
                    Variant(
                        experiment=name,
                        changed=changed,
                        seeds=seeds,
                        difference=fmean(differences),
                        interval=mean_interval(differences),
                    )
                )
        return found

    def mixing(self) -> list[Mixes]:
        """Return how the samples of those runs follow each other that were followed."""
        steps = sampling_seconds() if self.params.profile == "paper" else {}  # by its recipes alone
        first = {files.run.experiment: files for files in reversed(self.listed)}
        return [
            Mixes(
                run=f.run.key,
                experiment=name,
                measured=f.measured("mixing.json", MIXING),
                seconds_a_step=steps.get(name, {}),
            )
            for name in self.shown.mixing
            if (f := first.get(name)) and f.trained
        ]

    def audit(self) -> Audit | None:
        """Return the audit of the measure, if there is one of these runs."""
        name = "parzen_audit.json"
        found = (f.measured(name, AUDIT) for f in self.listed if f.trained and f.has(name))
        return next(found, None)


def _as(model: type[C], rows: pd.DataFrame) -> list[C]:
    """Return rows of the table of measurements in a form of ``results.json``."""
    return [model.model_validate(row) for row in rows[list(model.model_fields)].to_dict("records")]


def _sets(files: RunFiles, rows: pd.DataFrame, epoch: int) -> Sets | None:
    """Return what the sets of samples of a run make together, if it has any."""
    if rows.empty:
        return None
    if epoch not in rows.index:
        run = files.run
        raise UserError(
            f"{weights_path(run)}: is of epoch {rows.index[0]}, but the number is of epoch "
            f"{epoch}; run `{repro(run.profile, f'weights@{run.key}', report_stage(run.profile))}`"
        )
    numbers = rows[by_default(rows)].test_mean.tolist()
    means = rows.groupby(["grid", "images"], sort=False).test_mean.agg(fmean).unstack(sort=False)
    grids: Any = means.to_dict("index")
    return Sets(
        epoch=epoch, count=len(numbers), mean=fmean(numbers), sd=stdev(numbers), grids=grids
    )


def _alternatives(row: Row, number: float, margin: float) -> list[Alternative]:
    """Return what other grids of σ would make of a row; nothing if a seed has no sets."""
    lines = []
    for grid, means in row.by_grid.items():
        if len(means) < len(row.seeds):
            return []
        interval = distance_interval(means, number)
        said = answer(interval, margin) if interval and row.verdict.answer else None
        lines.append(Alternative(grid=grid, mean=fmean(means), interval=interval, answer=said))
    return lines


def length_lacked(experiment: str, seeds: list[Seed]) -> int | None:
    """Return how many epochs a recipe has where a run has fewer; None where none has."""
    length: int = (released_recipe(experiment, experiment) or {}).get("length", 0)
    return length if any(seed.epochs < length for seed in seeds) else None


def _failed(files: RunFiles) -> Failed:
    record: Any = files.record
    told = {name: record[name] for name in ("status", "reason", "todo")}
    return Failed(run=files.run.key, **told)


def _made_of(files: RunFiles) -> dict[str, Any]:
    """Return what seeds that are averaged must have in common."""
    record = files.training
    return {
        "on other data": record["data"]["sha256"],
        "by another recipe": record["experiment_parameters"] | {"device": None},
    }


def _require_alike(trained: list[RunFiles]) -> None:
    """Raise a `UserError` if seeds that would be averaged have other data or another recipe."""
    first = trained[0]
    for files in trained[1:]:
        for what, found in _made_of(files).items():
            if found != _made_of(first)[what]:
                raise UserError(
                    f"{files.run.folder / 'training.json'}: trained {what} than {first.run.key}; "
                    f"run `{repro(files.run.profile, report_stage(files.run.profile))}`"
                )


def collect(params: Params, listed: list[RunFiles]) -> Results:
    """Return the results of a profile's runs (`UserError` if none is listed, or as `RunFiles`)."""
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
    mixing = found.mixing() if figure1 else []
    for row in rows:
        followed = [one.measured["burn_in"] for one in mixing if one.experiment == row.experiment]
        row.near_start = row.thinned_mean is not None and followed == [None]
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
        mixing=mixing,
        audit=found.audit(),
        figure1=figure1,
    )
