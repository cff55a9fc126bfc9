"""CIFAR-10 in the forms that people have, made up in small, and the real images where they are."""

import dataclasses
import gzip
import hashlib
import io
import json
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from paper_repro.core.errors import UserError
from paper_repro.data import places
from paper_repro.data.catalogue import CIFAR10, Hash
from paper_repro.data.cifar10 import BATCHES, BINARY, FILES, PYTHON, RECORD, parse_batch
from paper_repro.data.fetch import fetch_sources
from paper_repro.data.prepare import split_cifar10
from tests.small import ROOT


def made_up(seed, count=3):
    """A batch of the binary version, (count, 3073)."""
    batch = np.random.default_rng(seed).integers(0, 256, (count, RECORD), np.uint8)
    batch[:, 0] %= 10
    return batch


def text(value):
    """A short text as Python 2 pickles it."""
    return b"U" + bytes([len(value)]) + value


def pickled(batch):
    """The same batch as Python 2 pickled it, with its file's names, which are texts, too."""
    labels = b"".join(b"K" + bytes([label]) for label in batch[:, 0])
    pixels = batch[:, 1:].tobytes()
    names = b"".join(text(b"a_%d.png" % index) for index in range(len(batch)))
    values = {
        b"batch_label": text(b"made up"),
        b"labels": b"](" + labels + b"e",
        b"data": b"T" + struct.pack("<I", len(pixels)) + pixels,
        b"filenames": b"](" + names + b"e",
    }
    return b"\x80\x02}(" + b"".join(text(key) + values[key] for key in values) + b"u."


def archive(contents):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


ARRAYS = {file: made_up(seed) for seed, file in enumerate(FILES)}
KEPT = {file: batch.tobytes() for file, batch in ARRAYS.items()}
BINARY_FOLDER = {f"{BINARY}/{file}": content for file, content in KEPT.items()}
PYTHON_FOLDER = {
    f"{PYTHON}/{name}": pickled(ARRAYS[file]) for name, file in zip(BATCHES, FILES, strict=True)
}
FORMS = {
    "binary folder": BINARY_FOLDER,
    "Python folder": PYTHON_FOLDER,
    "binary archive": {"cifar-10-binary.tar.gz": archive(BINARY_FOLDER)},
    "Python archive": {"cifar-10-python.tar.gz": archive(PYTHON_FOLDER)},
}
FIRST = f"{PYTHON}/data_batch_1"


def small():
    """The catalogue's entry with the made-up files' hashes and no host."""

    def hashed(kind, content):
        return Hash(kind, hashlib.new(kind, content).hexdigest())

    contents = {path: content for form in FORMS.values() for path, content in form.items()}
    forms = [
        dataclasses.replace(form, published=hashed(form.published.kind, contents[form.path]))
        for form in CIFAR10.forms
    ]
    files = {file: hashed("sha1", content) for file, content in KEPT.items()}
    return dataclasses.replace(CIFAR10, files=files, forms=tuple(forms), mirrors=())


def fetch():
    fetch_sources({"cifar10": small()})


def raw():
    return {path.name: path.read_bytes() for path in Path("data/raw/cifar10").iterdir()}


def status():
    return json.loads(Path("data/raw/cifar10/status.json").read_text())


def write(root, *forms):
    for form in forms:
        for name, content in FORMS[form].items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder like torchvision's, which the environment names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(places.STAND_IN, raising=False)
    Path("torchvision").mkdir()
    monkeypatch.setenv(places.MIRROR, "torchvision")
    return Path("torchvision").resolve()


