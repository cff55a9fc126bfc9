"""Samples of any model as people save them: ``.npy``, ``.npz``, ``.safetensors``, PNGs.

What is returned has a shape, (n, …), and gives the rows that it is asked for: of many samples only
these are read into memory. No pickle is ever loaded.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import safe_open

from paper_repro.core.errors import UserError
from paper_repro.core.files import LARGEST, open_regular

LARGEST_NPZ = 1 << 30  # bytes of its array, which has to be decompressed as a whole


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of libraries that promise none for what is no file of theirs
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: can't be read: {reason}") from None


def _only(path: Path, names: list[str]) -> str:
    if len(names) != 1:
        there = ", ".join(names[:5]) or "none"
        raise UserError(f"{path}: must hold one array, not {len(names)} (there: {there})")
    return names[0]


def _npy(path: Path) -> Any:
    # Not np.load, which takes for a pickle what is no array, or opens an archive.
    return np.lib.format.open_memmap(path, mode="r")


def _npz(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        name = _only(path, archive.namelist())
        if archive.getinfo(name).file_size > LARGEST_NPZ:
            raise UserError(
                f"{path}: more than {LARGEST_NPZ:,} bytes in an archive, which can't be read in "
                "parts; save the samples as .npy"
            )
        with archive.open(name) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)


def _safetensors(path: Path) -> Any:
    with safe_open(path, "pt") as stored:  # the tensor is a view of the file
        return stored.get_tensor(_only(path, list(stored.keys())))


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    """Return a grey picture's bytes, (rows, columns); three equal channels are grey, too."""
    with _reading(path), open_regular(path) as stream, Image.open(stream) as picture:
        channels = np.asarray(picture.convert("RGB"))
        if picture.mode not in ("1", "L", "P", "RGB") or (channels != channels[..., :1]).any():
            raise UserError(f"{path}: must be a grey picture of 8 bits, not of mode {picture.mode}")
    return channels[..., 0]


class _Pngs:
    def __init__(self, folder: Path) -> None:
        self.paths = np.array(sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png"))
        if not len(self.paths):
            raise UserError(f"{folder}: no PNG in this folder")
        self.shape = (len(self.paths), *_grey(self.paths[0]).shape)

    def __getitem__(self, rows: Any) -> npt.NDArray[np.uint8]:
        pictures = [_grey(path) for path in self.paths[rows]]
        for path, picture in zip(self.paths[rows], pictures, strict=True):
            if picture.shape != self.shape[1:]:
                raise UserError(f"{path}: of another size than {self.paths[0].name}")
        return np.stack(pictures)


READERS = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}


def open_samples(path: Path) -> Any:
    """Return what has the shape and the rows of a file, by its name's ending, or of a folder.

    Raises
    ------
    UserError
        If it is absent, unreadable, damaged or of another type, or has not exactly one array.
    """
    with _reading(path):
        if path.is_dir():
            return _Pngs(path)
        try:
            with open_regular(path, LARGEST):  # no pipe, and readable
                pass
        except FileNotFoundError:
            raise UserError(f"{path}: no such file or folder") from None
        if path.suffix.lower() not in READERS:
            raise UserError(
                f"{path}: of unknown type; must be {', '.join(READERS)} or a folder of PNGs"
            )
        return READERS[path.suffix.lower()](path)
