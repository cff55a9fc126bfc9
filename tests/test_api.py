"""The package as a library and the command `score`."""

import dataclasses
import json
import os
import pickle
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import paper_repro
from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, read_dataset, write_dataset, write_not_run
from paper_repro.core.measure import Measure
from paper_repro.core.params import read_params
from paper_repro.diagnostics.sample_checks import memorisation
from paper_repro.diagnostics.sample_sets import grids
from paper_repro.parzen.bandwidth import estimate
from paper_repro.sample_files import open_samples
from tests.small import ROOT, python

RUN = ROOT / "reports/paper/runs/paper-mnist-4"
CHAINS = ("paper-dbn-0", "paper-stacked_cae-0", "paper-deep_gsn-0")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the repository's parameters and released runs, and images of MNIST's form."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "reports"):
        Path(name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    parts = {part: drawn(n, rng) for part, n in (("train", 1100), ("valid", 60), ("test", 40))}
    folder = processed_folder("paper", "mnist")
    write_dataset(folder, "mnist", parts, canonical=False, stand_in=None)


def drawn(n, rng):
    """Random images as bytes, (n, 28, 28), dark as digits are."""
    return (rng.random((n, 28, 28)) ** 8 * 255).astype(np.uint8)


@pytest.fixture
def images():
    found = drawn(1000, np.random.default_rng(1))
    found[0, 0, 0] = 255
    return found


def test_importing_the_package_loads_neither_torch_nor_numpy():
    code = "import sys, paper_repro; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    assert python("-c", code, cwd=ROOT).returncode == 0
    assert all(hasattr(paper_repro, name) for name in paper_repro.__all__)
    assert not hasattr(paper_repro, "lod")


def test_a_score_is_the_measure_s_by_every_grid(checkout, images):
    found = paper_repro.score(images / 255.0)
    samples = torch.tensor(images / 255.0).float().flatten(1)
    parts = [read_dataset("paper", "mnist").load(part) for part in ("valid", "test")]
    by_grid = grids(read_params().parse(Measure, "measure", "mnist"))
    assert found.grids.keys() == by_grid.keys()
    for name, sigmas in by_grid.items():
        plain = estimate(lambda: samples, sigmas, *parts)
        assert found.grids[name]["sigma"] == plain.bandwidth.sigma
        assert found.grids[name]["test_mean"] == pytest.approx(plain.mean)
        assert found.grids[name]["test_se"] == pytest.approx(plain.se)
    assert (found.given, found.samples, found.divided_by_255) == (1000, 1000, False)
    assert found.copies is None


def test_beside_a_score_stand_table_1_and_what_shows_how_weak_the_measure_is(checkout, images):
    said = str(paper_repro.score(images))
    audit = json.loads((RUN / "parzen_audit.json").read_text())
    for row in audit["rows"][1:3]:
        assert re.search(rf"{row['test_mean']:.1f} +10,000 {row['samples']}$", said, re.MULTILINE)
    assert re.search(r"225\.0 ± 2\.0 +Adversarial nets$", said, re.MULTILINE)
    assert "in [0, 255]: they were divided by 255" in said


def test_training_images_are_called_copies(checkout):
    train, test = (read_dataset("paper", "mnist").load(part) for part in ("train", "test"))
    found = paper_repro.score(train, copies=True)
    assert found.copies == pytest.approx(memorisation(train, train, test), abs=1e-3)
    assert "100.00% of the samples are as near" in str(found)


class Recording:
    """A file of many samples, sorted by class, that says what was read of it."""

    shape = (10**6, 784)

    def __getitem__(self, rows):
        self.rows = rows
        return np.full((len(rows), 784), 0.5)


def test_of_a_million_samples_ten_thousand_are_read(checkout, monkeypatch):
    many = Recording()
    monkeypatch.setattr("paper_repro.api.open_samples", lambda path: many)
    found = paper_repro.score("many.npy")
    assert (found.given, found.samples) == (10**6, 10_000)
    assert "10,000 of 1,000,000 samples" in str(found)
    rows = many.rows
    assert (np.diff(rows) > 0).all()
    assert np.histogram(rows, 10, (0, 10**6))[0] == pytest.approx(1000, abs=150)  # of each class
    paper_repro.score("many.npy")
    assert (many.rows == rows).all()


def save_npz(name, images):
    np.savez_compressed(name, whatever=images.reshape(-1, 784) / 255)


def save_safetensors(name, images):
    save_file({"samples": torch.from_numpy(images).reshape(-1, 1, 28, 28) / 255}, name)


def save_pngs(name, images):
    Path(name).mkdir()
    for index, image in enumerate(images):
        grey = Image.fromarray(image)  # torchvision's save_image writes three equal channels
        (grey.convert("RGB") if index % 2 else grey).save(f"{name}/{index:04}.png")
    Path(name, "notes.txt").write_text("no picture")


KINDS = {"a.npy": np.save, "a.npz": save_npz, "a.safetensors": save_safetensors, "pngs": save_pngs}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_the_same_score(checkout, images, name, capsys):
    expected = paper_repro.score(images).grids["default"]
    KINDS[name](name, images)
    assert main(["score", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["grids"]["default"] == pytest.approx(expected)
    assert found.keys() == {field.name for field in dataclasses.fields(paper_repro.Score)}


def test_a_file_of_many_samples_is_mapped_and_not_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 784), np.float32))
    assert isinstance(open_samples(tmp_path / "a.npy"), np.memmap)


