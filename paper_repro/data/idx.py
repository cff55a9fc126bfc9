"""The IDX format of the MNIST files.

A header of big-endian 32-bit numbers (magic 0x00000801 for labels, 0x00000803 for images, then one
size a dimension) and the values as unsigned bytes.
"""

import math

import numpy as np
import numpy.typing as npt

from paper_repro.core.errors import UserError


def parse_idx(content: bytes, name: str, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the array that an IDX file of unsigned bytes holds.

    Parameters
    ----------
    content : the file's bytes, decompressed.
    name : what errors call the file.
    dimensions : 1 for labels, 3 for images (n, rows, columns).

    Raises
    ------
    UserError
        If magic, sizes and length don't agree.
    """
    start = 4 * (1 + dimensions)
    if len(content) < start:
        raise UserError(f"{name}: {len(content)} bytes are too few for an IDX header; truncated?")
    magic, *shape = np.frombuffer(content, ">u4", 1 + dimensions).tolist()
    if magic != 0x0800 + dimensions:
        raise UserError(
            f"{name}: magic number 0x{magic:08x}, expected 0x{0x0800 + dimensions:08x}: "
            f"not an IDX file of bytes in {dimensions} dimension(s)"
        )
    if len(content) - start != math.prod(shape):
        raise UserError(
            f"{name}: header says {' x '.join(map(str, shape))} = {math.prod(shape)} bytes, "
            f"{len(content) - start} follow; truncated or padded"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
