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
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{name}: {len(content)} bytes are too few for an IDX header; truncated?")
    magic = int.from_bytes(content[:4], "big")
    if magic != 0x0800 + dimensions:
        raise UserError(
            f"{name}: magic number 0x{magic:08x}, expected 0x{0x0800 + dimensions:08x}: "
            f"not an IDX file of bytes in {dimensions} dimension(s)"
        )
    shape = tuple(int.from_bytes(content[4 * i : 4 * i + 4], "big") for i in range(1, header // 4))
    size = math.prod(shape)
    if len(content) - header != size:
        raise UserError(
            f"{name}: header says {' x '.join(map(str, shape))} = {size} bytes, "
            f"{len(content) - header} follow; truncated or padded"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
