"""DVC's own commands that compare with a commit, in a clone: numbers on both sides."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.small import ROOT, python

pytestmark = pytest.mark.slow

METRICS = Path("reports/paper/runs/paper-mnist-4/metrics.json")
COMMANDS = ("metrics diff", "params diff", "exp diff", "exp show", "data status")


def clone(folder, *settings):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    command = ["git", *settings, "clone", "--quiet", "--shared", str(ROOT), str(folder)]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """A clone in which a number and a parameter were changed."""
    folder = clone(tmp_path_factory.mktemp("clone") / "x")
    path = folder / METRICS
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"test_mean": content["test_mean"] + 1}))
    params = folder / "profiles/quick/params.yaml"
    params.write_text(params.read_text().replace("epochs: 10,", "epochs: 12,"))
    return folder


def test_dvc_s_comparisons_show_both_numbers(edited):
    code = (  # one process, since each reads all locks
        "from dvc.cli import main\n"
        f"for command in {COMMANDS!r}: assert main([*command.split(), '--json']) == 0, command"
    )
    done = python("-c", code, cwd=edited)
    assert done.returncode == 0, done.stderr
    metrics, params, both, shown, _ = map(json.loads, done.stdout.splitlines())
    for found in (metrics, both["metrics"]):
        change = found[METRICS.as_posix()]["test_mean"]
        assert change["new"] == pytest.approx(change["old"] + 1)
    for found in (params, both["params"]):
        change = found["profiles/quick/params.yaml"]["experiments.mnist.epochs"]
        assert (change["old"], change["new"]) == (10, 12)
    now, head = (
        side["data"]["metrics"][METRICS.as_posix()]["data"]["test_mean"] for side in shown[:2]
    )
    assert now == pytest.approx(head + 1)


def test_a_checkout_has_the_commit_s_bytes_where_git_changes_line_endings_and_links(tmp_path):
    folder = clone(tmp_path / "x", "-c", "core.autocrlf=true", "-c", "core.symlinks=false")
    command = ["git", "ls-files", "--eol", "--stage"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout.splitlines()
    assert len(told) > 500
    for line in told:
        mode, (committed, here) = line.split()[0], line.partition("i/")[2].split()[:2]
        assert mode != "120000", line
        assert here == f"w/{committed}", line


def test_make_add_names_the_changed_file_and_how_to_restore_it(edited):
    done = python("-m", "paper_repro", "released", cwd=edited)
    assert done.returncode == 2
    assert done.stderr.startswith(f"paper_repro: {METRICS}: changed, ")
    assert done.stderr.endswith(f" restore it with `git checkout {METRICS}`\n")
