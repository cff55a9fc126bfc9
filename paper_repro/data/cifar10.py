"""CIFAR-10's binary version: ``cifar-10-binary.tar.gz``.

A gzip'd tar archive of five training batches and a test batch. A batch is a row of records of 3,073
bytes: the label, 0 to 9, and the pixels of 32 x 32 as three planes, red, green and blue.
"""

import io

import numpy as np
import numpy.typing as npt

from paper_repro.core.errors import UserError
from paper_repro.data.archives import tar_members

FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"{FOLDER}/data_batch_{batch}.bin" for batch in range(1, 6))
TEST = f"{FOLDER}/test_batch.bin"
IGNORED = (f"{FOLDER}/batches.meta.txt", f"{FOLDER}/readme.html")
IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes
CLASSES = 10
LARGEST = 190_000_000  # bytes, compressed or not; the official archive has 184 million


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
    found: dict[str, memoryview] = {}
    for member, data in tar_members(io.BytesIO(content), LARGEST, name):
        where = f"{name}: {member.name!r}"
        if member.name in found:
            raise UserError(f"{where}: is there twice")
        if member.name in (*TRAIN, TEST, *IGNORED):
            if not member.isreg():
                raise UserError(f"{where}: a link or another special entry, expected a plain file")
        elif not (member.name == FOLDER and member.isdir()):
            raise UserError(f"{where}: no part of CIFAR-10's binary version; not the file expected")
        found[member.name] = data
    missing = [batch for batch in (*TRAIN, TEST) if batch not in found]
    if missing:
        raise UserError(f"{name}: lacks {', '.join(missing)}; get cifar-10-binary.tar.gz again")

    def records(batch: str) -> npt.NDArray[np.uint8]:
        size = len(found[batch])
        if size == 0 or size % RECORD:
            raise UserError(
                f"{name}: {batch}: {size} bytes, expected records of {RECORD}; truncated?"
            )
        images = np.frombuffer(found[batch], np.uint8).reshape(-1, RECORD)
        if (highest := images[:, 0].max()) >= CLASSES:
            raise UserError(f"{name}: {batch}: label {highest}, expected 0 to {CLASSES - 1}")
        return images[:, 1:]

    def images(*batches: str) -> npt.NDArray[np.uint8]:
        return np.concatenate([records(batch) for batch in batches]).reshape(-1, *IMAGE)

    return images(*TRAIN), images(TEST)
