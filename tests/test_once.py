"""What tests keep of each other is the same as if each had made it."""

import base64
import json

import pytest

from paper_repro.__main__ import main
from paper_repro.core import provenance
from paper_repro.core.params import read_params, read_yaml
from paper_repro.gan.model import recipe
from paper_repro.training.train import train


def train_short(workspace):
    workspace.change(epochs=1)
    train(workspace.key)


@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize("change", ["nothing", "files", "parameters"])
def test_what_is_made_once_is_made_of_the_workspace_as_it_is(workspace, change, time):
    if change == "files":
        workspace.prepare(stand_in="Dots")
    elif change == "parameters":
        workspace.change(batch_size=11)
    workspace.once(train_short)
    assert workspace.experiment["epochs"] == recipe.experiment(read_params("quick"), "mnist").epochs
    record = json.loads((workspace.run.folder / "training.json").read_text())
    assert record["updates"] == (6 if change == "parameters" else 7)
    assert record["data"]["stand_in"] == ("Dots" if change == "files" else None)
    workspace.change(epochs=2)  # it goes on from there
    train(workspace.key)


def test_changed_files_are_read_again(tmp_path, monkeypatch):
    path = tmp_path / "params.yaml"
    for value in (1, 2, 1):
        path.write_text(f"a: {value}")
        assert read_yaml(path) == {"a": value}
    read_yaml(path)["a"] = 3
    assert read_yaml(path) == {"a": 1}
    package = tmp_path / "pack"
    package.mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    found = set()
    for value in (1, 2, 1):
        (package / "a.py").write_text(f"X = {value}")
        found.add(provenance.code_digest("pack.a"))
    assert len(found) == 2


@pytest.mark.parametrize("time", [1, 2])
def test_a_report_reads_all_that_the_stages_left(measured, time):
    assert main(["report", "quick"]) == 0
    results = json.loads((measured.folder / "reports/quick/results.json").read_text())
    assert results["rows"][0]["status"] == "ok"
    assert results["audit"]["rows"]
    page = (measured.folder / "reports/quick/index.html").read_bytes()
    for name in ("figure2", "figure3"):
        assert base64.b64encode((measured.run.folder / f"{name}.png").read_bytes()) in page
    assert b"How informative is the Parzen estimate?" in page
