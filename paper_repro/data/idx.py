"""The IDX format of the MNIST files.

A header of big-endian 32-bit numbers (magic 0x00000801 for labels, 0x00000803 for images, then one
size a dimension) and the values as unsigned bytes.
"""

import numpy as np
import numpy.typing as npt


def parse_idx(content: bytes) -> npt.NDArray[np.uint8]:
    """Return the array in the official bytes of a file: (n,) or (n, rows, columns)."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions)).reshape(shape)
