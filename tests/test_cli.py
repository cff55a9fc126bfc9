import json
from pathlib import Path

import pytest

from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, write_not_run
from tests.small import ROOT, python, rewrite


def test_help_does_not_import_torch():
    code = (
        "import sys, paper_repro.__main__ as m\n"
        "try:\n    m.main(['--help'])\nexcept SystemExit as e:\n    assert e.code == 0\n"
        "sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    answer = python("-c", code, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    assert "train" in answer.stdout


@pytest.mark.parametrize(
    "arguments",
    [["train", "paper-mnist-9"], ["evaluate", "x"], ["prepare", "papr", "mnist"], ["plan", "quik"]],
)
def test_an_unknown_name_is_one_line_and_a_failure(workspace, refused, arguments):
    Path("data/raw/mnist").mkdir(parents=True)
    error = refused(*arguments)
    assert error.startswith(
        ("paper_repro: params.yaml: seeds: no run ", "paper_repro: profiles: no ")
    )
    assert "(there: " in error


def test_outside_the_repository_is_one_line(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    assert "run from the repository's root" in refused("train", "paper-mnist-0")


def test_a_missing_damaged_or_foreign_model_is_named(workspace, refused):
    evaluate = "evaluate", workspace.key
    assert "quick-mnist-0/training.json: no such file; run `dvc repro" in refused(*evaluate)
    assert main(["train", workspace.key]) == 0
    path = Path("models/quick-mnist-0.safetensors")
    content = path.read_bytes()
    path.unlink()
    assert f"{path}: no such file" in refused(*evaluate)
    path.write_bytes(bytes(50))
    assert f"{path}: damaged" in refused(*evaluate)
    path.write_bytes(content)
    record = workspace.run.folder / "training.json"
    rewrite(record, lambda made: made["experiment_parameters"]["generator"][0].update(units=12))
    assert "not the network of its recipe" in refused(*evaluate)


def test_without_data_every_stage_passes_on_why(workspace):
    write_not_run(processed_folder("quick", "mnist"), "mnist", "no $MNIST", "bring it")
    named = {"train": "training", "evaluate": "evaluation", "weights": "generator"}
    for stage in (*named, "figure2", "figure3", "sample_checks", "parzen_audit", "mixing"):
        assert main([stage, workspace.key]) == 0
        record = workspace.run.folder / f"{named.get(stage, stage)}.json"
        found = json.loads(record.read_text())
        assert (found["status"], found["reason"]) == ("not run", "no $MNIST"), stage
    pictures = {path.name: path.stat().st_size for path in workspace.run.folder.glob("*.png")}
    assert {"figure2.png", "figure3.png", "mixing.png"} <= pictures.keys()
    assert min(pictures.values()) > 1000
