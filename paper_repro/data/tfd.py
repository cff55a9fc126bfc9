"""The Toronto Face Database's file, ``TFD_48x48.mat``: a MATLAB file of level 5 (``-v7``).

Such a file is a header of 128 bytes and a row of elements, one a variable. An element is a tag of
two 32-bit numbers, type and size, and as many bytes; up to 4 bytes lie in the tag itself. A
variable, compressed as a whole or not, is an element of four: flags, shape, name and values, the
first index fastest.

It is read here and not with `scipy.io`, which looks a type from the file up in a C table without a
check, so that one damaged byte can end the process. This reader converts the values as it inflates
them: it needs no more memory for doubles than for bytes.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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

MATRIX, COMPRESSED = 14, 15  # types of elements, and those that hold numbers:
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
OPAQUE = 17  # a class of variables without shape
NUMERIC = range(6, 16)  # the classes double, single and int8 to uint64
COMPLEX, LOGICAL = 1 << 11, 1 << 9  # flags
ORDERS = {b"IM": "<", b"MI": ">"}  # the mark at the header's end: the byte order
HEADER = 128  # bytes
SHORT = 1024  # bytes; flags, shape and name have fewer
FED = 1 << 16  # bytes inflated at a time
PIECE = 1 << 17  # values converted at a time
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


class _Stream:
    """The bytes of one element of the file, inflated as they are read if it is compressed."""

    def __init__(self, content: memoryview, order: str, compressed: bool) -> None:
        self.order = order
        self._content = content
        self._inflate = zlib.decompressobj() if compressed else None
        self._in_tag = b""  # an element's data that came with its tag

    def _take(self, size: int) -> bytes:
        taken, self._content = bytes(self._content[:size]), self._content[size:]
        return taken

    def read_up_to(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        data, self._in_tag = bytearray(self._in_tag[:size]), self._in_tag[size:]
        if self._inflate is None:
            return bytes(data) + self._take(size - len(data))
        while len(data) < size and not self._inflate.eof:
            fed = self._inflate.unconsumed_tail or self._take(FED)
            part = self._inflate.decompress(fed, size - len(data))
            if not fed and not part:  # MATLAB may leave the stream's end mark out
                break
            data += part
        return bytes(data)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        data = self.read_up_to(size)
        if len(data) < size:
            raise _Damaged("a variable ends too early")
        return data

    def tag(self) -> tuple[int, int, int]:
        """Return the next element's type, size and number of bytes that pad it."""
        tag = self.read(8)
        kind, size = struct.unpack(f"{self.order}II", tag)
        if kind < 1 << 16:
            return kind, size, -size % 8
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise _Damaged("a bad tag")
        self._in_tag = tag[4:]
        return kind, size, 4 - size

    def short(self, kinds: tuple[int, ...]) -> bytes:
        """Return the next element's data: one of the few bytes before the values."""
        kind, size, padding = self.tag()
        if kind not in kinds or size > SHORT:
            raise _Damaged("a variable's header is none")
        return self.read(size + padding)[:size]


@dataclass(frozen=True)
class _Variable:
    """One variable, read up to its values."""

    name: str
    numeric: bool
    shape: tuple[int, ...]
    stream: _Stream

    def values(
        self, dtype: npt.DTypeLike, lowest: int, highest: int, where: str
    ) -> npt.NDArray[Any]:
        """Return the whole numbers from `lowest` to `highest` that it holds, one after the other.

        A `UserError` if it holds others.
        """
        kind, size, padding = self.stream.tag()
        count = math.prod(self.shape)
        if kind not in TYPES:
            raise _Damaged(f"{self.name}: values of no type")
        stored = np.dtype(self.stream.order + TYPES[kind])
        if size != count * stored.itemsize:
            raise _Damaged(f"{self.name}: {size} bytes for {count} values")
        values = np.empty(count, dtype)
        bottom, top, whole = math.inf, -math.inf, True
        for start in range(0, count, PIECE):
            piece = min(PIECE, count - start)
            part = np.frombuffer(self.stream.read(piece * stored.itemsize), stored)
            with np.errstate(invalid="ignore"):  # NaN is told below
                bottom = float(np.minimum(bottom, part.min()))
                top = float(np.maximum(top, part.max()))
                whole = whole and bool((part == np.trunc(part)).all())
            if whole and lowest <= bottom and top <= highest:
                values[start : start + piece] = part
        if len(self.stream.read_up_to(padding + 1)) > padding:
            raise _Damaged(f"{self.name}: more bytes than its shape says")
        expected = f"expected whole numbers from {lowest} to {highest}"
        if math.isnan(bottom):
            raise UserError(f"{where}: holds NaN; {expected}")
        if highest == WHITE and bottom >= 0 and top <= 1:
            raise UserError(
                f"{where}: scaled to values from 0 to 1; {expected}, as in the original"
            )
        if not (whole and lowest <= bottom and top <= highest):
            fractions = "" if whole else " with fractions"
            raise UserError(f"{where}: values from {bottom:g} to {top:g}{fractions}; {expected}")
        return values


