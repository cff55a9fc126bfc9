"""Stage ``prepare@<profile>-<dataset>``: the parts of a data set as a profile uses them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from paper_repro.core.dataset import processed_folder, write_dataset, write_not_run
from paper_repro.core.errors import UserError
from paper_repro.core.files import LARGEST, read_bytes, sha256_bytes
from paper_repro.core.params import Params, read_params
from paper_repro.core.records import read_record, read_training
from paper_repro.core.runs import runs
from paper_repro.core.titles import NORMALISED
from paper_repro.data import fallbacks
from paper_repro.data.catalogue import SOURCES, TFD_FILE, Source
from paper_repro.data.cifar10 import parse_batch
from paper_repro.data.contrast import normalise_contrast
from paper_repro.data.idx import parse_idx
from paper_repro.data.raw import STATUS
from paper_repro.data.settings import RAW, STAND_INS, DataSize, data_size
from paper_repro.data.tfd import TEST, UNLABELLED, VALID, parse_tfd

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """A data set's parts, (n, *shape) each, before a profile takes its share."""

    parts: dict[str, npt.NDArray[Any]]
    labels: Bytes | None = None  # (n,) of the training images


def split(train: Bytes, test: Bytes, share: int, labels: Bytes | None = None) -> Split:
    """Return a split whose validation images are the last of the training files: one in `share`."""
    boundary = len(train) * (share - 1) // share
    parts = {"train": train[:boundary], "valid": train[boundary:], "test": test}
    return Split(parts, None if labels is None else labels[:boundary])


def split_tfd(images: Bytes, folds: Bytes) -> Split:
    """Return the unlabelled images, (n, 48, 48), and those that each fold, (n, 5), says."""
    parts = {"train": images[folds[:, 0] == UNLABELLED]}
    for index, codes in enumerate(folds.T, start=1):
        parts |= {f"valid{index}": images[codes == VALID], f"test{index}": images[codes == TEST]}
    return Split(parts)


def split_mnist(files: dict[str, bytes]) -> Split:
    """Return the paper's split: 50,000, 10,000 and 10,000 images."""
    arrays = {name: parse_idx(content) for name, content in files.items()}
    train, test = arrays["train-images-idx3-ubyte"], arrays["t10k-images-idx3-ubyte"]
    return split(train, test, 6, arrays["train-labels-idx1-ubyte"])


def split_cifar10(files: dict[str, bytes]) -> Split:
    """Return 40,000, 10,000 and 10,000 images."""
    *train, test = map(parse_batch, files.values())
    return split(np.concatenate(train), test, 5)


READERS: dict[str, Callable[[dict[str, bytes]], Split]] = {
    "mnist": split_mnist,
    "cifar10": split_cifar10,
    "tfd": lambda files: split_tfd(*parse_tfd(files[TFD_FILE], TFD_FILE)),
}


def _fallback(name: str, kind: str, size: DataSize) -> tuple[str, Split]:
    """Return what the dependencies ship in place of a data set, and its name."""
    if kind == "digits" and name == "tfd":
        return fallbacks.DIGITS, split_tfd(*fallbacks.digits_in_folds())
    if kind == "digits":
        images = fallbacks.digits()
        parts = {"train": images[:1197], "valid": images[1197:1497], "test": images[1497:]}
        return fallbacks.DIGITS, Split(parts, fallbacks.digit_labels()[:1197])
    wanted = [n or 1000 for n in (size.train, size.valid, size.test)]
    images = fallbacks.photographs(sum(wanted))
    train, valid, test = np.split(images, np.cumsum(wanted)[:2])
    return fallbacks.PHOTOGRAPHS, Split({"train": train, "valid": valid, "test": test})


def _read(source: Source, folder: Path, expected: dict[str, str]) -> Split:
    files = {}
    for name in source.files:
        path = folder / name
        try:
            files[name] = read_bytes(path, LARGEST)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run `dvc repro` to fetch it") from None
        if sha256_bytes(files[name]) != expected.get(name):
            raise UserError(f"{path}: not the file that was fetched; delete it and run `dvc repro`")
    return READERS[source.name](files)


def _share(found: Split, size: DataSize, place: str, title: str, exact: bool) -> Split:
    """Return the first images of each part, as many as the profile uses.

    `exact` is whether a part with fewer images than asked for is an error.
    """
    limits = {"train": size.train, "valid": size.valid, "test": size.test}
    parts = {}
    for part, images in found.parts.items():
        kind = part.rstrip("0123456789")
        limit = limits[kind]
        if exact and limit is not None and len(images) < limit:
            raise UserError(
                f"{place}.{kind}: {limit} images, but {part} of {title} has {len(images)}"
            )
        if not len(images):
            raise UserError(f"{title}: too few images for a {part} part")
        parts[part] = images[:limit]
    labels = None if found.labels is None else found.labels[: len(parts["train"])]
    return Split(parts, labels)


def _require_unreleased(params: Params, name: str, why: str) -> None:
    """Raise a `UserError` if an absent data set has results, which "not run" would replace."""
    kept = [
        run.key
        for run in runs(params).values()
        if run.dataset == name
        and (run.folder / "training.json").is_file()
        and read_training(run)["status"] == "ok"
    ]
    if kept:
        raise UserError(f"{why}. The results of {', '.join(kept)} are kept as they are")


def prepare(profile: str, name: str) -> None:
    """Write a profile's part of a data set, its stand-in, or the record that there is none.

    A `UserError` if raw files or parameters are bad, a part is smaller than the profile asks for,
    or an absent data set has results.
    """
    params = read_params(profile)
    size = data_size(params, name)
    source = SOURCES[name]
    raw = (STAND_INS if size.stand_in else RAW) / name
    status = read_record(raw / "status.json", STATUS, in_git=False)
    folder = processed_folder(profile, name)
    canonical, stand_in = False, None
    if status["status"] == "ok":
        canonical, stand_in = status["canonical"], status["stand_in"]
        found = _read(source, raw, status["sha256"])
    elif size.fallback is not None:
        stand_in, found = _fallback(name, size.fallback, size)
    else:
        _require_unreleased(params, name, f"{status['reason']}; {status['todo']}")
        write_not_run(folder, name, status["reason"], status["todo"])
        print(f"prepare: {profile}: {status['reason']}")
        return
    title = stand_in or source.title
    found = _share(found, size, f"{params.own.path}: data.{name}", title, stand_in is None)
    parts = found.parts
    if name in NORMALISED:
        parts = {part: normalise_contrast(images) for part, images in parts.items()}
    write_dataset(folder, name, parts, canonical=canonical, stand_in=stand_in, labels=found.labels)
    counts = ", ".join(f"{len(images)} {part}" for part, images in parts.items())
    print(f"prepare: {profile}: {title}: {counts}")
