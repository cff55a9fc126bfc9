from types import SimpleNamespace

import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core.files import read_json, sha256_file
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.runs import model_path
from paper_repro.core.tensor_file import load_tensors, save_tensors
from paper_repro.diagnostics.nearest import nearest_distances
from paper_repro.diagnostics.sample_checks import interpolation, memorisation
from paper_repro.training.train import train
from tests.small import rewrite


def normal(n, d=20, stream=0):
    return torch.randn(n, d, generator=stream_rng(stream, "normal"))


def test_distances_are_those_to_the_nearest():
    queries, images = normal(30), normal(4500, stream=1)
    expected = torch.cdist(queries.double(), images.double()).min(1).values
    assert nearest_distances(queries, images).numpy() == pytest.approx(expected.numpy(), rel=1e-4)
    assert nearest_distances(images[:5], images).max() < 0.01


def test_fresh_draws_are_no_copies_and_noisy_training_images_are():
    train_images, held_out, fresh = normal(2000), normal(1000, stream=1), normal(1000, stream=2)
    honest = memorisation(fresh, train_images, held_out)
    assert honest["copies"] <= honest["copies_allowed"]
    assert honest["p_value"] > 1e-3
    assert honest["nearer_probability"] == pytest.approx(0.5, abs=0.05)
    copied = memorisation(train_images[:1000] + 0.01 * fresh, train_images, held_out)
    assert copied["copies"] == copied["nearer_probability"] == 1
    assert copied["p_value"] < 1e-100
    some = torch.cat([train_images[:100], fresh[100:]])
    assert memorisation(some, train_images, held_out)["copies"] > honest["copies_allowed"]
    held_out[:30] = train_images[:30]  # more than one in a hundred
    assert memorisation(train_images[:1000], train_images, held_out)["copies"] == 1
    assert memorisation(fresh, train_images, held_out)["copies"] == 0


@pytest.mark.parametrize(("sharpness", "shrinks"), [(1.0, 10), (1e6, 1)])
def test_a_jump_does_not_get_smaller_with_the_steps(sharpness, shrinks):
    def network(z):
        return torch.tanh(sharpness * z[:, :1]).expand(-1, 4)

    experiment = SimpleNamespace(noise_dimension=3, noise="gaussian")
    found = interpolation(SimpleNamespace(network=network, experiment=experiment), 0)
    assert found["shrinks"] == pytest.approx(shrinks, rel=0.2)
    assert found["shrinks_finer"] == pytest.approx(shrinks, rel=0.05)


def checked(workspace):
    assert main(["sample_checks", workspace.key]) == 0
    return read_json(workspace.run.folder / "sample_checks.json")


def test_a_diagnosed_run_has_lines_and_samples_that_are_all_alike_are_a_result(workspace):
    train(workspace.key)
    measured = checked(workspace)
    assert measured["samples"] == 40  # as many as there are test images
    assert "interpolation" not in measured
    workspace.files["quick"]["presentation"] = {"diagnosed": ["mnist"]}
    workspace.write()
    assert checked(workspace)["interpolation"]["shrinks"] > 1
    tensors, record = load_tensors(model_path(workspace.key))
    for name, tensor in tensors.items():
        if name.endswith("generator.layers.2.weight"):
            tensor.zero_()  # whatever z, the last layer's bias
    save_tensors(model_path(workspace.key), tensors, record)
    made = {"model_sha256": sha256_file(model_path(workspace.key))}
    rewrite(workspace.run.folder / "training.json", lambda found: found.update(made))
    assert checked(workspace)["interpolation"]["shrinks_finer"] is None
