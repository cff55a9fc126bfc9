"""Gzip files, read to a limit."""

import gzip
import zlib
from typing import BinaryIO

from paper_repro.core.errors import UserError


def decompress(packed: BinaryIO, limit: int, name: str) -> bytes:
    """Return the bytes of a gzip file.

    Raises
    ------
    UserError
        If they are damaged or cut off, or if there are more than `limit` of them.
    """
    try:
        with gzip.open(packed) as stream:
            plain = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name}: damaged or truncated gzip file ({error})") from None
    if len(plain) > limit:
        raise UserError(
            f"{name}: more than {limit:,} bytes once decompressed; not the file expected"
        )
    return plain
