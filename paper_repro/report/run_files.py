"""What the stages left of a run in its folder in ``reports/``, each file read once."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_json
from paper_repro.core.params import Params
from paper_repro.core.runs import Run, repro, runs


@dataclass(frozen=True, eq=False)
class RunFiles:
    """A run's files; each of its methods raises a `UserError` if one is absent or damaged."""

    run: Run
    _read: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def _json(self, name: str) -> dict[str, Any]:
        if name not in self._read:
            self._read[name] = read_json(self.run.folder / name)
        found: dict[str, Any] = self._read[name]
        return found

    @property
    def training(self) -> dict[str, Any]:
        """What training recorded; of a run that was not trained, why."""
        return self._json("training.json")

    @property
    def evaluation(self) -> dict[str, Any]:
        """What was measured of the run on test images, or why nothing was."""
        return self._json("evaluation.json")

    @property
    def trained(self) -> bool:
        """Whether there is a model."""
        return bool(self.training["status"] == "ok")

    @property
    def parameters(self) -> dict[str, Any]:
        """What a trained run was made and measured by: its recipe, `parzen` as on test images.

        Of runs that were measured before it was recorded apart, `parzen` was the same for both.
        """
        made: dict[str, Any] = self.training["experiment_parameters"]
        measured = self.evaluation.get("measure")
        return made | ({"parzen": measured} if measured else {})

    def has(self, name: str) -> bool:
        """Return whether a file is there."""
        return (self.run.folder / name).is_file()

    def measured(self, name: str) -> dict[str, Any]:
        """Return what was measured of a trained run, from one of its JSON files.

        Raises
        ------
        UserError
            If the file is absent or damaged, or was written when there was no model yet.
        """
        found = self._json(name)
        if found["status"] != "ok":
            raise UserError(
                f"{self.run.folder / name}: says {found['status']!r}, but {self.run.key} is "
                f"trained; run `{repro(self.run.profile, f'report@{self.run.profile}')}`"
            )
        return found

    def table(self, name: str) -> pd.DataFrame:
        """Return one of a trained run's tables, ``curve.csv`` or ``validation.csv``.

        Raises
        ------
        UserError
            If the file is absent or holds no table.
        """
        path = self.run.folder / name
        try:
            if name not in self._read:
                self._read[name] = pd.read_csv(path, encoding="utf-8")
        except FileNotFoundError:
            trouble = "no such file"
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
            trouble = "no table; delete it"
        else:
            table: pd.DataFrame = self._read[name]
            return table
        again = repro(self.run.profile, f"train@{self.run.key}")
        raise UserError(f"{path}: {trouble}; restore it with git, or run `{again}`")


def run_files(params: Params) -> list[RunFiles]:
    """Return the files of a profile's runs, in the order of its list (`UserError` as `runs`)."""
    return [RunFiles(run) for run in runs(params).values()]
