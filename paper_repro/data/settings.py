"""What a profile says of its data: how many images, and where a user's own copy lies."""

from pathlib import Path
from typing import Literal

from paper_repro.core.errors import UserError
from paper_repro.core.params import Count, Model, Params

RAW = Path("data/raw")  # the data sets themselves
STAND_INS = Path("data/stand-in")  # what the user declares to stand in for them
OWN_COPIES = Path("data/incoming")  # where they may be absent


class DataSize(Model):
    """How many images of each part a profile uses, and what replaces a data set that is absent."""

    train: Count | None  # null: all there are
    valid: Count | None
    test: Count | None
    fallback: Literal["digits", "photographs", "faces"] | None = None
    stand_in: bool = False  # use what PAPER_REPRO_STAND_IN declares, and never the data set itself


class OwnCopies(Model):
    """Files of data sets that can't be downloaded and that the user brings."""

    tfd: str


def data_size(params: Params, dataset: str) -> DataSize:
    """Return the part of a data set that a profile uses (`UserError` as `Params.parse`)."""
    return params.parse(DataSize, "data", dataset)


def own_copies(params: Params) -> dict[str, Path]:
    """Return, by data set, where the user's own copy of a file is looked for.

    Raises
    ------
    UserError
        If the file is absent and its place is not the usual one.
    """
    place = params.places("own_copies")[0]
    found = params.parse(OwnCopies, "own_copies").model_dump()
    for name, path in found.items():
        usual = OWN_COPIES in Path(path).parents
        if not usual and not Path(path).is_file():
            raise UserError(f"{place.path}: own_copies.{name}: {path}: no such file")
    return {name: Path(path) for name, path in found.items()}
