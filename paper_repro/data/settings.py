"""What a profile says of its data: how many images, and what replaces an absent data set."""

from pathlib import Path
from typing import Literal

from paper_repro.core.params import Count, Model, Params

RAW = Path("data/raw")  # the data sets themselves
STAND_INS = Path("data/stand-in")  # what the user declares to stand in for them


class DataSize(Model):
    """How many images of each part a profile uses, and what replaces a data set that is absent."""

    train: Count | None  # null: all there are
    valid: Count | None
    test: Count | None
    fallback: Literal["digits", "photographs"] | None = None
    stand_in: bool = False  # use what PAPER_REPRO_STAND_IN declares, and never the data set itself


def data_size(params: Params, dataset: str) -> DataSize:
    """Return the part of a data set that a profile uses (`UserError` as `Params.parse`)."""
    return params.parse(DataSize, "data", dataset)
