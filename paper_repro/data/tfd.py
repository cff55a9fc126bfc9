"""The Toronto Face Database's file, ``TFD_48x48.mat``: a MATLAB file of level 5 (``-v7``).

`scipy.io.loadmat` reads its values. It looks their type up in a C table without a check, so that
one damaged byte can end the process, and takes the memory that the file asks for. So what stands
before the values is checked first: a header of 128 bytes and a row of elements, one a variable. An
element is a tag of two 32-bit numbers, type and size, and as many bytes; a variable, compressed as
a whole or not, is an element of four: flags, shape, name and values.
"""

import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from paper_repro.core.errors import UserError

UNLABELLED, TRAIN, VALID, TEST = range(4)  # the codes in `folds`
FOLDS = 5
SIDE = 48
WHITE = 255
VARIABLES = ("images", "labs_ex", "labs_id", "folds")
OFFICIAL_UNLABELLED = 98_058
OFFICIAL_LABELLED = 4_178
LARGEST = 1 << 17  # images: bounds the memory; the official file has 102,236
LARGEST_FILE = 2_000_000_000  # bytes; the official images take 1,884 million as doubles

MATRIX, COMPRESSED = 14, 15  # types of elements, and the sizes of those that hold numbers:
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
OPAQUE = 17  # a class of variables without shape
NUMERIC = range(6, 16)  # the classes double, single and int8 to uint64
COMPLEX, LOGICAL = 1 << 11, 1 << 9  # flags
ORDERS = {b"\0\1IM": "<", b"\1\0MI": ">"}  # version and byte order, at the header's end
HEADER = 128  # bytes
SHORT = 1024  # bytes; what stands before the values has fewer
INFLATED, RATIO = 1 << 26, 100  # bytes, and more than pictures can be compressed: bound the memory
HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Tfd:
    """The faces and how five folds split them."""

    images: npt.NDArray[np.uint8]  # (n, 48, 48)
    folds: npt.NDArray[np.uint8]  # (n, 5) of UNLABELLED, TRAIN, VALID and TEST

    def _select(self, fold: int, code: int) -> npt.NDArray[np.uint8]:
        selected: npt.NDArray[np.uint8] = self.images[self.folds[:, fold] == code]
        return selected

    def unlabelled(self) -> npt.NDArray[np.uint8]:
        """Return the unlabelled images (m, 48, 48): the same in all folds."""
        return self._select(0, UNLABELLED)

    def valid(self, fold: int) -> npt.NDArray[np.uint8]:
        """Return the validation images (m, 48, 48) of a fold, 0 to 4."""
        return self._select(fold, VALID)

    def test(self, fold: int) -> npt.NDArray[np.uint8]:
        """Return the test images (m, 48, 48) of a fold, 0 to 4."""
        return self._select(fold, TEST)


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


class _Damaged(Exception):
    """The file does not follow its format; the message says in what."""


def _variables(stream: BinaryIO, order: str) -> Iterator[tuple[str, bool, tuple[int, ...]]]:
    """Yield each variable's name, whether it is a full array of real numbers, and its shape."""
    end, position = stream.seek(0, io.SEEK_END), HEADER
    while position < end:
        stream.seek(position)
        start = stream.read(8 + SHORT)
        kind, room = struct.unpack_from(f"{order}II", start)
        position += 8 + room
        if kind == COMPRESSED:  # the bytes inflated begin with a tag of their own
            start = zlib.decompressobj().decompress(start[8:], SHORT)
        kind, size, flags_kind, flags_size, flags = struct.unpack_from(f"{order}5I", start)
        if (kind, flags_kind, flags_size) != (MATRIX, 6, 8) or position > end:
            raise _Damaged(f"no whole variable ends at byte {position}")
        if flags & 0xFF == OPAQUE:
            continue
        full = flags & 0xFF in NUMERIC and not flags & (COMPLEX | LOGICAL)
        fields, at = [], 24
        for _ in range(3 if full else 2):  # shape, name and values
            kind, length = struct.unpack_from(f"{order}II", start, at)
            begin, after = at + 8, at + 8 + length + -length % 8
            if kind >> 16:  # up to 4 bytes lie in the tag itself
                kind, length, begin, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            fields.append((kind, length, start[begin : begin + length]))
            at = after
        name, (_, length, shape_bytes) = fields[1][2].decode("latin1"), fields[0]
        if len(shape_bytes) < length or length % 4:
            raise _Damaged("a variable's header is none")
        shape = struct.unpack(f"{order}{length // 4}i", shape_bytes)
        if full:
            kind, length, _ = fields[2]
            if length != math.prod(shape) * SIZES.get(kind, math.inf):
                raise _Damaged(f"{name!r}: {length} bytes of type {kind} for its shape")
            if length > INFLATED + RATIO * room:
                raise _Damaged(f"{name!r}: {length} bytes compressed to {room}, no images")
            if not begin + length <= 8 + size <= after:
                raise _Damaged(f"{name!r}: more or fewer bytes than its shape says")
        yield name, full, shape


def _is_column(shape: tuple[int, ...], n: int) -> bool:
    """Return whether it is the shape of n values in a row or a column."""
    return math.prod(shape) == n and n in shape


def _image_count(shape: tuple[int, ...]) -> int:
    """Return how many images an array of this shape holds; 0 if it is none of images."""
    if len(shape) != 3:
        return 0
    return shape[0] if shape[1:] == (SIDE, SIDE) else shape[2] if shape[:2] == (SIDE, SIDE) else 0