@pytest.mark.parametrize("folder", ["torchvision", "torchvision/cifar10", "data/incoming/cifar10"])
@pytest.mark.parametrize("form", FORMS)
def test_any_form_leaves_the_same_files(root, monkeypatch, form, folder):
    write(folder, form)
    fetch()
    assert {name: content for name, content in raw().items() if name != "status.json"} == KEPT
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in KEPT.items()}
    expected = {"dataset": "cifar10", "status": "ok", "canonical": True, "stand_in": None}
    assert status() == expected | {"sha256": sha256}
    monkeypatch.delenv(places.MIRROR)  # what is there is kept without a source
    fetch()
    assert raw().keys() == {*KEPT, "status.json"}


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_form_is_named_with_both_hashes_and_nothing_is_written(root, form, capsys):
    write(root, form)
    *_, last = (root / name for name in FORMS[form])
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    found = next(f for f in small().forms if str(last).endswith(f.path)).published
    now = hashlib.new(found.kind, content).hexdigest()
    with pytest.raises(
        UserError, match=rf"\A.*{last}: {found.kind} {now} instead of {found.value}.*\Z"
    ):
        fetch()
    assert not Path("data").exists()


def test_the_last_training_batch_is_for_validation():
    found = split_cifar10(KEPT).parts
    *train, valid, test = map(parse_batch, KEPT.values())
    expected = {"train": np.concatenate(train), "valid": valid, "test": test}
    assert all(np.array_equal(found[part], images) for part, images in expected.items())


def test_each_damaged_file_is_named_an_archive_beside_an_intact_folder_too(root, capsys):
    write(root, "binary folder", "Python archive")
    packed = root / "cifar-10-python.tar.gz"
    packed.write_bytes(packed.read_bytes()[:-9])  # an interrupted download
    fetch()
    assert f"{packed}: md5" in capsys.readouterr().err
    shutil.rmtree("data")
    for name in ("data_batch_2.bin", "test_batch.bin"):
        (root / BINARY / name).write_bytes(b"no batch")
    with pytest.raises(UserError, match=f"{BINARY}/data_batch_2.bin: sha1"):
        fetch()
    assert f"{BINARY}/test_batch.bin: sha1" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x"), Path.unlink])
@pytest.mark.parametrize("other", ["binary folder", "Python archive"])
def test_an_intact_form_beside_a_damaged_or_partial_one_is_taken(root, damage, other, capsys):
    write(root, "Python folder", other)
    damage(root / FIRST)
    fetch()
    assert raw().keys() == {*KEPT, "status.json"}
    assert raw()["data_batch_1.bin"] == KEPT["data_batch_1.bin"]
    told = capsys.readouterr().err
    assert f"fetch: cifar10: {root}/{FIRST}: " in told
    assert len(told.splitlines()) == 1


def test_a_partial_form_alone_is_an_error_that_names_what_it_lacks(root, capsys):
    write(root, "Python folder")
    (root / FIRST).unlink()
    with pytest.raises(UserError, match=r"CIFAR-10: incomplete: no source has data_batch_1\.bin; "):
        fetch()
    assert f"{root}/{FIRST}: no such file" in capsys.readouterr().err
    assert not Path("data").exists()


def test_pixels_are_planes_of_rows():
    record = np.concatenate([[3], np.full(1024, 1), np.full(1024, 2), np.arange(1024) % 256])
    (image,) = parse_batch(record.astype(np.uint8).tobytes())
    assert (image[0] == 1).all()
    assert (image[1] == 2).all()
    assert image[2, 1, 3] == 35


def test_the_real_images_where_they_are():
    folder = ROOT / "data/raw/cifar10"
    if not (folder / FILES[0]).is_file():
        pytest.skip("CIFAR-10 has not been fetched")
    contents = [(folder / file).read_bytes() for file in FILES]
    for published, content in zip(CIFAR10.files.values(), contents, strict=True):
        assert published.problem(content) is None
    images = np.concatenate([parse_batch(content) for content in contents[:5]])
    assert images.shape == (50_000, 3, 32, 32)
    expected = "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111"
    assert hashlib.sha256(images.tobytes()).hexdigest() == expected
    assert images.mean((0, 2, 3)) / 255 == pytest.approx([0.49140, 0.48216, 0.44653], abs=5e-6)
