"""Gzip files and gzip'd tar archives, read to a limit and never extracted to disk."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Self

from paper_repro.core.errors import UserError

PAX, GNU = b"xgX", b"LK"  # the types of extended headers
LARGEST_HEADER = 4096  # bytes of an extended header; times, owners and long names need fewer


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


class _Header(tarfile.TarInfo):
    """A header without those that `tarfile` follows at many times their size in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the header in a block of 512 bytes."""
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in PAX + GNU and header.size > LARGEST_HEADER):
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("it has sparse files")
        return header


def tar_members(
    packed: BinaryIO, limit: int, name: str
) -> Iterator[tuple[tarfile.TarInfo, memoryview]]:
    """Yield the members of a gzip'd tar archive and the bytes of each.

    Raises
    ------
    UserError
        As `decompress`, or if the archive is damaged or has sparse files.
    """
    plain = decompress(packed, limit, name)
    try:
        if b"GNU.sparse" in plain:  # POSIX's kind, known by its extended header
            raise tarfile.ReadError("it has sparse files")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:", tarinfo=_Header) as archive:
            for member in archive:
                data = memoryview(plain)[member.offset_data :][: max(0, member.size)]
                if len(data) != member.size:
                    raise tarfile.ReadError(
                        f"{member.name!r}: {member.size} bytes announced, the archive ends before"
                    )
                yield member, data
            end = archive.offset
        if plain.count(0, end) != max(0, len(plain) - end):  # `tarfile` stops at a damaged header
            raise tarfile.ReadError(f"more data after byte {end}, no header there")
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise UserError(f"{name}: damaged or truncated tar archive ({error})") from None
