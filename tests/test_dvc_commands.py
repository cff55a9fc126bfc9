"""DVC's own commands that compare with a commit, in a clone: numbers on both sides."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import ROOT

METRICS = Path("reports/paper/runs/paper-mnist-4/metrics.json")


def python(folder, *arguments):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def dvc(folder, *arguments):
    done = python(folder, "dvc", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    folder = tmp_path_factory.mktemp("clone") / "x"
    command = ["git", "clone", "--quiet", "--shared", str(ROOT), str(folder)]
    subprocess.run(command, check=True)
    path = folder / METRICS
    content = json.loads(path.read_text())
    content["test_mean"] += 1
    path.write_text(json.dumps(content))
    params = folder / "profiles/quick/params.yaml"
    params.write_text(params.read_text().replace("epochs: 10,", "epochs: 12,"))
    return folder


@pytest.mark.slow
def test_metrics_diff_shows_both_numbers(clone):
    found = json.loads(dvc(clone, "metrics", "diff", "--json"))
    change = found[METRICS.as_posix()]["test_mean"]
    assert change["new"] == pytest.approx(change["old"] + 1)


@pytest.mark.slow
def test_params_diff_shows_both_values(clone):
    found = json.loads(dvc(clone, "params", "diff", "--json"))
    changed = found["profiles/quick/params.yaml"]["experiments.mnist.epochs"]
    assert (changed["old"], changed["new"]) == (10, 12)


@pytest.mark.slow
def test_exp_diff_and_data_status_work_in_a_clone(clone):
    found = json.loads(dvc(clone, "exp", "diff", "--json"))
    change = found["metrics"][METRICS.as_posix()]["test_mean"]
    assert change["new"] == pytest.approx(change["old"] + 1)
    dvc(clone, "data", "status", "--json")


@pytest.mark.slow
def test_a_checkout_has_the_commit_s_bytes_where_git_changes_line_endings_and_links(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    settings = ["-c", "core.autocrlf=true", "-c", "core.symlinks=false"]
    command = ["git", *settings, "clone", "--quiet", "--shared", str(ROOT), "x"]
    subprocess.run(command, cwd=tmp_path, check=True)
    told = subprocess.run(
        ["git", "ls-files", "--eol", "--stage"], cwd=tmp_path / "x", capture_output=True, text=True
    ).stdout.splitlines()
    assert len(told) > 500
    for line in told:
        mode, (committed, here) = line.split()[0], line.partition("i/")[2].split()[:2]
        assert mode != "120000", line
        assert here == f"w/{committed}", line


@pytest.mark.slow
def test_exp_show_has_the_commit_s_numbers(clone):
    found = json.loads(dvc(clone, "exp", "show", "--json"))
    head = found[1]["data"]["metrics"][METRICS.as_posix()]["data"]
    now = found[0]["data"]["metrics"][METRICS.as_posix()]["data"]
    assert now["test_mean"] == pytest.approx(head["test_mean"] + 1)


@pytest.mark.slow
def test_make_add_names_the_changed_file_and_how_to_restore_it(clone):
    done = python(clone, "paper_repro", "released")
    assert done.returncode == 2
    assert done.stderr == (
        f"paper_repro: {METRICS}: changed, and what it was made from is not here; restore it with "
        f"`git checkout {METRICS}`\n"
    )
