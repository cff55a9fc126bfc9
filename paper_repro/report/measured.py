"""What the stages after training measured of a run, read from its folder in ``reports/``."""

from typing import Any

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
