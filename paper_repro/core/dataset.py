"""A prepared data set as the later stages read it.

``data/processed/<profile>/<dataset>/`` holds ``dataset.json`` and one array a part, each
(n, *shape): ``train.npy``, ``valid.npy``, ``test.npy``; where there are folds ``valid1.npy``,
``test1.npy``, ``valid2.npy``, …. Bytes stand for [0, 1]; anything else is as the networks see it.
``labels.npy``, where there are any, belongs to ``train.npy``.
"""

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import pad

from paper_repro.core.errors import UserError
from paper_repro.core.files import (
    LARGEST,
    digest,
    read_bytes,
    replacing,
    sha256_bytes,
    sha256_file,
    write_json,
)
from paper_repro.core.records import DATASET, DataRecord, read_record
from paper_repro.core.titles import NORMALISED, title

PROCESSED = Path("data/processed")
LABELS = "labels"


@dataclass(frozen=True)
class Dataset:
    """What is known of a prepared data set; the images are read when asked for."""

    name: str
    folder: Path
    status: str  # "ok" or "not run"
    reason: str | None = None  # why not, and
    todo: str | None = None  # what to do
    canonical: bool = False  # the official bytes, all of them checked
    stand_in: str | None = None  # what it really is, where it replaces the named data set
    shape: tuple[int, ...] = ()  # of one image
    counts: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there are images."""
        return self.status == "ok"

    @property
    def title(self) -> str:
        """The data set's name as texts and figures write it."""
        return title(self.name)

    @property
    def folds(self) -> list[tuple[str, str]]:
        """The names of the validation and the test part, of each fold in turn."""
        if "valid" in self.counts:
            return [("valid", "test")]
        count = sum(part.startswith("valid") for part in self.counts)
        return [(f"valid{fold}", f"test{fold}") for fold in range(1, count + 1)]

    def digest(self) -> str:
        """Return a hash of all its bytes."""
        return digest(self.sha256)

    def record(self) -> DataRecord:
        """Return what a result says of the data that it came from."""
        known = {k: v for k, v in asdict(self).items() if k != "folder"}
        return cast("DataRecord", known | {"shape": list(self.shape)})

    def load(self, part: str) -> torch.Tensor:
        """Return a part's images, float32, (n, d), in [0, 1] where they are bytes.

        A `UserError` if the file is absent or not the one that was prepared.
        """
        images = self._read(part)
        images = images.reshape(len(images), -1)
        return images.float().div_(255) if images.dtype == torch.uint8 else images

    def load_labels(self) -> torch.Tensor:
        """Return the training images' labels, (n,), int64 (`UserError` if there are none)."""
        if LABELS not in self.sha256:
            raise UserError(f"{self.folder}: this data set has no labels")
        return self._read(LABELS).long()

    def _read(self, part: str) -> torch.Tensor:
        path = self.folder / f"{part}.npy"
        try:
            content = read_bytes(path, LARGEST)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run `dvc repro` to prepare it") from None
        if sha256_bytes(content) != self.sha256[part]:
            raise UserError(
                f"{path}: not the bytes that were prepared (see dataset.json); "
                "delete the folder and run `dvc repro`"
            )
        array = np.load(io.BytesIO(content), allow_pickle=False)
        if part in self.counts and array.shape != (self.counts[part], *self.shape):
            raise UserError(
                f"{path}: {array.shape}, not what dataset.json says; delete the folder and run "
                "`dvc repro`"
            )
        return torch.from_numpy(array)


def displayed(
    images: torch.Tensor, samples: torch.Tensor, name: str, shape: tuple[int, ...]
) -> torch.Tensor:
    """Return images, (n, d), as they are shown: (n, 1 or 3, rows, columns) in [0, 1].

    Contrast-normalised ones as x / (2 max |samples|) + ½: so the released ``show_samples`` scripts
    show samples and neighbours alike. The normalisation is not undone, because a sample has no mean
    and norm of its own. The shape of one image is (rows, columns) or (3, rows, columns).
    """
    if name in NORMALISED:
        images = images.div(2 * samples.abs().max()).add(0.5).clamp(0, 1)
    return images.reshape(-1, *(shape if len(shape) == 3 else (1, *shape)))


def side_by_side(images: torch.Tensor, columns: int) -> torch.Tensor:
    """Return images in rows of so many as one, (3, height, width), white lines between and around.

    As torchvision's ``make_grid`` does, which takes a second to import.

    Parameters
    ----------
    images : (n, 1 or 3, rows, columns) in [0, 1].
    """
    # A line above each and one on its left, and white ones to a full last row.
    sides = (1, 0, 1, 0, 0, 0, 0, -len(images) % columns)
    tiles = pad(images, sides, value=1.0)
    _, channels, height, width = tiles.shape
    rows = tiles.reshape(-1, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    picture = pad(rows.reshape(channels, -1, columns * width), (0, 1, 0, 1), value=1.0)
    return picture.expand(3, -1, -1)


def processed_folder(profile: str, name: str) -> Path:
    """Return where a profile's data set lies."""
    return PROCESSED / profile / name


def read_dataset(profile: str, name: str) -> Dataset:
    """Return a prepared data set (`UserError` if it was not prepared or its record is damaged)."""
    folder = processed_folder(profile, name)
    path = folder / "dataset.json"
    record = read_record(path, DATASET, in_git=False)
    known: dict[str, Any] = {**record, "shape": tuple(record["shape"])}
    dataset = Dataset(folder=folder, **known)
    if dataset.name != name or (dataset.ok and not dataset.counts.keys() <= dataset.sha256.keys()):
        raise UserError(f"{path}: not the record of {name}'s parts; delete it and run `dvc repro`")
    return dataset


def write_dataset(
    folder: Path,
    name: str,
    parts: dict[str, npt.NDArray[Any]],
    *,
    canonical: bool,
    stand_in: str | None,
    labels: npt.NDArray[np.uint8] | None = None,
) -> None:
    """Write a data set's parts, each (n, *shape), training labels, (n,), and last its record."""
    hashes = {}
    for part, array in (parts if labels is None else parts | {LABELS: labels}).items():
        path = folder / f"{part}.npy"
        with replacing(path, array.nbytes) as temporary:
            np.save(temporary, np.ascontiguousarray(array), allow_pickle=False)
        hashes[part] = sha256_file(path)
    dataset = Dataset(
        name=name,
        folder=folder,
        status="ok",
        canonical=canonical,
        stand_in=stand_in,
        shape=parts["train"].shape[1:],
        counts={part: len(array) for part, array in parts.items()},
        sha256=hashes,
    )
    write_json(folder / "dataset.json", dataset.record())


def write_not_run(folder: Path, name: str, reason: str, todo: str) -> None:
    """Write the record of a data set that can't be had."""
    dataset = Dataset(name=name, folder=folder, status="not run", reason=reason, todo=todo)
    write_json(folder / "dataset.json", dataset.record())
