import contextlib
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro.core.errors import UserError
from paper_repro.data.gzip_file import decompress

PLAIN = bytes(range(256)) * 4
PACKED = gzip.compress(PLAIN)


def test_it_returns_what_was_packed_up_to_the_limit():
    assert decompress(io.BytesIO(PACKED), len(PLAIN), "x") == PLAIN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PACKED[:-9], "damaged or truncated"),
        (PACKED[:5], "damaged or truncated"),
        (PACKED[:-8] + bytes(8), "damaged or truncated"),
        (PACKED + b"padding", "damaged or truncated"),
        (PLAIN, "damaged or truncated"),
        (gzip.compress(PLAIN + b"x"), "more than 1,024 bytes once decompressed"),
        (gzip.compress(bytes(1 << 24)), "more than 1,024 bytes once decompressed"),
    ],
)
def test_a_bad_file_is_one_line_with_its_name(content, message):
    with pytest.raises(UserError) as caught:
        decompress(io.BytesIO(content), len(PLAIN), "some-file")
    assert message in str(caught.value)
    assert str(caught.value).startswith("some-file: ")
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_are_decompressed_or_a_clear_error(content, with_magic):
    with contextlib.suppress(UserError):
        decompress(io.BytesIO(PACKED[:10] * with_magic + content), 1 << 16, "fuzz")
