"""CIFAR-10: its binary version, and what turns the other forms that people have into it.

A batch is a row of records of 3,073 bytes: the label, 0 to 9, and the pixels of 32 x 32 as three
planes, red, green and blue. The Python version is a pickle of the same; it is never unpickled.
"""

import io
import pickletools
import tarfile

import numpy as np
import numpy.typing as npt

BATCHES = (*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch")
FILES = tuple(f"{batch}.bin" for batch in BATCHES)  # as they are kept
BINARY, PYTHON = "cifar-10-batches-bin", "cifar-10-batches-py"  # folders, in archives too
IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # bytes


def from_python(name: str, batch: bytes) -> dict[str, bytes]:
    """Return a batch of the Python version as the binary version has it, by its name there.

    The pickle's instructions are listed and none is carried out: the labels are the small numbers
    under the key ``labels``, the pixels the one long string. The bytes are the official ones.
    """
    key, labels, pixels = None, [], ""
    for instruction, argument, _ in pickletools.genops(batch):
        if instruction.name == "SHORT_BINSTRING":
            key = argument
        elif instruction.name == "BININT1" and key == "labels":
            labels.append(argument)
        elif instruction.name == "BINSTRING":
            pixels = str(argument)
    images = np.frombuffer(pixels.encode("latin1"), np.uint8).reshape(len(labels), -1)
    return {name: np.column_stack([np.array(labels, np.uint8), images]).tobytes()}


def _members(archive: bytes, names: list[str]) -> list[bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        return [members.extractfile(name).read() for name in names]  # type: ignore[union-attr]


def from_binary_archive(archive: bytes) -> dict[str, bytes]:
    """Return the batches in ``cifar-10-binary.tar.gz``, whose bytes are the official ones."""
    names = [f"{BINARY}/{file}" for file in FILES]
    return dict(zip(FILES, _members(archive, names), strict=True))


def from_python_archive(archive: bytes) -> dict[str, bytes]:
    """Return those in ``cifar-10-python.tar.gz`` as the binary version has them."""
    found: dict[str, bytes] = {}
    batches = _members(archive, [f"{PYTHON}/{batch}" for batch in BATCHES])
    for file, batch in zip(FILES, batches, strict=True):
        found |= from_python(file, batch)
    return found


def parse_batch(content: bytes) -> npt.NDArray[np.uint8]:
    """Return the images of a batch of the binary version, (n, 3, 32, 32)."""
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)[:, 1:].reshape(-1, *IMAGE)
