from pathlib import Path

import numpy as np
import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, write_dataset, write_not_run
from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_file
from paper_repro.core.runs import model_path, weights_path
from paper_repro.core.tensor_file import load_tensors, save_tensors
from paper_repro.evaluation.evaluate import evaluate
from paper_repro.evaluation.trained_run import open_run
from paper_repro.figures.figure2 import figure2
from paper_repro.gan.train import train
from paper_repro.report import verify as verifying
from paper_repro.report.report import report
from paper_repro.report.verify import verify
from paper_repro.report.weights import weights
from tests.small import rewrite


@pytest.fixture
def published(workspace):
    """A run that is trained, measured, reported and published, and whose model is gone."""
    train(workspace.key)
    evaluate(workspace.key)
    figure2(workspace.key)
    weights(workspace.key)
    report("quick")
    return workspace


def test_a_published_number_is_found_again_without_the_model(published, capsys):
    model_path(published.key).unlink()
    for path in Path("checkpoints").rglob("*.safetensors"):
        path.unlink()
    assert main(["verify", published.key]) == 0
    assert "verified: within 0.0000 nats" in capsys.readouterr().out


def test_the_published_weights_are_those_of_the_selected_generator(published):
    expected = open_run(published.key).sampler().network.state_dict()
    tensors, _ = load_tensors(weights_path(published.run), "generator.")
    assert set(tensors) == set(expected)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected[name])
    assert not load_tensors(weights_path(published.run), "discriminator.")[0]


def change_number(change):
    rewrite(Path("reports/quick/results.json"), lambda found: change(found["rows"][0]["seeds"][0]))


def test_other_weights_are_noticed(published, capsys):
    path = weights_path(published.run)
    tensors, record = load_tensors(path)
    tensors["generator.layers.2.bias"] += 0.5
    save_tensors(path, tensors, record)
    assert main(["verify", published.key]) == 2
    assert "generator.safetensors: damaged, or not the weights" in capsys.readouterr().err
    change_number(lambda seed: seed.update(weights_sha256=sha256_file(path)))
    assert main(["verify", published.key]) == 2
    assert "differs from reports/quick/results.json by" in capsys.readouterr().err


def test_weights_that_are_no_numbers_are_not_verified(published, capsys):
    """The worst of numbers among which one is none is none; and σ would be the grid's first."""
    path = weights_path(published.run)
    tensors, record = load_tensors(path)
    tensors["generator.layers.2.bias"][0] = torch.nan
    save_tensors(path, tensors, record)
    change_number(lambda seed: seed.update(sigma=[0.1], weights_sha256=sha256_file(path)))
    assert main(["verify", published.key]) == 2
    assert "verified" not in capsys.readouterr().out


def test_another_sigma_is_noticed(published):
    change_number(lambda seed: seed.update(sigma=[1.001 * seed["sigma"][0]]))
    with pytest.raises(UserError, match="or in σ"):
        verify(published.key)


def test_another_measure_is_not_taken_for_other_weights(published):
    published.files["quick"]["measure"]["mnist"] = {**published.experiment["parzen"], "samples": 60}
    published.write()
    with pytest.raises(UserError, match=r"quick/params\.yaml: measure: is not what"):
        verify(published.key)


def test_other_images_are_not_taken_for_other_weights(published):
    folder = processed_folder("quick", "mnist")
    parts = {
        part: np.load(folder / f"{part}.npy")[::-1].copy() for part in ("train", "valid", "test")
    }
    write_dataset(folder, "mnist", parts, canonical=False, stand_in=None)
    with pytest.raises(
        UserError,
        match=r"other images than .* run `dvc repro profiles/quick/dvc.yaml:prepare@quick-mnist`",
    ):
        verify(published.key)


@pytest.mark.parametrize("name", ["test_mean", "test_se", "valid_mean"])
def test_another_published_number_is_noticed(published, name):
    change_number(lambda seed: seed.update({name: seed[name] + 0.06}))
    with pytest.raises(UserError, match=r"by 0\.060 nats, more than 0\.05"):
        verify(published.key)


def test_data_that_are_not_there_are_brought_and_prepared(published, monkeypatch, capsys):
    for path in processed_folder("quick", "mnist").iterdir():
        path.unlink()
    fetched = []
    monkeypatch.setattr(verifying, "fetch_sources", lambda sources, own: fetched.extend(sources))
    monkeypatch.setattr(
        verifying, "prepare", lambda profile, name: published.prepare(profile=profile)
    )
    verify(published.key)
    assert fetched == ["mnist"]
    assert "verified" in capsys.readouterr().out


def test_what_is_absent_is_named(published):
    with pytest.raises(UserError, match=r"presentation\.published: names no run"):
        verify()
    with pytest.raises(UserError, match=r"no run paper-mnist-0"):
        verify("paper-mnist-0")
    weights_path(published.run).unlink()
    with pytest.raises(
        UserError, match=r"generator\.safetensors: no such file; weights are published"
    ):
        verify(published.key)
    Path("reports/quick/results.json").unlink()
    with pytest.raises(UserError, match=r"results\.json: no such file"):
        verify(published.key)


def test_a_run_that_was_not_made_publishes_its_record_only(workspace, capsys):
    write_not_run(processed_folder("quick", "mnist"), "mnist", "no data", "bring them")
    train(workspace.key)
    weights(workspace.key)
    tensors, record = load_tensors(weights_path(workspace.run))
    assert not tensors
    assert record["reason"] == "no data"


def test_data_that_an_earlier_verify_could_not_have_are_asked_for_again(published, monkeypatch):
    folder = processed_folder("quick", "mnist")
    write_not_run(folder, "mnist", "MNIST is not there", "try again")
    monkeypatch.setattr(verifying, "fetch_sources", lambda sources, own: None)
    monkeypatch.setattr(verifying, "prepare", lambda profile, name: None)
    with pytest.raises(UserError, match="mnist: MNIST is not there; try again"):
        verify(published.key)
    monkeypatch.setattr(
        verifying, "prepare", lambda profile, name: published.prepare(profile=profile)
    )
    verify(published.key)
