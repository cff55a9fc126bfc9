import struct

import numpy as np

from paper_repro.data.idx import parse_idx


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def test_it_reads_what_was_written():
    for array in (np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.arange(4, dtype=np.uint8)):
        assert np.array_equal(parse_idx(idx(array)), array)