def _variables(content: bytes, order: str) -> Iterator[_Variable]:
    """Yield the file's variables that have a name and a shape, read up to their values."""
    position = HEADER
    while position < len(content):
        if position + 8 > len(content):
            raise _Damaged("it ends within a tag")
        kind, size = struct.unpack_from(f"{order}II", content, position)
        start, end = position, position + 8 + size
        if kind not in (MATRIX, COMPRESSED) or end > len(content):
            raise _Damaged(f"no whole variable at byte {position}")
        position = end
        if kind == COMPRESSED:  # the bytes inflated begin with a tag of their own
            stream = _Stream(memoryview(content)[start + 8 : end], order, compressed=True)
        else:
            stream = _Stream(memoryview(content)[start:end], order, compressed=False)
        kind, size, _ = stream.tag()
        if kind != MATRIX:
            raise _Damaged("a compressed element is no variable")
        if size == 0:
            continue
        flags = int.from_bytes(stream.short((6,))[:4], "little" if order == "<" else "big")
        if flags & 0xFF == OPAQUE:
            continue
        shape = stream.short((5, 6))
        yield _Variable(
            shape=struct.unpack(f"{order}{len(shape) // 4}i", shape[: len(shape) // 4 * 4]),
            name=stream.short((1, 16)).decode("latin1"),
            numeric=flags & 0xFF in NUMERIC and not flags & (COMPLEX | LOGICAL),
            stream=stream,
        )


def _is_column(shape: tuple[int, ...], n: int) -> bool:
    """Return whether it is the shape of n values in a row or a column."""
    return math.prod(shape) == n and n in shape


def _find(content: bytes, order: str, name: str) -> dict[str, _Variable]:
    """Return the variables wanted, by name (`UserError` if one is not of its type or shape)."""
    found: dict[str, _Variable] = {}
    for variable in _variables(content, order):
        where = f"{name}: {variable.name}"
        if variable.name not in VARIABLES:
            continue
        if variable.name in found:
            raise UserError(f"{where}: is there twice")
        if not variable.numeric:
            raise UserError(f"{where}: must be a full array of real numbers; convert it in MATLAB")
        found[variable.name] = variable
    missing = [wanted for wanted in VARIABLES if wanted not in found]
    if missing:
        raise UserError(f"{name}: lacks {', '.join(missing)}; is it TFD_48x48.mat?")
    images, labels, people, folds = (found[wanted].shape for wanted in VARIABLES)
    n = _image_count(images)
    for wanted, fits, expected in (
        ("images", n > 0, "N x 48 x 48 or 48 x 48 x N"),
        ("images", n <= LARGEST, f"{LARGEST:,} images at most"),
        ("labs_ex", _is_column(labels, n), f"{n} x 1, one value an image"),
        ("labs_id", _is_column(people, n), f"{n} x 1, one value an image"),
        ("folds", folds == (n, FOLDS), f"{n} x {FOLDS}, a row an image and a column a fold"),
    ):
        if not fits:
            shape = " x ".join(map(str, found[wanted].shape))
            raise UserError(f"{name}: {wanted}: shape {shape}, expected {expected}")
    return found


def _image_count(shape: tuple[int, ...]) -> int:
    """Return how many images an array of this shape holds; 0 if it is none of images."""
    if len(shape) != 3:
        return 0
    return shape[0] if shape[1:] == (SIDE, SIDE) else shape[2] if shape[:2] == (SIDE, SIDE) else 0


def _read_folds(variable: _Variable, where: str) -> npt.NDArray[np.uint8]:
    """Return the codes (n, 5) (`UserError` if they don't split the images)."""
    codes = variable.values(np.uint8, UNLABELLED, TEST, where)
    folds = np.ascontiguousarray(codes.reshape(FOLDS, -1).T)
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
    return folds


def _read_images(variable: _Variable, where: str) -> npt.NDArray[np.uint8]:
    """Return the images (n, 48, 48) (`UserError` if they are none of whole numbers 0..255)."""
    pixels = variable.values(np.uint8, 0, WHITE, where).reshape(variable.shape[::-1]).T
    image_last = variable.shape[1:] != (SIDE, SIDE)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) if image_last else pixels)


def parse_tfd(content: bytes, name: str) -> Tfd:
    """Return the images and the folds of ``TFD_48x48.mat``.

    Its variables, numbers of any type: ``images`` N x 48 x 48 or 48 x 48 x N (rows before columns),
    whole from 0 to 255; ``labs_ex``, the expressions, 1 to 7 or -1, and ``labs_id``, the people, N
    values each; ``folds`` N x 5 of the codes. 48 x 48 x 48 is read as image first. Other variables
    are passed over. Memory: the content and twice N * 2,304 bytes, N at most `LARGEST`.

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
    if content.startswith((HDF5, b"MATLAB 7.3")) or content[512:520] == HDF5:
        raise UserError(
            f"{name}: a MATLAB 7.3 (HDF5) file; convert it in MATLAB: load it, then "
            f"save('TFD_48x48.mat', {', '.join(map(repr, VARIABLES))}, '-v7')"
        )
    order = ORDERS.get(content[126:HEADER])
    if order is None:
        raise UserError(f"{name}: not a MATLAB file of level 5; save it in MATLAB with '-v7'")
    try:
        found = _find(content, order, name)
        labels = found["labs_ex"].values(np.int8, -1, 7, f"{name}: labs_ex")
        if not labels.all():
            raise UserError(f"{name}: labs_ex: holds 0, expected 1 to 7, or -1 for unlabelled")
        found["labs_id"].values(np.int32, -(2**31), 2**31 - 1, f"{name}: labs_id")
        folds = _read_folds(found["folds"], f"{name}: folds")
        return Tfd(_read_images(found["images"], f"{name}: images"), folds)
    except (_Damaged, zlib.error) as error:
        raise UserError(f"{name}: damaged or truncated MATLAB file ({error})") from None
