"""Stage ``prepare@<profile>-<dataset>``: the parts of a data set as a profile uses them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from paper_repro import config
from paper_repro.data.catalogue import SOURCES, Source
from paper_repro.data.dataset import PARTS, processed_folder, write_dataset, write_not_run
from paper_repro.data.idx import parse_idx
from paper_repro.data.stand_ins import DIGITS, digits
from paper_repro.errors import UserError
from paper_repro.files import read_json, sha256_bytes

Parts = dict[str, npt.NDArray[Any]]


def split_mnist(train: npt.NDArray[np.uint8], test: npt.NDArray[np.uint8]) -> Parts:
    """Return the paper's split: images 0–49999 of the training set, the rest of it, the test set.

    A stand-in of another size is split in the same proportion.
    """
    boundary = len(train) * 5 // 6
    return {"train": train[:boundary], "valid": train[boundary:], "test": test}


def _read_images(source: Source, name: str, sha256: str) -> npt.NDArray[np.uint8]:
    path = source.folder / name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to fetch it") from None
    if sha256_bytes(content) != sha256:
        raise UserError(f"{path}: not the file that was fetched; delete it and run `dvc repro`")
    return parse_idx(content, str(path), 3)


def prepare(profile: str, name: str) -> None:
    """Write a profile's part of a data set, its stand-in, or the record that there is none.

    Raises
    ------
    UserError
        If raw files or parameters are bad, or a part is smaller than the paper profile asks for.
    """
    size = config.data_size(config.read_params(), profile, name)
    source = SOURCES[name]
    status = read_json(source.folder / "status.json")
    folder = processed_folder(profile, name)
    canonical, stand_in = False, None
    if status["status"] == "ok":
        canonical, stand_in = status["canonical"], status["stand_in"]
        official = {file.name: file.sha256 for file in source.files}
        expected = official if canonical else status["sha256"]
        names = [f"{part}-images-idx3-ubyte" for part in ("train", "t10k")]
        train, test = (_read_images(source, name, expected[name]) for name in names)
        parts = split_mnist(train, test)
    elif size.fallback == "digits":
        stand_in = DIGITS
        images = digits()
        parts = {"train": images[:1197], "valid": images[1197:1497], "test": images[1497:]}
    else:
        write_not_run(folder, name, status["reason"], status["todo"])
        print(f"prepare: {profile}: {status['reason']}")
        return
    wanted = {"train": size.train, "valid": size.valid, "test": size.test}
    if canonical and (short := [part for part in PARTS if len(parts[part]) < wanted[part]]):
        raise UserError(
            f"{config.PARAMS}: profiles.{profile}.data.{name}.{short[0]}: "
            f"{wanted[short[0]]} images, but {source.title} has {len(parts[short[0]])}"
        )
    parts = {part: parts[part][: wanted[part]] for part in PARTS}
    if empty := [part for part in PARTS if not len(parts[part])]:
        raise UserError(f"{source.folder}: too few images for a {empty[0]} part: {stand_in}")
    write_dataset(folder, name, parts, canonical=canonical, stand_in=stand_in)
    counts = ", ".join(f"{len(parts[part])} {part}" for part in PARTS)
    print(f"prepare: {profile}: {stand_in or source.title}: {counts}")
