"""`make carry` on two runs of the ablations' lock: it records code, and nothing else."""

import contextlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from paper_repro.pipeline.run_list import write_run_lists
from tests import golden
from tests.carry import GOLDEN, differences, record
from tests.small import ROOT, python

PROFILE = "ablations"
LOCK = Path("profiles", PROFILE, "dvc.lock")
SEEDS = "seeds: {mnist: [0], mnist_minimax: [0]}\n"


def copy(folder, *names):
    """Copy files and folders of the repository."""
    for name in names:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pyc*"))
        else:
            shutil.copy(source, target)


@pytest.fixture(scope="module")
def current(tmp_path_factory):
    """What a lock is carried over in, with whatever was edited since the last carry."""
    folder = tmp_path_factory.mktemp("current")
    copy(folder, "params.yaml", "dvc.yaml", "runs.yaml", "profiles", "paper_repro")
    for experiment in ("mnist", "mnist_minimax"):
        copy(folder, f"reports/{PROFILE}/runs/{PROFILE}-{experiment}-0")
    own = folder / "profiles" / PROFILE / "params.yaml"
    own.write_text(re.sub(r"^seeds:\n(  .*\n)+", SEEDS, own.read_text(), flags=re.MULTILINE))
    (folder / ".dvc").mkdir()
    config = "[core]\n    no_scm = true\n    analytics = false\n"
    (folder / ".dvc/config").write_text(config)
    with contextlib.chdir(folder):
        write_run_lists()
        record(PROFILE, None)
    return folder


@pytest.fixture
def checkout(current, tmp_path, monkeypatch):
    shutil.copytree(current, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def stages():
    return YAML(typ="safe").load(LOCK.read_text())["stages"]


def edit_code():
    path = Path("paper_repro/gan/update.py")
    path.write_text(path.read_text() + "\n# An edit.\n")


def rest(entry):
    """All of a stage's entry but its code."""
    deps = [dep for dep in entry["deps"] if not dep["path"].startswith("paper_repro/")]
    return {**entry, "deps": deps}


def test_code_is_recorded_and_nothing_else(checkout):
    before = stages()
    edit_code()
    assert record(PROFILE, None) == []
    after = stages()
    assert after.keys() == before.keys()
    for name, entry in after.items():
        assert rest(entry) == rest(before[name]), name
        assert (entry != before[name]) is name.startswith("train@"), name


@pytest.mark.parametrize(
    ("text", "to", "left"),
    [
        ("      learning_rate: 0.1\n", "      learning_rate: 0.2\n", {"train"}),
        ("sigma_points: 10}", "sigma_points: 11}", {"evaluate"}),
        # Of the paper's own length, which the profile does not use.
        ("epochs: 2305", "epochs: 2310", set()),
    ],
)
def test_what_has_other_parameters_is_left(checkout, text, to, left):
    before = stages()
    for path in (Path("params.yaml"), Path("profiles", PROFILE, "params.yaml")):
        path.write_text(path.read_text().replace(text, to))
    found = record(PROFILE, None)
    assert {name.partition("@")[0] for name in found} == left
    after = stages()
    assert all(after[name] == before[name] for name in found)


def test_an_exception_is_left_alone(checkout):
    before = stages()
    edit_code()
    left = record(PROFILE, "mnist_minimax")
    assert {name.rpartition("-")[0] for name in left} == {
        f"{stage}@ablations-mnist_minimax" for stage in ("train", "evaluate", "figure2")
    }
    assert all(stages()[name] == before[name] for name in left)


def test_differences_are_of_what_both_compute():
    base = {"a": "1", "b": "2", "golden-mnist-0/c": "3", "gone": "4", "quick-mnist-0/d": "5"}
    head = {"a": "1", "b": "0", "golden-mnist-0/c": "0", "new": "5", "quick-mnist-0/d": "0"}
    assert differences(base, head, None) == ["b", "golden-mnist-0/c", "quick-mnist-0/d"]
    assert differences(base, head, "mnist") == ["b"]


def test_every_stage_of_a_run_is_among_the_golden_computations():
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    of_runs = {name for name, stage in pipeline.items() if "${key}" in stage["do"]["cmd"]}
    assert of_runs - set(golden.STAGES) == {"explore"}  # whose key is a profile


@pytest.mark.slow
def test_the_code_here_gives_the_bytes_of_the_last_carry(tmp_path):
    """Of two experiments, on a machine of a kind that is known."""
    copy(tmp_path, "params.yaml", "dvc.yaml", "CITATION.cff", "profiles", "paper_repro")
    own = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = python(golden.__file__, "mnist", "dbn", cwd=tmp_path, env=own)
    assert done.returncode == 0, done.stderr
    kind, found = json.loads(done.stdout)
    known = json.loads(GOLDEN.read_text()).get(kind)
    if known is None:
        pytest.skip(f"no hashes of {kind} are known")
    assert len(found) > 10
    assert found == {name: known[name] for name in found}
