import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.core.errors import UserError
from paper_repro.data.idx import parse_idx


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_it_reads_what_was_written():
    assert np.array_equal(parse_idx(idx(IMAGES), "x", 3), IMAGES)
    assert np.array_equal(parse_idx(idx(IMAGES[0, 0]), "x", 1), IMAGES[0, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES)[:-1], "2 x 3 x 4 = 24 bytes, 23 follow; truncated or padded"),
        (idx(IMAGES) + b"\0", "25 follow"),
        (idx(IMAGES)[:10], "too few for an IDX header"),
        (b"", "too few"),
        (idx(IMAGES[0, 0]) + b"\0" * 16, "0x00000801, expected 0x00000803"),
        (struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1), "0 follow"),
        (b"\x1f\x8b" + idx(IMAGES), "magic number"),
    ],
)
def test_a_bad_file_is_one_line_with_its_name(content, message):
    with pytest.raises(UserError) as caught:
        parse_idx(content, "some-file", 3)
    assert message in str(caught.value)
    assert str(caught.value).startswith("some-file: ")


@given(st.binary(max_size=64))
def test_any_bytes_are_an_array_or_a_clear_error(content):
    try:
        array = parse_idx(content, "fuzz", 3)
    except UserError:
        return
    assert array.size == len(content) - 16


@given(st.integers(0, len(idx(IMAGES)) - 1), st.integers(1, 255))
def test_any_flipped_byte_of_the_header_is_an_error(position, flip):
    content = bytearray(idx(IMAGES))
    content[position] ^= flip
    if position < 16:
        with pytest.raises(UserError):
            parse_idx(bytes(content), "fuzz", 3)
    else:
        assert parse_idx(bytes(content), "fuzz", 3).shape == (2, 3, 4)
