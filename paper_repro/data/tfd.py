"""The Toronto Face Database's file, ``TFD_48x48.mat``: a MATLAB file of level 5 (``-v7``).

`scipy.io.loadmat` reads it, in a process of its own: it looks types up in a C table without a
check, so that one damaged byte can end the process.
"""

import math
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from paper_repro.core.errors import UserError
from paper_repro.core.files import write_bytes

UNLABELLED, TRAIN, VALID, TEST = range(4)  # the codes in `folds`
FOLDS = 5
SIDE = 48
WHITE = 255
VARIABLES = ("images", "folds")
OFFICIAL_UNLABELLED = 98_058
OFFICIAL_LABELLED = 4_178
LARGEST = 1 << 17  # images: bounds the memory; the official file has 102,236
LARGEST_FILE = 2_000_000_000  # bytes; the official images take 1,884 million as doubles

LEVEL_5 = (b"\0\1IM", b"\1\0MI")  # version and byte order, at the end of a header of 128 bytes
HDF5 = b"\x89HDF\r\n\x1a\n"


class Tfd(NamedTuple):
    """The faces and how five folds split them."""

    images: npt.NDArray[np.uint8]  # (n, 48, 48)
    folds: npt.NDArray[np.uint8]  # (n, 5) of UNLABELLED, TRAIN, VALID and TEST


def structure_problem(tfd: Tfd) -> str | None:
    """Return in what the counts of images differ from the official file's; None if in nothing."""
    unlabelled = int(np.count_nonzero(tfd.folds[:, 0] == UNLABELLED))
    labelled = len(tfd.folds) - unlabelled
    if (unlabelled, labelled) == (OFFICIAL_UNLABELLED, OFFICIAL_LABELLED):
        return None
    return (
        f"{unlabelled + labelled:,} images, {unlabelled:,} unlabelled and {labelled:,} labelled, "
        f"instead of {OFFICIAL_UNLABELLED + OFFICIAL_LABELLED:,}, {OFFICIAL_UNLABELLED:,} and "
        f"{OFFICIAL_LABELLED:,}"
    )


def _require_level_5(stream: BinaryIO, name: str) -> None:
    """Raise a `UserError` unless a file begins as MATLAB files of level 5 do."""
    header = stream.read(520)
    stream.seek(0)
    if header.startswith((HDF5, b"MATLAB 7.3")) or header[512:] == HDF5:
        raise UserError(
            f"{name}: a MATLAB 7.3 (HDF5) file; convert it in MATLAB: load it, then "
            f"save('TFD_48x48.mat', {', '.join(map(repr, VARIABLES))}, '-v7')"
        )
    if header[124:128] not in LEVEL_5 or 0 in header[:4]:  # 0 marks level 4
        raise UserError(f"{name}: not a MATLAB file of level 5; save it in MATLAB with '-v7'")


def _damaged(name: str, problem: str) -> UserError:
    return UserError(f"{name}: damaged or truncated MATLAB file ({problem})")


def _load(stream: BinaryIO, name: str) -> dict[str, npt.NDArray[Any]]:
    """Return the variables as they are stored (`UserError` unless they are full and real)."""
    from scipy.io import loadmat  # here, because every repro waits for the stage fetch's imports

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # scipy warns of what it can't read
            found = loadmat(stream, variable_names=VARIABLES)
    except Exception as error:  # damage shows in errors of many types
        problem = " ".join(str(error).split()) or type(error).__name__
        raise _damaged(name, problem) from None
    missing = [variable for variable in VARIABLES if variable not in found]
    if missing:
        raise UserError(f"{name}: lacks {', '.join(missing)}; is it TFD_48x48.mat?")
    for variable in VARIABLES:
        array = found[variable]
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
            raise UserError(
                f"{name}: {variable}: must be a full array of real numbers; convert it in MATLAB"
            )
    return {variable: found[variable] for variable in VARIABLES}


def _image_count(shape: tuple[int, ...]) -> int:
    """Return how many images an array of this shape holds; 0 if it is none of images."""
    if len(shape) == 3 and (SIDE, SIDE) in (shape[1:], shape[:2]):
        return shape[0] if shape[1:] == (SIDE, SIDE) else shape[2]
    return 0


