"""The table of recipes against the released configuration files, as the specification has them."""

import pytest

from paper_repro.gan.model import recipe
from paper_repro.report.hyperparameters import _lines, hyperparameters
from paper_repro.report.results import read_results
from tests.conftest import ROOT

EXPECTED = {
    "mnist": {
        "Noise z": "100, uniform on [−√3, √3]",
        "G": "ReLU 1200, ReLU 1200, sigmoid 784",
        "G, initial weights": "U(±0.05)",
        "G, initial biases": "0; 0; logit of marginals",
        "D": "maxout 240×5, maxout 240×5, sigmoid 1",
        "D, initial weights": "U(±0.005)",
        "D, inputs kept × scaled": "0.8 × 1.25; 0.5 × 2; 0.5 × 2",
        "Loss of D": "half the sum of both terms",
        "Loss of G": "−log D(G(z))",
        "Update": "both at once",
        "Batch": "100",
        "Learning rate": "0.1, over 1.000004 an update, at least 1e-06; SGD",
        "Momentum": "0.5 to 0.7 in epoch 250",
        "Largest column norm": "none",
        "Parzen estimate": "10,000 samples; 10 σ from 0.1 to 1, on 1,000 validation images",
    },
    "tfd_pretrain": {
        "Noise z": "100, N(0, 1)",
        "G": "ReLU 8000, sigmoid 8000, sigmoid 2304",
        "G, initial weights": "U(±0.05); U(±0.05); 100 a column from N(0, 1)",
        "G, initial biases": "0; −2; logit of marginals",
        "Largest column norm": "1.9365",
        "Epochs": "50",
        "Epoch reported": "the last",
        "Parzen estimate": "10,000 samples; 10 σ from 0.1 to 1, on all validation images",
    },
    "tfd": {
        "G": "ReLU 8000, sigmoid 100, ReLU 8000, sigmoid 8000, sigmoid 2304",
        "G, initial weights": "U(±0.05); U(±0.05); of phase 1; of phase 1; of phase 1",
        "G, initial biases": "0; −2; of phase 1; of phase 1; of phase 1",
        "Epochs": "22",
    },
    "cifar10_fc": {"D": "maxout 1600×5, maxout 1600×5, sigmoid 1"},
    "cifar10_conv": {
        "G": "ReLU 8000, sigmoid 8000, transposed convolution 3, kernel 5",
        "D": (
            "maxout convolution 32×2, kernel 8, maxout convolution 32×2, kernel 8, "
            "maxout convolution 192×2, kernel 5, maxout 500×5, sigmoid 1"
        ),
        "Batch": "128",
    },
    "mnist_notebook": {
        "Learning rate": "0.001, Adam",
        "Momentum": "β 0.9 and 0.999, ε 1e-08",
        "Update": "in turn, k = 1",
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recipe_is_shown_as_the_released_one(params, name):
    found = _lines(recipe.experiment(params, name).model_dump(mode="json"))
    assert {line: found[line] for line in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("profile", ["paper", "quick", "stand-in"])
def test_every_experiment_that_was_run_has_its_column(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = read_results(profile)
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in hyperparameters(results).splitlines()
    )
    rows = [row for row in results.rows if row.seeds]
    assert head == ["Hyper-parameter", *(row.experiment for row in rows)]
    table = {line[0]: dict(zip(head[1:], line[1:], strict=True)) for line in lines}
    for row in rows:
        assert table["Epochs"][row.experiment] == str(row.seeds[0].epochs)