@pytest.mark.parametrize(("shape", "reason"), [((28, 28, 3), "grey"), ((32, 32), "another size")])
def test_a_picture_unlike_the_others_is_named(tmp_path, images, shape, reason):
    save_pngs(tmp_path / "a", images[:3])
    other = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    Image.fromarray(other).save(tmp_path / "a/0002.png")
    with pytest.raises(paper_repro.UserError, match=rf"0002\.png: .*{reason}"):
        open_samples(tmp_path / "a")[:]


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def put(name, content):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(content)


def save(array):
    np.save("a.npy", array, allow_pickle=True)


def spoilt(images):
    samples = images.reshape(1000, 784) / 255
    samples[7:9, 3] = np.nan, np.inf
    return samples


def cut_off(name, samples):
    KINDS[name](name, samples)
    put(name, Path(name).read_bytes()[:-500])


SHAPE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s, 784)}"


def header(content):
    return b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content


FAULTS = {
    "shape": ("a.npy", lambda x: save(x.reshape(1000, 56, 14)), r"shape \(1000, 56, 14\); must be"),
    "a number": ("a.npy", lambda x: save(np.float32(1)), r"shape \(\); must be \(n, 784\) or"),
    "too few": ("a.npy", lambda x: save(x[:999]), "999 samples; at least 1,000"),
    "[-1, 1]": ("a.npy", lambda x: save(x / 127.5 - 1), r"from -1 to 1; must be in \[0, 1\]"),
    "[0, 100]": ("a.npy", lambda x: save(np.minimum(x, 100)), "values from 0 to 100"),
    "[0, 257]": ("a.npy", lambda x: save(x * 1.01), "values from 0 to 257"),
    "NaN": ("a.npy", lambda x: save(spoilt(x)), "2 samples have values that are NaN or inf"),
    "text": ("a.npy", lambda x: save(x.astype(str)), "must be numbers"),
    "absent": ("a.npy", lambda x: None, "no such file or folder"),
    "type": ("a.mat", lambda x: put("a.mat", b"a"), r"of unknown type; must be \.npy, "),
    "objects": ("a.npy", lambda x: save(np.array([Trap()] * 1000)), "can't be read"),
    "pickle": ("a.npy", lambda x: put("a.npy", pickle.dumps(Trap())), "can't be read"),
    "pipe": ("a.npy", lambda x: os.mkfifo("a.npy"), "a folder, a pipe or a device"),
    "cut off": ("a.npy", lambda x: cut_off("a.npy", x), "can't be read"),
    "cut off too": ("a.npz", lambda x: cut_off("a.npz", x), "can't be read"),
    "and this": ("a.safetensors", lambda x: cut_off("a.safetensors", x), "can't be read"),
    "two": ("a.npz", lambda x: np.savez("a", a=x, b=x), r"one array, not 2 \(there: a\.npy, b\."),
    "empty": ("f", lambda x: put("f/a.txt", b""), "no PNG in this folder"),
    "no picture": ("f", lambda x: put("f/a.png", b""), "can't be read"),
    "pipe too": ("f", lambda x: (os.mkdir("f"), os.mkfifo("f/a.png")), "a folder, a pipe or a dev"),
    "open brackets": ("a.npy", lambda x: put("a.npy", header(b"(" * 5000)), "can't be read"),
    "negative": ("a.npy", lambda x: put("a.npy", header(SHAPE % b"-1000")), "can't be read"),
    "too many": ("a.npy", lambda x: put("a.npy", header(SHAPE % (b"9" * 100))), "can't be read"),
    "complex": (
        "a.safetensors",
        lambda x: save_file(
            {"a": torch.from_numpy(x.reshape(1000, 784).astype("c8"))}, "a.safetensors"
        ),
        "must be numbers",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_scored_is_one_line_and_a_failure(checkout, images, fault, capsys):
    name, make, expected = FAULTS[fault]
    make(images)
    assert main(["score", name]) == 2
    out, error = capsys.readouterr()
    assert re.search(expected, error), error
    assert error.startswith(f"paper_repro: {name}")
    assert (out, error.count("\n")) == ("", 1)
    assert not Path("trapped").exists()


def test_without_data_a_score_and_a_chain_say_how_to_get_them(checkout, images):
    with pytest.raises(paper_repro.UserError, match="scored on mnist only"):
        paper_repro.score(images, "tfd")
    with pytest.raises(paper_repro.UserError, match="samples: not an array"):
        paper_repro.score([[0.5] * 784, [0.5] * 3])
    folder = processed_folder("paper", "mnist")
    write_not_run(folder, "mnist", "no network", "ask again")
    with pytest.raises(paper_repro.UserError, match="mnist: no network; ask again"):
        paper_repro.score(images)
    (folder / "dataset.json").unlink()
    how = "MNIST is not here yet; run `paper_repro fetch`, then `paper_repro prepare paper mnist`"
    with pytest.raises(paper_repro.UserError, match=how):
        paper_repro.score(images)
    for name in CHAINS:
        with pytest.raises(paper_repro.UserError, match=how):
            paper_repro.load(name).sample(1)


def test_where_no_weights_are_loading_says_so(checkout, images, monkeypatch, tmp_path):
    with pytest.raises(paper_repro.UserError, match=r"mnist-9: no published run \(there: paper-mn"):
        paper_repro.load("mnist-9")
    Path("reports").unlink()
    with pytest.raises(paper_repro.UserError, match=r"generator\.safetensors: no such file; rest"):
        paper_repro.load("paper-mnist-4")
    monkeypatch.chdir(tmp_path.parent)
    for call in (lambda: paper_repro.load("paper-mnist-4"), lambda: paper_repro.score(images)):
        with pytest.raises(paper_repro.UserError, match="not the folder of this package's repos"):
            call()


def test_a_released_generator_draws_and_maps_z(checkout):
    generator = paper_repro.load("paper-mnist-4")
    images = generator.sample(50, seed=3)
    assert (images.shape, images.dtype) == ((50, 784), np.float32)
    assert 0 <= images.min() < 0.01 < 0.99 < images.max() <= 1
    assert (generator.sample(50, seed=3) == images).all()
    assert (generator.sample(50, seed=4) != images).any()
    z = generator.noise(50, seed=3)
    assert np.abs(z).max() <= 3**0.5
    assert generator(z) == pytest.approx(images, abs=1e-6)
    with pytest.raises(paper_repro.UserError, match="a Markov chain, which has no z"):
        paper_repro.load("paper-dbn-0").noise(1)


def readme():
    """The blocks of code of README's section, as written there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## As a library\n")[2].partition("\n## ")[0]
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def test_readme_s_examples_run(checkout, capsys):
    commands, shell = readme()
    there = {}
    exec(commands, there)
    assert there["images"].shape == (10_000, 784)
    assert "Adversarial nets" in capsys.readouterr().out
    np.save("samples.npy", there["images"])
    ((_, *command),) = (line.partition("#")[0].split() for line in shell.split("\n") if line)
    assert command[0] == "score"
    assert main(command) == 0
    assert "Nearest training images" in capsys.readouterr().out


def run_example(name, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [name, *options])
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


def test_the_example_with_a_released_generator(checkout, monkeypatch, capsys):
    run_example("released_generator.py", monkeypatch)
    with Image.open("samples.png") as picture:
        rows = np.asarray(picture.convert("L"))[2:, 2:].reshape(10, 30, 20, 30)[:, :28, :, :28]
    rows = rows.swapaxes(1, 2).reshape(10, 20, 784).astype(float)
    steps = np.abs(np.diff(rows, axis=1)).mean((1, 2))
    # From one image of a line to the next, and of none.
    assert steps[5:].max() < steps[:5].min() / 2
    assert "paper-mnist-4: " in capsys.readouterr().out


def test_the_paper_s_game_on_one_page(checkout, monkeypatch, capsys):
    assert (ROOT / "examples/paper_game.py").read_text().count("\n") < 100
    run_example("paper_game.py", monkeypatch, "--steps", "3")
    said = capsys.readouterr().out
    # At first D knows nothing: D = 1/2 and V(D, G) = −log 4.
    assert "step      0: V(D, G) = -1.386, mean D(G(z)) = 0.50" in said
    assert "Adversarial nets" in said
    assert Path("game.png").is_file()


@pytest.mark.slow
def test_on_mnist_a_released_number_is_found_again(monkeypatch):
    monkeypatch.chdir(ROOT)
    if not (processed_folder("paper", "mnist") / "dataset.json").is_file():
        pytest.skip("MNIST has not been prepared")
    generator = paper_repro.load("paper-mnist-4")
    first = json.loads((RUN / "sample_sets.json").read_text())["sets"][0]
    found = paper_repro.score(generator.sample(10_000, seed=generator.seed))
    for name, expected in first.items():
        assert found.grids[name] == pytest.approx(expected["first_images"], abs=1e-3)
    for name in CHAINS:
        samples = paper_repro.load(name).sample(3)
        assert samples.shape == (3, 784)
        assert 0 <= samples.min() <= samples.max() <= 1
