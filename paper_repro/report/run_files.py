"""What the stages left of a run in its folder in ``reports/``, each file read once."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
from pydantic import TypeAdapter

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_json, read_text
from paper_repro.core.params import Params
from paper_repro.core.recipe import family_in
from paper_repro.core.records import NotRun, Trained, read_record, read_training
from paper_repro.core.runs import Run, repro, runs, weights_path
from paper_repro.evaluation.evaluate import EVALUATION, Evaluation, metrics
from paper_repro.evaluation.trained_run import WEIGHTS
from paper_repro.figures.figure2 import FIGURE2
from paper_repro.figures.figure3 import FIGURE3
from paper_repro.pipeline.presentation import presentation, report_stage

STAGES = {"evaluation.json": "evaluate", "generator.json": "weights"}  # else as the file
INDEPENDENT = frozenset({"figure2.json"})  # of a model whose samples are
CHECKED = frozenset({"sample_checks.json"})  # if checked
CLOSELY = CHECKED | {"figure3.json", "parzen_audit.json"}  # if diagnosed
# What the tables of every run begin with; a family of models has columns of its own beside.
CURVE = ("epoch", "updates")
VALIDATION = ("epoch", "valid_nats", "valid_se", "sigma")
COLUMNS = {"curve.csv": CURVE, "validation.csv": VALIDATION}
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class RunFiles:
    """A run's files; each of its methods raises a `UserError` if one is absent or damaged."""

    run: Run
    published: bool = False  # whether its generator is in git, with what was measured of it
    due: frozenset[str] = frozenset()  # records that stages of its own leave, beside the usual ones
    _read: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def record(self) -> Trained | NotRun:
        """What training recorded; of a run that was not trained, why."""
        if "training.json" not in self._read:
            found = read_training(self.run)
            if {k: found[k] for k in Run.model_fields} != self.run.model_dump():  # type: ignore[literal-required]
                raise UserError(
                    f"{self.run.folder / 'training.json'}: the record of another run; restore it "
                    f"with git, or run `{self._again('train')}`"
                )
            self._read["training.json"] = found
        record: Trained | NotRun = self._read["training.json"]
        return record

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

    @property
    def evaluation(self) -> Evaluation:
        """What was measured of a trained run on test images."""
        if "evaluation.json" not in self._read:
            found = self.measured("evaluation.json", EVALUATION)
            short = self.run.folder / "metrics.json"
            if read_json(short) != metrics(self.training, found):
                raise UserError(
                    f"{short}: states other numbers than evaluation.json and training.json; "
                    f"restore all with git, or run `{self._again('evaluate')}`"
                )
        evaluation: Evaluation = self._read["evaluation.json"]
        return evaluation

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
        path = weights_path(self.run)
        if not path.is_file():
            raise self._absent(path, "weights")
        return self.measured("generator.json", WEIGHTS)["files"][path.name]

    def picture(self, name: Literal["figure2", "figure3"]) -> Path:
        """Return where a trained run's picture is, once it and its record are checked."""
        kinds: dict[str, TypeAdapter[Any]] = {"figure2": FIGURE2, "figure3": FIGURE3}
        self.measured(f"{name}.json", kinds[name])
        path = self.run.folder / f"{name}.png"
        if not path.is_file():
            raise self._absent(path, name)
        return path

    def _absent(self, path: Path, stage: str) -> UserError:
        return UserError(f"{path}: no such file; run `{self._again(stage)}`")

    def _again(self, stage: str) -> str:
        return repro(self.run.profile, f"{stage}@{self.run.key}")

    def has(self, name: str) -> bool:
        """Return whether a record is there (a `UserError` if it is not, and should be)."""
        path = self.run.folder / name
        if not path.is_file() and name in self.due:
            raise self._absent(path, path.stem)
        return path.is_file()

    def measured(self, name: str, kind: TypeAdapter[R | NotRun]) -> R:
        """Return what was measured of a trained run, from one of its records.

        Raises
        ------
        UserError
            If the file is absent or damaged, or was written when there was no model yet.
        """
        if name not in self._read:
            again = self._again(STAGES.get(name, name.removesuffix(".json")))
            self._read[name] = read_record(self.run.folder / name, kind, again)
        found: Any = self._read[name]
        if found["status"] != "ok":
            raise UserError(
                f"{self.run.folder / name}: says {found['status']!r}, but {self.run.key} is "
                f"trained; run `{repro(self.run.profile, report_stage(self.run.profile))}`"
            )
        measured: R = found
        return measured

    def table(self, name: str) -> pd.DataFrame:
        """Return one of a trained run's tables, ``curve.csv`` or ``validation.csv``.

        Raises
        ------
        UserError
            If the file is absent or holds no such table.
        """
        path = self.run.folder / name
        trouble = "no such table"
        try:
            if name not in self._read:
                table = pd.read_csv(io.StringIO(read_text(path)))
                numbers = tuple(table.select_dtypes("number").columns)
                first = numbers[: len(COLUMNS[name])]
                if numbers == tuple(table.columns) and first == COLUMNS[name] and len(table):
                    self._read[name] = table
        except FileNotFoundError:
            trouble = "no such file"
        except (pd.errors.EmptyDataError, pd.errors.ParserError, ValueError, OSError):
            pass
        if name not in self._read:
            raise UserError(
                f"{path}: {trouble}; restore it with git, or run `{self._again('train')}`"
            )
        found: pd.DataFrame = self._read[name]
        return found


def run_files(params: Params) -> list[RunFiles]:
    """Return the files of a profile's runs, in the order of its list (`UserError` as `runs`)."""
    shown, listed = presentation(params), runs(params)
    first = {run.experiment: key for key, run in reversed(listed.items())}
    closely = {first.get(name) for name in shown.diagnosed}
    checked = {first.get(name) for name in shown.checked}
    return [
        RunFiles(
            run,
            key in shown.published,
            (INDEPENDENT if family_in(params, run.experiment).independent else frozenset())
            | (CLOSELY if key in closely else CHECKED if key in checked else frozenset()),
        )
        for key, run in listed.items()
    ]
