"""What the stages left of a run in its folder in ``reports/``, each file read once."""

import functools
from dataclasses import dataclass
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

    @functools.cached_property
    def training(self) -> dict[str, Any]:
        """What training recorded; of a run that was not trained, why."""
        found: dict[str, Any] = read_json(self.run.folder / "training.json")
        return found

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
        measured = read_json(self.run.folder / "evaluation.json").get("measure")
        return made | ({"parzen": measured} if measured else {})

    def has(self, name: str) -> bool:
        """Return whether a file is there."""
        return (self.run.folder / name).is_file()

    @functools.cache  # noqa: B019 (one report's runs)
    def measured(self, name: str) -> dict[str, Any]:
        """Return what was measured of a trained run, from one of its JSON files.

        Raises
        ------
        UserError
            If the file is absent or damaged, or was written when there was no model yet.
        """
        path = self.run.folder / name
        found: dict[str, Any] = read_json(path)
        if found["status"] != "ok":
            raise UserError(
                f"{path}: says {found['status']!r}, but {self.run.key} is trained; run "
                f"`{repro(self.run.profile, f'report@{self.run.profile}')}`"
            )
        return found

    @functools.cache  # noqa: B019
    def table(self, name: str) -> pd.DataFrame:
        """Return one of a trained run's tables, ``curve.csv`` or ``validation.csv``.

        Raises
        ------
        UserError
            If the file is absent or holds no table.
        """
        path = self.run.folder / name
        try:
            found = pd.read_csv(path, encoding="utf-8")
        except FileNotFoundError:
            trouble = "no such file"
        except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
            trouble = "no table; delete it"
        else:
            return found
        again = repro(self.run.profile, f"train@{self.run.key}")
        raise UserError(f"{path}: {trouble}; restore it with git, or run `{again}`")


def run_files(params: Params) -> list[RunFiles]:
    """Return the files of a profile's runs, in the order of its list (`UserError` as `runs`)."""
    return [RunFiles(run) for run in runs(params).values()]