def check_variables(stream: BinaryIO, name: str) -> None:
    """Check what stands before the values: format, and the variables' types and shapes.

    Raises
    ------
    UserError
        As `parse_tfd`, but for the values.
    """
    header = stream.read(520)
    if header.startswith((HDF5, b"MATLAB 7.3")) or header[512:] == HDF5:
        raise UserError(
            f"{name}: a MATLAB 7.3 (HDF5) file; convert it in MATLAB: load it, then "
            f"save('TFD_48x48.mat', {', '.join(map(repr, VARIABLES))}, '-v7')"
        )
    order = ORDERS.get(header[HEADER - 4 : HEADER])
    if order is None or 0 in header[:4]:  # 0 marks level 4
        raise UserError(f"{name}: not a MATLAB file of level 5; save it in MATLAB with '-v7'")
    found: dict[str, tuple[int, ...]] = {}
    try:
        for variable, full, shape in _variables(stream, order):
            if variable not in VARIABLES:
                continue
            where = f"{name}: {variable}"
            if variable in found:
                raise UserError(f"{where}: is there twice")
            if not full:
                raise UserError(
                    f"{where}: must be a full array of real numbers; convert it in MATLAB"
                )
            found[variable] = shape
    except (_Damaged, struct.error, zlib.error) as error:
        raise UserError(f"{name}: damaged or truncated MATLAB file ({error})") from None
    missing = [wanted for wanted in VARIABLES if wanted not in found]
    if missing:
        raise UserError(f"{name}: lacks {', '.join(missing)}; is it TFD_48x48.mat?")
    n = _image_count(found["images"])
    for wanted, fits, expected in (
        ("images", n > 0, "N x 48 x 48 or 48 x 48 x N"),
        ("images", n <= LARGEST, f"{LARGEST:,} images at most"),
        ("labs_ex", _is_column(found["labs_ex"], n), f"{n} x 1, one value an image"),
        ("labs_id", _is_column(found["labs_id"], n), f"{n} x 1, one value an image"),
        ("folds", found["folds"] == (n, FOLDS), f"{n} x {FOLDS}, a row an image, a column a fold"),
    ):
        if not fits:
            sizes = " x ".join(map(str, found[wanted]))
            raise UserError(f"{name}: {wanted}: shape {sizes}, expected {expected}")


def _whole_numbers(
    content: bytes, name: str, variable: str, lowest: int, highest: int
) -> npt.NDArray[Any]:
    """Return a variable's values, as bytes if `lowest` is 0.

    Raises
    ------
    UserError
        If they are damaged, or not all of them whole numbers from `lowest` to `highest`.
    """
    from scipy.io import loadmat  # here, because every repro waits for the stage fetch's imports

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # scipy warns of what it can't read
            found = loadmat(io.BytesIO(content), variable_names=[variable])[variable]
    except Exception as error:  # damage shows in errors of many types
        problem = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{name}: {variable}: damaged or truncated MATLAB file ({problem})"
        ) from None
    where = f"{name}: {variable}"
    expected = f"expected whole numbers from {lowest} to {highest}"
    with np.errstate(invalid="ignore"):
        bottom, top = float(found.min()), float(found.max())
        if math.isnan(bottom):
            raise UserError(f"{where}: holds NaN; {expected}")
        if highest == WHITE and bottom >= 0 and top <= 1:
            raise UserError(
                f"{where}: scaled to values from 0 to 1; {expected}, as in the original"
            )
        fractions = ""
        if lowest <= bottom and top <= highest:
            whole: npt.NDArray[Any] = found.astype(np.int32 if lowest else np.uint8, copy=False)
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


def parse_tfd(content: bytes, name: str) -> Tfd:
    """Return the images and the folds of ``TFD_48x48.mat``.

    Its variables, numbers of any type: ``images`` N x 48 x 48 or 48 x 48 x N (rows before columns),
    whole from 0 to 255; ``labs_ex``, the expressions, 1 to 7 or -1, and ``labs_id``, the people, N
    values each; ``folds`` N x 5 of the codes. 48 x 48 x 48 is read as image first. Other variables
    are passed over. Memory: the content, the images as they are stored, N * 2,304 values, and
    twice as bytes; N at most `LARGEST`.

    Parameters
    ----------
    content : the file's bytes.
    name : what errors call the file.

    Raises
    ------
    UserError
        If the file is of another format, damaged or truncated, or if a variable is missing, there
        twice or not as above; if an image is unlabelled in some folds only, if none is unlabelled,
        or if a fold has no training, validation or test image.
    """
    check_variables(io.BytesIO(content), name)
    if not _whole_numbers(content, name, "labs_ex", -1, 7).all():
        raise UserError(f"{name}: labs_ex: holds 0, expected 1 to 7, or -1 for unlabelled")
    _whole_numbers(content, name, "labs_id", -(2**31), 2**31 - 1)
    folds = np.ascontiguousarray(_whole_numbers(content, name, "folds", UNLABELLED, TEST))
    _check_folds(folds, f"{name}: folds")
    images = _whole_numbers(content, name, "images", 0, WHITE)
    if images.shape[1:] != (SIDE, SIDE):
        images = images.transpose(2, 0, 1)
    return Tfd(np.ascontiguousarray(images), folds)


def deviation(content: bytes, name: str) -> str | None:
    """Return in what a file's counts of images differ from the official one's, if they do.

    Raises
    ------
    UserError
        As `parse_tfd`.
    """
    return structure_problem(parse_tfd(content, name))
