"""CIFAR-10's binary version: ``cifar-10-binary.tar.gz``.

A gzip'd tar archive of five training batches and a test batch. A batch is a row of records of 3,073
bytes: the label, 0 to 9, and the pixels of 32 x 32 as three planes, red, green and blue.
"""

import tarfile

import numpy as np
import numpy.typing as npt

from paper_repro.core.errors import UserError
from paper_repro.data.gzipped import decompress

FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"{FOLDER}/data_batch_{batch}.bin" for batch in range(1, 6))
TEST = f"{FOLDER}/test_batch.bin"
IGNORED = (f"{FOLDER}/batches.meta.txt", f"{FOLDER}/readme.html")
IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes
CLASSES = 10
LARGEST = 1 << 28  # bytes, decompressed; the official archive has 184 million
BLOCK = 512  # bytes: what tar counts in


def _members(archive: bytes, name: str) -> dict[str, tuple[int, int]]:
    """Return where the files of a tar archive lie in it: start and size by name.

    The headers are walked here and not with `tarfile.open`, which follows extended headers without
    a limit: a few bytes of archive could cost a hundred times their memory.
    """
    found: dict[str, tuple[int, int]] = {}
    position = 0
    while any(header := archive[position : position + BLOCK]):
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "surrogateescape")
        except tarfile.TarError as error:
            raise UserError(f"{name}: damaged or truncated tar archive ({error})") from None
        where = f"{name}: {info.name!r}"
        start = position + BLOCK
        end = start + info.size
        if not start <= end <= len(archive):
            raise UserError(f"{where}: {info.size} bytes announced, the archive ends before them")
        position = start + -(-info.size // BLOCK) * BLOCK
        if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE):  # times and owners, as a rule
            if max(archive.find(key, start, end) for key in (b"path=", b"size=")) >= 0:
                raise UserError(f"{where}: renames or resizes a file; pack with tar --format=ustar")
            continue
        if info.name in found:
            raise UserError(f"{where}: is there twice")
        if info.name in (*TRAIN, TEST, *IGNORED):
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise UserError(f"{where}: a link or another special entry, expected a plain file")
        elif not (info.name == FOLDER and info.isdir() and info.size == 0):
            raise UserError(f"{where}: no part of CIFAR-10's binary version; not the file expected")
        found[info.name] = start, info.size
    if archive.count(0, position) != max(0, len(archive) - position):
        raise UserError(f"{name}: damaged tar archive (more data after its end)")
    return found


def parse_cifar10(content: bytes, name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the training and the test images of ``cifar-10-binary.tar.gz``.

    Nothing is extracted to disk. Memory: the content, the archive decompressed and the result.

    Parameters
    ----------
    content : the file's bytes, compressed. A batch may have any number of images but none.
    name : what errors call the file.

    Returns
    -------
    train : uint8 (n, 3, 32, 32), batches 1 to 5 in this order.
    test : uint8 (m, 3, 32, 32).

    Raises
    ------
    UserError
        If the file is damaged or decompresses to more than `LARGEST` bytes, if a batch is missing
        or not made of records, or if there is anything in it that does not belong there.
    """
    archive = decompress(content, LARGEST, name)
    members = _members(archive, name)
    missing = [member for member in (*TRAIN, TEST) if member not in members]
    if missing:
        raise UserError(f"{name}: lacks {', '.join(missing)}; get cifar-10-binary.tar.gz again")

    def records(member: str) -> npt.NDArray[np.uint8]:
        start, size = members[member]
        if size == 0 or size % RECORD:
            raise UserError(
                f"{name}: {member}: {size} bytes, expected records of {RECORD}; truncated?"
            )
        batch = np.frombuffer(archive, np.uint8, size, start).reshape(-1, RECORD)
        if (highest := batch[:, 0].max()) >= CLASSES:
            raise UserError(f"{name}: {member}: label {highest}, expected 0 to {CLASSES - 1}")
        return batch[:, 1:]

    def images(*batches: str) -> npt.NDArray[np.uint8]:
        return np.concatenate([records(member) for member in batches]).reshape(-1, *IMAGE)

    return images(*TRAIN), images(TEST)
