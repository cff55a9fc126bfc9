import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, write_dataset, write_not_run
from paper_repro.core.errors import UserError
from paper_repro.core.files import write_json
from paper_repro.core.runs import model_path, weights_path
from paper_repro.core.tensor_file import load_tensors, save_tensors
from paper_repro.diagnostics.sample_sets import sample_sets, stream
from paper_repro.evaluation.evaluate import evaluate, metrics
from paper_repro.evaluation.trained_run import open_published, open_run
from paper_repro.parzen.bandwidth import estimate
from paper_repro.report import verify as verifying
from paper_repro.report.verify import verify
from paper_repro.report.weights import weights
from paper_repro.training.train import train
from tests.small import collect, rewrite


def measure(key):
    train(key)
    weights(key)
    sample_sets(key)


def publish(workspace):
    measure(workspace.key)
    model_path(workspace.key).unlink()
    for path in Path("checkpoints").rglob("*.safetensors"):
        path.unlink()


@pytest.fixture
def published(workspace):
    """A run that is trained, published and measured on sets of samples; its model is gone."""
    workspace.once(publish)
    return workspace


def sets(published):
    return json.loads((published.run.folder / "sample_sets.json").read_text())


def change_number(published, **values):
    path = published.run.folder / "sample_sets.json"
    rewrite(path, lambda record: record["sets"][0]["default"]["first_images"].update(values))


def change_weights(published, change):
    """Publish other weights, with the record that belongs to them."""
    path = weights_path(published.run)
    tensors, record = load_tensors(path)
    change(tensors["generator.layers.2.bias"])
    save_tensors(path, tensors, record)
    rewrite(path.with_suffix(".json"))


@pytest.mark.parametrize("arguments", [[], ["--all"]])
def test_a_published_number_is_found_again_without_the_model(published, capsys, arguments):
    assert main(["verify", published.key, *arguments]) == 0
    said = capsys.readouterr().out
    assert "verified: within 0.0000 nats" in said
    first = [one["default"]["first_images"]["test_mean"] for one in sets(published)["sets"]]
    assert f"{first[0]:.4f}" in said
    assert all(f"{number:.4f}" in said for number in first) == bool(arguments)


def name_judged(workspace, epochs):
    workspace.files["quick"]["presentation"] = {
        "published": [workspace.key],
        "protocol": {"mnist": {"epochs": epochs, "seeds": [0]}},
    }
    workspace.write()


@pytest.mark.parametrize(("judged", "which", "epoch"), [(3, "best", 1), (2, "last", 2)])
def test_the_published_weights_are_those_that_the_number_is_of(workspace, judged, which, epoch):
    train(workspace.key)
    rewrite(workspace.run.folder / "training.json", lambda record: record.update(best_epoch=1))
    name_judged(workspace, judged)
    weights(workspace.key)
    expected = open_run(workspace.key).sampler(which).network.state_dict()
    tensors, _ = load_tensors(weights_path(workspace.run), "generator.")
    assert set(tensors) == set(expected)
    for name, tensor in tensors.items():
        assert tensor.dtype == torch.float16
        assert torch.equal(tensor, expected[name].half())
    assert not load_tensors(weights_path(workspace.run), "discriminator.")[0]
    record = json.loads(weights_path(workspace.run).with_suffix(".json").read_text())
    assert record["epoch"] == epoch == open_published(workspace.key).epoch
    assert record["parameters"] == sum(tensor.numel() for tensor in expected.values())


def test_a_judged_run_shows_the_numbers_of_its_last_epoch(workspace):
    train(workspace.key)
    rewrite(workspace.run.folder / "training.json", lambda record: record.update(best_epoch=1))
    evaluate(workspace.key)
    name_judged(workspace, epochs=2)
    weights(workspace.key)
    sample_sets(workspace.key)
    path = workspace.run.folder / "evaluation.json"
    rewrite(path, lambda record: record["selected"].update(test_mean=-1.0, sigma=0.5))
    names = ("training.json", "evaluation.json")
    training, evaluation = (json.loads((workspace.run.folder / n).read_text()) for n in names)
    write_json(workspace.run.folder / "metrics.json", metrics(training, evaluation))
    seed = collect("quick").row("mnist").seeds[0]
    assert (seed.best_epoch, seed.selected) == (2, "last")
    last = evaluation["last"]
    assert (seed.test_mean, seed.test_se) == (last["test_mean"], last["test_se"])
    assert seed.sigma == [last["sigma"]]
    assert seed.number == seed.sets.mean

    name_judged(workspace, epochs=3)
    with pytest.raises(UserError, match=r"is of epoch 2, but the number is of epoch 1; run `dvc"):
        collect("quick")


def test_other_weights_are_noticed(published, refused):
    path = weights_path(published.run)
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert "generator.safetensors: not the file that" in refused("verify", published.key)
    path.write_bytes(before)
    change_weights(published, lambda bias: bias.add_(0.5))
    assert "sample_sets.json by" in refused("verify", published.key)


def test_weights_that_are_no_numbers_are_not_verified(published, capsys):
    """The worst of numbers among which one is none is none; and σ would be the grid's first."""
    change_weights(published, lambda bias: bias[:1].fill_(torch.nan))
    change_number(published, sigma=0.1)
    assert main(["verify", published.key]) == 2
    assert "verified" not in capsys.readouterr().out


