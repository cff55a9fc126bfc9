"""What the stages left of a run in its folder in ``reports/``, checked as it is read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_json
from paper_repro.core.params import Params
from paper_repro.core.recipe import family_in
from paper_repro.core.records import NotRun, Trained, read_record, read_training
from paper_repro.core.runs import Run, repro, runs, weights_path
from paper_repro.core.tensor_file import read_metadata
from paper_repro.evaluation.evaluate import EVALUATION, Evaluation, metrics
from paper_repro.evaluation.trained_run import WEIGHTS, measure_of
from paper_repro.figures.figure2 import FIGURE2
from paper_repro.figures.figure3 import FIGURE3
from paper_repro.pipeline.presentation import ABLATIONS, checked_runs, presentation, report_stage
from paper_repro.pipeline.run_list import run_list_path

STAGES = {"evaluation.json": "evaluate", "generator.json": "weights"}  # else as the file
CHECKED = frozenset({"sample_checks.json"})
DIAGNOSED = CHECKED | {"figure3.json", "parzen_audit.json"}
R = TypeVar("R")


@dataclass(eq=False)
class RunFiles:
    """A run's files; each of its methods raises a `UserError` if one is absent or damaged."""

    run: Run
    published: bool = False  # whether its generator is in git, with what was measured of it
    due: frozenset[str] = frozenset()  # records that stages of its own leave, beside the usual ones
    chains: bool = False  # whether its samples are steps of Markov chains
    locked: Mapping[str, str] = field(default_factory=dict)  # MD5 by path, as DVC recorded files

    @cached_property
    def record(self) -> Trained | NotRun:
        """What training recorded; of a run that was not trained, why."""
        found = read_training(self.run)
        if {k: found[k] for k in Run.model_fields} != self.run.model_dump():  # type: ignore[literal-required]
            raise UserError(
                f"{self.run.folder / 'training.json'}: the record of another run; restore it "
                f"with git, or run `{self._again('train')}`"
            )
        return found

    @property
    def trained(self) -> bool:
        """Whether there is a model."""
        return self.record["status"] == "ok"

    @property
    def training(self) -> Trained:
        """What training recorded of a run that has a model."""
        record = self.record
        if record["status"] != "ok":
            raise UserError(f"{self.run.key}: {record['status']}: {record['reason']}")
        return record

    @cached_property
    def evaluation(self) -> Evaluation:
        """What was measured of a trained run on test images."""
        found = self.measured("evaluation.json", EVALUATION)
        short = self.run.folder / "metrics.json"
        if read_json(short) != metrics(self.training, found):
            raise UserError(
                f"{short}: states other numbers than evaluation.json and training.json; "
                f"restore all with git, or run `{self._again('evaluate')}`"
            )
        return found

    @property
    def parameters(self) -> dict[str, Any]:
        """What a trained run was made and measured by: its recipe, `parzen` as on test images.

        Of runs that were measured before it was recorded apart, `parzen` was the same for both.
        """
        made = self.record["experiment_parameters"]
        measured = self.evaluation.get("measure") if self.trained else None
        return made | ({"parzen": measured} if measured else {})

    @property
    def weights_sha256(self) -> str | None:
        """The hash of the published generator; None of a run without."""
        if not self.published:
            return None
        path = self._present(weights_path(self.run), "weights")
        sha256 = self.measured("generator.json", WEIGHTS)["files"][path.name]
        require_own_weights(self.run)
        return sha256

    def picture(self, name: Literal["figure2", "figure3"]) -> Path:
        """Return where a trained run's picture is, once it and its record are checked."""
        kinds: dict[str, TypeAdapter[Any]] = {"figure2": FIGURE2, "figure3": FIGURE3}
        self.measured(f"{name}.json", kinds[name])
        return self._present(self.run.folder / f"{name}.png", name)

    def _present(self, path: Path, stage: str) -> Path:
        """Return a file's path (a `UserError` that names the stage that makes it, if absent)."""
        if path.is_file():
            return path
        raise UserError(f"{path}: no such file; restore it with git, or run `{self._again(stage)}`")

    def _again(self, stage: str) -> str:
        return repro(self.run.profile, f"{stage}@{self.run.key}")

    def has(self, name: str) -> bool:
        """Return whether a record is there (a `UserError` if it is not, and should be)."""
        path = self.run.folder / name
        if name in self.due:
            self._present(path, path.stem)
        return path.is_file()

    def measured(self, name: str, kind: TypeAdapter[R | NotRun]) -> R:
        """Return what was measured of a trained run, from one of its records.

        A record from when there was no model yet is a `UserError`, too.
        """
        path = self.run.folder / name
        again = self._again(STAGES.get(name, path.stem))
        found: Any = read_record(path, kind, again)
        recorded = self.locked.get(path.as_posix())
        if recorded and hashlib.md5(path.read_bytes()).hexdigest() != recorded:
            raise UserError(
                f"{path}: not the one that {lock_path(self.run.profile)} records; restore it with "
                f"git, or run `{again}`"
            )
        if found["status"] != "ok":
            raise UserError(
                f"{path}: says {found['status']!r}, but {self.run.key} is trained; run "
                f"`{repro(self.run.profile, report_stage(self.run.profile))}`"
            )
        measured: R = found
        return measured

    def table(self, name: Literal["curve.csv", "validation.csv"]) -> pd.DataFrame:
        """Return one of a trained run's tables, whose hash its `record` has checked."""
        return pd.read_csv(self._present(self.run.folder / name, "train"))


def lock_path(profile: str) -> Path:
    """Return where DVC records what a profile's stages made."""
    return run_list_path(profile).with_name("dvc.lock")


def _locked(profile: str) -> dict[str, str]:
    """Return the MD5 of each file that a profile's lock records, by path; nothing without one."""
    path = lock_path(profile)
    stages = YAML(typ="safe").load(path)["stages"] if path.is_file() else {}
    outputs = (out for stage in stages.values() for out in stage.get("outs", []))
    return {out["path"]: out["md5"] for out in outputs}


def require_own_weights(run: Run) -> None:
    """Raise a `UserError` if a published run's weights are absent, or another run's."""
    path, own = weights_path(run), run.model_dump()
    if not path.is_file():
        raise UserError(f"{path}: no such file; restore it with `git checkout {path.parent}`")
    made = read_metadata(path)
    if any(made.get(name) != own[name] for name in Run.model_fields):
        raise UserError(
            f"{path}: the weights of another run (seed {made.get('seed')} of "
            f"{made.get('experiment')}); restore it with git"
        )


def run_files(params: Params) -> list[RunFiles]:
    """Return the files of a profile's runs, in the order of its list (`UserError` as `runs`)."""
    shown, listed = presentation(params), runs(params)
    first = {run.experiment: key for key, run in reversed(listed.items())}
    diagnosed = {first.get(name) for name in shown.diagnosed}
    checked = checked_runs(shown, listed)
    found, locked = [], _locked(params.profile)
    for key, run in listed.items():
        due = DIAGNOSED if key in diagnosed else CHECKED if key in checked else frozenset()
        independent = family_in(params, run.experiment).independent
        drawn = independent and (params.profile != ABLATIONS or key == first[run.experiment])
        due |= {"figure2.json"} if drawn else set()
        due |= {"walk.json"} if measure_of(params, run).walk else set()
        published = key in shown.published
        found.append(RunFiles(run, published, due, chains=not independent, locked=locked))
    return found
