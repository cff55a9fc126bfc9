"""What training and the stages after it left of a run in its folder in ``reports/``."""

from typing import Any

import pandas as pd

from paper_repro import config
from paper_repro.errors import UserError
from paper_repro.files import read_json


def read_measured(run: config.Run, name: str) -> dict[str, Any]:
    """Return what was measured of a trained run, from one of its JSON files.

    Raises
    ------
    UserError
        If the file is absent or damaged, or was written when there was no model yet.
    """
    path = run.folder / name
    found: dict[str, Any] = read_json(path)
    if found["status"] != "ok":
        raise UserError(
            f"{path}: says {found['status']!r}, but {run.key} is trained; run `dvc repro "
            f"report@{run.profile}`"
        )
    return found


def read_table(run: config.Run, name: str) -> pd.DataFrame:
    """Return one of a trained run's tables, ``curve.csv`` or ``validation.csv``.

    Raises
    ------
    UserError
        If the file is absent or holds no table.
    """
    path = run.folder / name
    try:
        found = pd.read_csv(path)
    except FileNotFoundError:
        trouble = "no such file"
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        trouble = "no table; delete it"
    else:
        return found
    raise UserError(f"{path}: {trouble}; restore it with git, or run `dvc repro train@{run.key}`")
