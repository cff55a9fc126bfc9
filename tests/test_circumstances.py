"""What a rerun can't reproduce lies apart from what it must."""

import datetime
import json
import re
import shutil
import signal
import time

import numpy as np
import pytest

from paper_repro.__main__ import main
from paper_repro.core import provenance
from paper_repro.core.circumstances import (
    MEASUREMENT,
    TRAINING,
    circumstances_path,
    measured_by,
    read_circumstances,
)
from paper_repro.core.dataset import processed_folder, write_not_run
from paper_repro.core.errors import Interrupted
from paper_repro.evaluation.evaluate import evaluate
from paper_repro.training import loop
from paper_repro.training.train import train
from tests.conftest import AUDIT, ROOT
from tests.small import collect

pytestmark = pytest.mark.usefixtures("undrawn")

KEY = "quick-mnist-0"
STAGES = ("train", "evaluate", "figure2", "sample_checks", "weights")
STAGES += ("sample_sets", "mixing", "parzen_audit")


def make(*stages):
    for stage in stages or STAGES:
        assert main([stage, KEY]) == 0


def content(folder):
    """The bytes of every file that a rerun must reproduce, and of every other."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    apart = {path for path in found if {"circumstances", "checkpoints"} & set(path.parts)}
    return [
        {path: found[path].read_bytes() for path in paths}
        for paths in (found.keys() - apart, apart)
    ]


class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(days=400)


def move(monkeypatch):
    """Go on as if on another machine, later, slower, at another commit and with other versions."""
    clock = time.monotonic
    for name, found in {
        "hardware": {"device": "another machine", "threads": 64},
        "peak_memory": 12345,
        "versions": {"torch": "99"},
        "commit": {"commit": "f" * 40, "uncommitted_changes": True},
    }.items():
        monkeypatch.setattr(provenance, name, lambda *_, found=found: found)
    monkeypatch.setattr(time, "monotonic", lambda: 7 * clock())
    monkeypatch.setattr(loop.datetime, "datetime", Later)


def test_a_rerun_elsewhere_changes_no_file_but_the_circumstances(workspace, monkeypatch):
    workspace.files["paper"]["parzen_audit"] = AUDIT
    workspace.files["quick"]["parzen_audit"] = {}
    workspace.files["quick"]["mixing"]["chains"] = 5  # a divisor of the samples
    workspace.prepare(labels=np.arange(64, dtype=np.uint8) % 10)
    workspace.write()
    make()
    first, results = content(workspace.folder), collect("quick")
    shutil.rmtree("checkpoints")
    with monkeypatch.context() as patch:
        move(patch)
        make()
    again = content(workspace.folder)
    assert first[0].keys() == again[0].keys()
    assert [path for path in first[0] if first[0][path] != again[0][path]] == []
    assert collect("quick") == results
    for stage in ("train", *measured_by(workspace.run)):
        path = circumstances_path(workspace.run, stage)
        assert first[1][path] != again[1][path]
        assert "another machine" in path.read_text()


def test_an_interrupted_run_records_both_starts(workspace, monkeypatch, at_update, capsys):
    at_update(lambda n: signal.raise_signal(signal.SIGINT) if n == 3 else None)
    with pytest.raises(Interrupted):
        train(KEY)
    assert read_circumstances(workspace.run, "train", TRAINING) is None
    move(monkeypatch)
    assert "thread(s)" not in capsys.readouterr().err
    train(KEY)
    assert "goes on with 64 thread(s) after 1; the bytes may differ" in capsys.readouterr().err
    made = read_circumstances(workspace.run, "train", TRAINING)
    assert [start["from_update"] for start in made["starts"]] == [0, 3]
    assert [start["device"] == "another machine" for start in made["starts"]] == [False, True]
    assert made["seconds"] == sum(start["seconds"] for start in made["starts"]) > 0
    assert made["starts"][1]["peak_memory_bytes"] == 12345


def test_a_run_without_a_model_keeps_none_of_an_earlier_one(workspace):
    train(KEY)
    evaluate(KEY)
    write_not_run(processed_folder("quick", "mnist"), "mnist", "no data", "bring them")
    train(KEY)
    assert read_circumstances(workspace.run, "train", TRAINING) is None
    assert read_circumstances(workspace.run, "evaluate", MEASUREMENT)
    evaluate(KEY)
    assert read_circumstances(workspace.run, "evaluate", MEASUREMENT) is None


def test_what_is_absent_is_told_as_not_recorded(workspace, capsys):
    make("train", "evaluate", "figure2", "sample_checks")
    capsys.readouterr()
    assert main(["circumstances", "quick"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == ["stage", "train", "evaluate", "sample_checks"]
    shutil.rmtree("reports/quick/circumstances")
    assert main(["circumstances", "quick"]) == 0
    assert capsys.readouterr().out == "Nothing is recorded.\n"
    assert main(["report", "quick"]) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"threads": 1', '"threads": "1"'), "threads: Input should be"),
        (lambda text: text.replace('"from_update": 0', '"from_update": 1'), "its checksum says"),
        (lambda text: text[:100], "not valid JSON"),
        (lambda text: "null", "Input should be"),
    ],
)
def test_damaged_circumstances_are_one_line(workspace, refused, damage, message):
    train(KEY)
    path = circumstances_path(workspace.run, "train")
    path.write_text(damage(path.read_text()))
    assert re.match(f"paper_repro: {path}: .*{message}", refused("circumstances", "quick"))


def test_every_committed_training_has_its_circumstances():
    for path in (ROOT / "reports").glob("*/runs/*/training.json"):
        folder = path.parents[2] / "circumstances" / path.parent.name
        if json.loads(path.read_text())["status"] != "not run":
            assert (folder / "train.json").is_file()
