import json
import re

import numpy as np
import pytest
import torch
from torchvision.utils import make_grid

from paper_repro.core.dataset import read_dataset, side_by_side
from paper_repro.core.errors import UserError
from paper_repro.core.params import read_params
from paper_repro.core.random_streams import stream_rng
from paper_repro.data import fallbacks
from paper_repro.diagnostics.digit_classifier import Classifier, train_classifier
from paper_repro.evaluation.trained_run import open_run
from paper_repro.figures import figure3 as module
from paper_repro.figures.figure3 import DRAWS, choose, figure3
from paper_repro.gan.model import recipe
from paper_repro.gan.model.noise import draw_noise
from paper_repro.training.train import train


@pytest.fixture(scope="module")
def digit_images():
    images = torch.from_numpy(fallbacks.digits()).reshape(1797, -1).float() / 255
    return images, torch.from_numpy(fallbacks.digit_labels()).long()


def train_labelled(workspace):
    workspace.prepare(labels=np.arange(64, dtype=np.uint8) % 10)
    train(workspace.key)


@pytest.fixture
def trained(workspace):
    workspace.once(train_labelled)
    return workspace


def result(workspace):
    return json.loads((workspace.run.folder / "figure3.json").read_text())


# The classifier.


def test_the_classifier_tells_digits_apart(digit_images):
    images, labels = digit_images
    classifier = train_classifier(images[:1197], labels[:1197], 0)
    assert classifier.accuracy(images[1197:], labels[1197:]) > 0.85
    probabilities = classifier.probabilities(images[1197:1297])
    assert probabilities.sum(1).tolist() == pytest.approx([1] * 100)
    called = probabilities.argmax(1)
    called[:25] = (called[:25] + 1) % 10
    assert classifier.accuracy(images[1197:1297], called) == 0.75


def test_a_classifier_is_its_seed_s(digit_images):
    images, labels = (part[:100] for part in digit_images)
    first, again, other = (
        train_classifier(images, labels, seed).probabilities(images) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(UserError, match="no images"):
        train_classifier(images[:0], labels[:0], 0)


# The rule and the line.


@pytest.mark.parametrize(
    ("of_4", "draw", "sure"),
    [
        ([0.89, 0.1, 0.9, 0.99, 1.0, 0.2], 2, True),  # the first that is sure, not the surest
        ([0.25, 0.5, 0.75, 0.5], 2, False),  # without one the most probable, marked
    ],
)
def test_the_end_is_the_first_sure_draw_or_the_most_probable(of_4, draw, sure):
    probabilities = torch.zeros(len(of_4), 10, dtype=torch.float64)
    probabilities[:, 4] = torch.tensor(of_4, dtype=torch.float64)
    expected = {"digit": 4, "draw": draw, "probability": of_4[draw], "sure": sure}
    assert choose(probabilities, 4) == expected


@pytest.mark.parametrize(("n", "channels"), [(6, 3), (7, 1), (3, 1)])
def test_images_side_by_side_are_torchvision_s_grid(n, channels):
    images = torch.rand(n, channels, 4, 5)
    grid = make_grid(images, nrow=3, padding=1, pad_value=1.0)
    assert torch.equal(side_by_side(images, 3), grid)


# The stage.


def test_the_strips_join_the_draws_of_the_rule(trained, monkeypatch):
    probabilities = torch.full((DRAWS, 10), 0.01)
    places = {1: 40, 5: 3, 7: 1999, 9: 700}
    for digit, draw in places.items():
        probabilities[draw:, digit] = 0.95
    seen, drawn, strip = [], [], module.strip
    monkeypatch.setattr(
        Classifier, "probabilities", lambda self, images: seen.append(images) or probabilities
    )
    monkeypatch.setattr(Classifier, "accuracy", lambda self, images, labels: 0.5)
    monkeypatch.setattr(
        module, "strip", lambda images, shape: drawn.append(images) or strip(images, shape)
    )
    figure3(trained.key)
    experiment = recipe.experiment(read_params("quick"), "mnist")
    z = draw_noise(DRAWS, experiment.noise_dimension, "uniform", stream_rng(0, "figure3"))
    network = open_run(trained.key).sampler("best").network
    with torch.no_grad():
        torch.testing.assert_close(seen[-1], network(z))
    for images, digits in zip(drawn, ((1, 5), (7, 9, 1)), strict=True):
        ends = z[[places[digit] for digit in digits]]
        assert images.shape == (10 * (len(digits) - 1) + 1, 20)
        with torch.no_grad():
            torch.testing.assert_close(images[::10], network(ends))
            torch.testing.assert_close(images[5], network((ends[:1] + ends[1:2]) / 2)[0])
    ends = [end for ends in result(trained)["strips"] for end in ends]
    assert [end["digit"] for end in ends] == [1, 5, 7, 9, 1]
    assert all(end["draw"] == places[end["digit"]] and end["sure"] for end in ends)


def test_the_record_tells_rule_and_accuracy_and_bytes_repeat(trained):
    before = set(trained.run.folder.iterdir())
    figure3(trained.key)
    record = result(trained)
    assert (record["draws"], record["sure_from"], record["images_a_segment"]) == (2000, 0.9, 11)
    dataset = read_dataset("quick", "mnist")
    images, labels = dataset.load("train"), dataset.load_labels()
    classifier = train_classifier(images[:57], labels[:57], 0)
    assert record["classifier"] == {
        "training_images": 57,
        "held_out_images": 7,
        "held_out_accuracy": classifier.accuracy(images[57:], labels[57:]),
    }
    paths = sorted(set(trained.run.folder.iterdir()) - before)
    assert [path.name for path in paths] == ["figure3.json", "figure3.png"]
    first = [path.read_bytes() for path in paths]
    figure3(trained.key)
    assert [path.read_bytes() for path in paths] == first


def test_a_stand_in_is_named_in_the_picture(trained, drawn):
    trained.prepare(labels=np.zeros(64, np.uint8), stand_in="Random dots | 5$ each$")
    figures = drawn(module)
    figure3(trained.key)
    (figure,) = figures
    assert re.search("Random dots.*not the paper's setup", figure.get_suptitle(), re.DOTALL)
    texts = [[text.get_text().split()[0] for text in axes.texts] for axes in figure.axes]
    assert texts == [["1", "5"], ["7", "9", "1"]]


def test_data_without_labels_are_refused_and_leave_no_file(workspace):
    train(workspace.key)
    with pytest.raises(UserError, match="no labels"):
        figure3(workspace.key)
    assert not list(workspace.run.folder.glob("figure3.*"))