def _check_shapes(found: dict[str, npt.NDArray[Any]], name: str) -> None:
    """Raise a `UserError` unless the variables' shapes fit each other."""
    shapes = {variable: array.shape for variable, array in found.items()}
    n = _image_count(shapes["images"])
    for variable, fits, expected in (
        ("images", n > 0, "N x 48 x 48 or 48 x 48 x N"),
        ("images", n <= LARGEST, f"{LARGEST:,} images at most"),
        ("folds", shapes["folds"] == (n, FOLDS), f"{n} x {FOLDS}, a row an image, a column a fold"),
    ):
        if not fits:
            sizes = " x ".join(map(str, shapes[variable]))
            raise UserError(f"{name}: {variable}: shape {sizes}, expected {expected}")


def _whole_numbers(found: npt.NDArray[Any], where: str, highest: int) -> npt.NDArray[np.uint8]:
    """Return an array as bytes (`UserError` unless all are whole numbers from 0 to `highest`)."""
    expected = f"expected whole numbers from 0 to {highest}"
    with np.errstate(invalid="ignore"):
        bottom, top = float(found.min()), float(found.max())
        if math.isnan(bottom):
            raise UserError(f"{where}: holds NaN; {expected}")
        if highest == WHITE and bottom >= 0 and top <= 1:
            raise UserError(
                f"{where}: scaled to values from 0 to 1; {expected}, as in the original"
            )
        fractions = ""
        if bottom >= 0 and top <= highest:
            whole = found.astype(np.uint8, copy=False)
            if found.dtype.kind != "f" or (whole == found).all():
                return whole
            fractions = " with fractions"
    raise UserError(f"{where}: values from {bottom:g} to {top:g}{fractions}; {expected}")


def _check_folds(folds: npt.NDArray[np.uint8], where: str) -> None:
    """Raise a `UserError` unless the codes (n, 5) split the images."""
    unlabelled = folds == UNLABELLED
    mixed = unlabelled.any(axis=1) != unlabelled.all(axis=1)
    if mixed.any():
        raise UserError(f"{where}: row {mixed.argmax() + 1}: unlabelled in some folds, not in all")
    if not unlabelled.any():
        raise UserError(f"{where}: no image is unlabelled (code {UNLABELLED} in all folds)")
    for fold in range(FOLDS):
        for code, part in ((TRAIN, "training"), (VALID, "validation"), (TEST, "test")):
            if not (folds[:, fold] == code).any():
                raise UserError(f"{where}: column {fold + 1}: no {part} image (code {code})")


def read_tfd(stream: BinaryIO, name: str) -> Tfd:
    """Do as `parse_tfd`, in this process, which some damaged files end."""
    _require_level_5(stream, name)
    found = _load(stream, name)
    _check_shapes(found, name)
    folds = _whole_numbers(found["folds"], f"{name}: folds", TEST)
    _check_folds(folds, f"{name}: folds")
    images = _whole_numbers(found["images"], f"{name}: images", WHITE)
    if images.shape[1:] != (SIDE, SIDE):
        images = images.transpose(2, 0, 1)
    return Tfd(np.ascontiguousarray(images), np.ascontiguousarray(folds))


def _read_path(path: Path, name: str) -> Tfd:
    with path.open("rb") as stream:
        return read_tfd(stream, name)


def parse_tfd(content: bytes, name: str) -> Tfd:
    """Return the images and the folds of ``TFD_48x48.mat``, which errors call by `name`.

    Its variables, numbers of any type: ``images`` N x 48 x 48 or 48 x 48 x N (rows before columns),
    whole from 0 to 255; ``folds`` N x 5 of the codes. 48 x 48 x 48 is read as image first. Other
    variables, such as the labels, are passed over. N is at most `LARGEST`.

    A `UserError` if the file is of another format, damaged or truncated, or if a variable is
    missing or not as above; if an image is unlabelled in some folds only, if none is unlabelled, or
    if a fold has no training, validation or test image.
    """
    own_process = ProcessPoolExecutor(1, get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder, own_process:
        path = Path(folder, "tfd.mat")
        write_bytes(path, content)
        try:
            return own_process.submit(_read_path, path, name).result()
        except BrokenProcessPool:
            raise _damaged(name, "reading it ended the process, or memory ran out") from None


def deviation(content: bytes, name: str) -> str | None:
    """Return in what a file's counts of images differ from the official one's, if they do."""
    return structure_problem(parse_tfd(content, name))
