import json
import subprocess
import sys
from pathlib import Path

import pytest

from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, write_not_run
from tests.conftest import ROOT
from tests.small import rewrite


def test_help_does_not_import_torch():
    code = (
        "import sys, paper_repro.__main__ as m\n"
        "try:\n    m.main(['--help'])\nexcept SystemExit as e:\n    assert e.code == 0\n"
        "sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "train" in answer.stdout


@pytest.mark.parametrize(
    "arguments",
    [["train", "paper-mnist-9"], ["evaluate", "x"], ["figure2", "x"], ["prepare", "papr", "mnist"]],
)
def test_an_unknown_name_is_one_line_and_a_failure(workspace, capsys, arguments):
    if arguments[0] == "prepare":
        Path("data/raw/mnist").mkdir(parents=True)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(
        ("paper_repro: params.yaml: seeds: no run ", "paper_repro: profiles: no ")
    )
    assert "(there: " in error
    assert "\n" not in error


def test_outside_the_repository_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "paper-mnist-0"]) == 2
    assert "run from the repository's root" in capsys.readouterr().err


def test_a_model_of_another_network_is_named(workspace, capsys):
    assert main(["train", workspace.key]) == 0
    path = workspace.run.folder / "training.json"
    rewrite(path, lambda made: made["experiment_parameters"]["generator"][0].update(units=12))
    capsys.readouterr()
    assert main(["evaluate", workspace.key]) == 2
    assert "not the network of its recipe" in capsys.readouterr().err


def test_a_missing_or_damaged_model_is_named(workspace, capsys):
    assert main(["evaluate", workspace.key]) == 2
    assert "quick-mnist-0/training.json: no such file; run `dvc repro" in capsys.readouterr().err
    assert main(["train", workspace.key]) == 0
    path = Path("models/quick-mnist-0.safetensors")
    path.rename("elsewhere")
    for content, trouble in ((None, "no such file"), (b"\0" * 50, "damaged")):
        if content:
            path.write_bytes(content)
        capsys.readouterr()
        assert main(["evaluate", workspace.key]) == 2
        assert f"models/quick-mnist-0.safetensors: {trouble}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "record"),
    [
        ("evaluate", "evaluation.json"),
        ("figure2", "figure2.json"),
        ("figure3", "figure3.json"),
        ("sample_checks", "sample_checks.json"),
        ("parzen_audit", "parzen_audit.json"),
        ("weights", "generator.json"),
    ],
)
def test_without_data_every_stage_passes_on_why(workspace, stage, record):
    write_not_run(processed_folder("quick", "mnist"), "mnist", "no $MNIST", "bring it")
    for command in ("train", stage):
        assert main([command, workspace.key]) == 0
    found = json.loads((workspace.run.folder / record).read_text())
    assert (found["status"], found["reason"]) == ("not run", "no $MNIST")
    for picture in workspace.run.folder.glob("*.png"):
        assert picture.stat().st_size > 1000


def test_a_damaged_record_of_the_data_is_named(workspace, capsys):
    path = processed_folder("quick", "mnist") / "dataset.json"
    path.write_text('{"name": "mnist"}')
    assert main(["train", workspace.key]) == 2
    assert f"{path}: status: Field required" in capsys.readouterr().err