@pytest.mark.slow
def test_without_a_key_every_published_run_is_measured_anew(workspace, capsys, monkeypatch):
    """Each in a process of its own; what is wrong with one keeps none of the others back."""
    workspace.files["quick"]["seeds"]["mnist"] = [0, 1]
    keys = ["quick-mnist-0", "quick-mnist-1"]
    workspace.files["paper"]["presentation"]["published"] = keys
    workspace.write()
    for key in keys:
        measure(key)
    monkeypatch.setattr(verifying.torch, "get_num_threads", lambda: 2)
    assert main(["verify"]) == 0
    said = capsys.readouterr().out
    assert said.count("verified: within 0.0000 nats") == 2
    assert said.index(keys[0]) < said.index(keys[1])
    change_number(workspace, test_mean=0.0)
    assert main(["verify"]) == 2
    said = capsys.readouterr()
    assert said.out.count("verified") == 1
    assert said.out.index(keys[0]) < said.out.index(keys[1])
    assert str(workspace.run.folder) in said.err


def ended(key, indices):
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory is lacking


@pytest.mark.slow
def test_a_process_that_is_ended_from_outside_is_told(monkeypatch):
    monkeypatch.setattr(verifying, "_compared", ended)
    monkeypatch.setattr(verifying.torch, "get_num_threads", lambda: 2)
    with pytest.raises(UserError, match="was ended from outside"):
        list(verifying._all_compared({"a": range(1), "b": range(1)}))


def test_another_measure_or_other_images_are_not_taken_for_other_weights(published):
    folder = processed_folder("quick", "mnist")
    parts = {path.stem: np.load(path)[::-1].copy() for path in folder.glob("*.npy")}
    write_dataset(folder, "mnist", parts, canonical=False, stand_in=None)
    with pytest.raises(UserError, match="other images than quick-mnist-0 was trained on"):
        verify(published.key)
    published.files["quick"]["measure"]["mnist"] = {**published.experiment["parzen"], "samples": 60}
    published.write()
    with pytest.raises(UserError, match=r"quick/params\.yaml: measure: is not what"):
        verify(published.key)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        *((name, lambda x: x + 0.06, r"by 0\.060 nats, more than 0\.05")
          for name in ("test_mean", "test_se", "valid_mean")),
        ("sigma", lambda x: 1.001 * x, "or in σ"),
    ],
)  # fmt: skip
def test_another_published_number_is_noticed(published, name, change, message):
    stated = sets(published)["sets"][0]["default"]["first_images"][name]
    change_number(published, **{name: change(stated)})
    with pytest.raises(UserError, match=message):
        verify(published.key)


def test_every_grid_chooses_its_own_sigma_on_first_or_all_validation_images(workspace):
    measure(workspace.key)
    evaluate(workspace.key)
    found = sets(workspace)
    # The first set is the one of the stage evaluate, in half precision.
    last = json.loads((workspace.run.folder / "evaluation.json").read_text())["last"]
    first = found["sets"][0]["default"]["first_images"]
    assert first["sigma"] == pytest.approx(last["sigma"])
    assert first["test_mean"] == pytest.approx(last["test_mean"], abs=0.05)
    assert first["test_mean"] != last["test_mean"]
    trained = open_published(workspace.key)
    dataset, settings = trained.dataset(), trained.measure()
    valid, test = dataset.load("valid"), dataset.load("test")
    assert len(found["sets"]) == 10
    lengths = {"default": 10, "log_15": 15, "linear_10": 10, "log_91": 91, "sigma_0.2": 1}
    assert {name: len(grid) for name, grid in found["grids"].items()} == lengths
    assert found["grids"]["linear_10"][:2] == pytest.approx([0.001, 0.112])
    for index in (0, 7):
        samples = trained.sampler().sample(50, 0, stream(index))
        for name, grid in found["grids"].items():
            for images, count in (("first_images", settings.sigma_images), ("all_images", None)):
                one = found["sets"][index][name][images]
                plain = estimate(lambda s=samples: s, grid, valid[:count], test)
                assert one["sigma"] == pytest.approx(plain.bandwidth.sigma)
                assert one["test_mean"] == pytest.approx(plain.mean)
                assert one["test_se"] == pytest.approx(plain.se)
    assert found["sets"][0] != found["sets"][1]


def test_what_is_absent_is_named(published):
    def absent(what, key=published.key):
        with pytest.raises(UserError, match=what):
            verify(key)

    with pytest.raises(UserError, match=r"presentation\.published: names no run"):
        verify()
    absent("no run paper-mnist-0", "paper-mnist-0")
    absent("no profile ''", "")
    (published.run.folder / "sample_sets.json").unlink()
    absent(r"sample_sets\.json: no such file; run `dvc repro")
    weights_path(published.run).unlink()
    absent("quick-mnist-0: weights are published of no run only")


@pytest.mark.parametrize("told_before", [False, True])
def test_data_that_are_not_there_are_brought_and_prepared(
    published, monkeypatch, capsys, told_before
):
    folder = processed_folder("quick", "mnist")
    shutil.rmtree(folder)
    fetched = []
    monkeypatch.setattr(verifying, "fetch_sources", lambda sources: fetched.extend(sources))
    if told_before:  # that an earlier verify could not have them
        write_not_run(folder, "mnist", "MNIST is not there", "try again")
        monkeypatch.setattr(verifying, "prepare", lambda profile, name: None)
        with pytest.raises(UserError, match="mnist: MNIST is not there; try again"):
            verify(published.key)
    monkeypatch.setattr(verifying, "prepare", lambda profile, name: published.prepare())
    verify(published.key)
    assert set(fetched) == {"mnist"}
    assert "verified" in capsys.readouterr().out
