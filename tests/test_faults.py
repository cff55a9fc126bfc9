"""What comes from outside: kills, signals, second processes, full disks, locales, odd files."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core import files, provenance
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.runs import model_path
from paper_repro.core.tensor_file import content_digest, load_tensors, save_tensors
from paper_repro.gan import family
from paper_repro.report.report import report
from paper_repro.training import checkpoint
from paper_repro.training.interrupt import on_signals
from paper_repro.training.train import train
from tests.small import ROOT, python
from tests.test_cluster import held_elsewhere
from tests.test_training import checkpoints, outputs

KEY = "quick-mnist-0"
OURS = os.environ | {"PYTHONPATH": str(ROOT)}


def started(*arguments, **streams):
    """Start a Python of ours in the present folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *arguments], env=OURS, **pipes | streams)


def sent(process, number):
    """Send a process a signal, if it is still there."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def left():
    return [path for path in Path().rglob(".*.tmp*") if path.is_file()]


# Temporary files.


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from paper_repro.core.files import replacing\n"
        "with replacing(Path('a.txt')) as path:\n"
        "    path.write_text('half'); print(path, flush=True); sys.stdin.read()"
    )
    writer = started("-c", code, cwd=tmp_path)
    half = tmp_path / writer.stdout.readline().strip()
    others = [".a.ABCDEFGH.tmp", ".a.tmp.txt", ".notes.tmp", "a.abcdefgh.tmp"]
    for name in others:
        (tmp_path / name).touch()
    files.write_text(tmp_path / "b.txt", "whole")
    assert half.read_text() == "half"  # its writer lives
    writer.kill()
    writer.communicate()
    files.write_text(tmp_path / "b.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [*others, "b.txt"]


@pytest.mark.slow
def test_kills_at_random_moments_leave_nothing_behind_and_lose_no_byte(workspace, monkeypatch):
    workspace.change(epochs=60, validate_every=1)
    train(KEY)
    expected = outputs(workspace)
    for path in (*checkpoints(), model_path(KEY)):
        path.unlink()
    code = (  # a process that has imported everything, once, and makes those to be killed
        "import importlib, os, sys\n"
        "from paper_repro.training import loop, train; from paper_repro.__main__ import main\n"
        "loop.CHECKPOINT_SECONDS = loop.SAVING_RATIO = 0\n"
        "for line in sys.stdin:\n"
        "    child = os.fork()\n"
        "    if not child: os._exit(main(['train', 'quick-mnist-0']))\n"
        "    print(child, flush=True)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)"
    )
    with started("-c", code, stderr=subprocess.DEVNULL) as parent:
        killed = 0
        for _ in range(6):
            print(file=parent.stdin, flush=True)
            child, until = int(parent.stdout.readline()), time.monotonic() + 60
            while not left() and sent(child, 0) and time.monotonic() < until:
                pass  # until it is inside a save
            sent(child, signal.SIGKILL)
            killed += int(parent.stdout.readline()) == -signal.SIGKILL
    assert killed >= 3
    train(KEY)
    assert outputs(workspace) == expected
    assert not left()


# Two processes.


def test_a_second_process_is_told_who_trains_the_run(workspace):
    told = "process {} on .* is training this run"
    lock = held_elsewhere(f"checkpoints/{KEY}/lock")
    with lock as other, pytest.raises(UserError, match=told.format(other)):
        train(KEY)
    train(KEY)  # a lock is gone with its process


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_modules_are_imported_is_told(workspace, number):
    code = (
        "import importlib, os, sys; from paper_repro.__main__ import main\n"
        "importing = importlib.import_module\n"
        f"def slow(name): os.kill(os.getpid(), {int(number)}); return importing(name)\n"
        "importlib.import_module = slow\nsys.exit(main(['train', 'quick-mnist-0']))"
    )
    done = python("-c", code, env=OURS)
    assert done.returncode == 130
    assert done.stderr.startswith("paper_repro: interrupted; the same command goes on")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("how", "requested"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_is_a_request_to_save_unless_nohup_ignores_it(how, requested):
    before = signal.signal(signal.SIGHUP, how)
    try:
        with on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert stop.requested == requested
        assert signal.getsignal(signal.SIGHUP) == how
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_during_a_validation_ends_it_at_once_and_costs_no_byte(workspace, monkeypatch):
    workspace.change(epochs=3, validate_every=1)
    train(KEY)
    expected = outputs(workspace)
    checkpoints()[0].unlink()
    validate = family.validate
    for epoch in (1, 2, 3):

        def interrupted(*arguments, epoch=epoch):
            if arguments[-1] == epoch:
                signal.raise_signal(signal.SIGTERM)
                pytest.fail("too late")
            return validate(*arguments)

        monkeypatch.setattr(family, "validate", interrupted)
        with pytest.raises(Interrupted, match=f"stopped at update {7 * epoch} of 21, saved"):
            train(KEY)
    monkeypatch.setattr(family, "validate", validate)
    train(KEY)
    assert outputs(workspace) == expected


# Checkpoints.


@pytest.fixture
def resealed(workspace):
    """Call with a change to the tensors and the record of a trained run's checkpoint."""
    train(KEY)
    (path,) = checkpoints()

    def change(how):
        tensors, record = load_tensors(path)
        del record[checkpoint.SEAL]
        how(tensors, record)
        save_tensors(path, tensors, record | {checkpoint.SEAL: content_digest(tensors, record)})

    return change


def test_every_damage_to_a_checkpoint_is_noticed(workspace):
    workspace.list(mnist=[0, 1])
    train(KEY)
    train("quick-mnist-1")
    path, theirs = checkpoints()
    content = path.read_bytes()
    save_tensors(Path("other"), {"x": torch.zeros(1)}, {"no": "checkpoint"})
    cases = [content[: len(content) // 2], bytes(99)]
    cases += [other.read_bytes() for other in (Path("other"), theirs)]
    for position in range(0, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        cases.append(damaged)
    for damaged in cases:
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"^checkpoints/.*(damaged|version|another run).*$"):
            train(KEY)
        assert path.exists()


BIAS = "best.generator.layers.0.bias"


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop(BIAS),
        lambda tensors: tensors.update({BIAS: torch.zeros(3)}),
        lambda tensors: tensors.update({BIAS: tensors[BIAS].double()}),
        lambda tensors: tensors.update({BIAS.replace("0", "9"): torch.zeros(3)}),
    ],
    ids=["absent", "shape", "type", "one more"],
)
def test_all_entries_of_a_checkpoint_are_checked(resealed, change):
    resealed(lambda tensors, record: change(tensors))
    with pytest.raises(UserError, match=r"best\.generator\.layers\.\d\.bias: holds .*, expected"):
        train(KEY)


@pytest.mark.parametrize(
    ("name", "value"), [("curve", None), ("update", "7"), ("starts", {}), ("more", 1)]
)
def test_progress_of_another_form_is_refused(resealed, name, value):
    resealed(lambda tensors, record: record.update({name: value}))
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        train(KEY)


# A full disk: the system lets no file grow beyond a bound, and a write fails in its middle.


@contextlib.contextmanager
def room_for(size):
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("blocks", [1, 4, 16])  # of 1024 bytes
def test_a_full_disk_is_one_line_and_a_later_run_goes_on(workspace, refused, blocks):
    with room_for(blocks * 1024):
        said = refused("train", KEY)
    assert "can't be written: File too large: it needs" in said
    assert "make room and run the same command again" in said
    assert not left()
    train(KEY)
    assert model_path(KEY).is_file()


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.zeros(4)}, {})
    before = path.read_bytes()
    full = "a.safetensors: can't be written: File too large: it needs 4,000,"
    with room_for(10**5), pytest.raises(UserError, match=full):
        save_tensors(path, {"a": torch.zeros(10**6)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_where_a_file_should_go_is_one_line(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="a: can't be written: Is a directory"):
        files.write_text(tmp_path / "a", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


# Files that are none, or without end.

READ = {
    "params.yaml": "train",
    "profiles/quick/params.yaml": "train",
    "data/processed/quick/mnist/dataset.json": "train",
    "data/processed/quick/mnist/train.npy": "train",
    f"checkpoints/{KEY}/*.safetensors": "train",
    f"models/{KEY}.safetensors": "evaluate",
    f"reports/quick/runs/{KEY}/training.json": "evaluate",
    f"reports/quick/runs/{KEY}/curve.csv": "report",
    "reports/quick/figure1.json": "report",
    "CITATION.cff": "report",
}


def run_stages(workspace):
    for stage in ("train", "evaluate", "figure2"):
        assert main([stage, KEY]) == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("/dev/zero")])
@pytest.mark.parametrize("place", READ)
def test_what_is_no_file_is_refused_in_one_line(workspace, refused, place, make):
    workspace.once(run_stages)
    (path,) = Path().glob(place)
    path.unlink()
    make(path)
    command = READ[place]
    assert str(path) in refused(command, "quick" if command == "report" else KEY)


# The environment.


def with_streams(streams, *arguments):
    """Run a command as a shell does, its streams redirected."""
    command = ["bash", "-c", f'"$@" {streams}', "", sys.executable, "-m", "paper_repro", *arguments]
    # Without PYTHONUNBUFFERED, which lets a full stdout be known before the end.
    environment = {name: value for name, value in OURS.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("streams", "told"),
    [
        ("2>&-", "paper_repro: stderr: closed;"),
        ("2>/dev/full", "paper_repro: stderr: No space left on device;"),
        ("0<&- 1>/dev/full 2>&-", ""),
    ],
)
def test_training_goes_on_where_nobody_listens(workspace, streams, told):
    done = with_streams(streams, "train", KEY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(told)
    assert done.stdout.count("\n") == bool(told)
    assert model_path(KEY).is_file()


def test_results_that_can_t_be_printed_are_one_line(workspace):
    train(KEY)
    done = with_streams("1>/dev/full", "circumstances", "quick")
    assert (done.returncode, done.stderr) == (2, "paper_repro: No space left on device\n")
    done = with_streams("| true; exit ${PIPESTATUS[0]}", "circumstances", "quick")
    assert (done.returncode, done.stderr) in ((0, ""), (128 + signal.SIGPIPE, ""))


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's library warns DVC
@pytest.mark.parametrize(
    ("place", "content", "told"),
    [
        (".git/config", b"garbage\n", "dvc: setting b'garbage"),
        (".dvcignore", b"\xf2\xff", "dvc: 'utf-8' codec can't decode"),
        ("dvc.lock", b"a: [", "dvc: unable to read: 'dvc.lock'"),
        (".dvc/config", b"x\n", "dvc: config file error"),
    ],
)
def test_what_dvc_can_t_read_is_one_line(workspace, capsys, place, content, told):
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path(".dvc").mkdir()
    Path(place).write_bytes(content)
    assert main(["plan", "paper"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[1].startswith(f"paper_repro: {told}")
    assert len(said) == 2  # the first says that DVC is asked


@pytest.mark.slow
def test_a_report_has_the_same_bytes_in_every_locale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "CITATION.cff"):
        shutil.copy(ROOT / name, name)
    for name in ("reports/stand-in", "profiles"):
        shutil.copytree(ROOT / name, name)
    own = Path("profiles/stand-in/params.yaml")
    few = re.sub("^seeds: .*$", "seeds: {tfd_pretrain: [0]}", own.read_text(), flags=re.MULTILINE)
    own.write_text(few)
    report("stand-in")
    before = {path: path.read_bytes() for path in Path("reports").rglob("*") if path.is_file()}
    for environment in (
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
    ):
        done = python("-m", "paper_repro", "report", "stand-in", env=OURS | environment)
        assert done.returncode == 0, done.stderr
        assert {path: path.read_bytes() for path in before} == before


def test_git_s_refusal_is_recorded_as_what_it_said(tmp_path, monkeypatch):
    refusal = "fatal: detected dubious ownership in repository"
    (tmp_path / "git").write_text(f"#!/bin/sh\necho '{refusal}' >&2\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    expected = {"commit": None, "uncommitted_changes": None, "git": refusal}
    assert provenance.commit.__wrapped__() == expected
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert "No such file" in provenance.commit.__wrapped__()["git"]


def test_an_outer_git_s_variables_do_not_change_the_commit(tmp_path, monkeypatch):
    expected = provenance.commit.__wrapped__()
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert provenance.commit.__wrapped__() == expected


def test_a_record_without_its_checksum_and_changed_line_endings_are_told(measured, refused):
    path = measured.run.folder / "curve.csv"
    written = path.read_bytes()
    path.write_bytes(written.replace(b"\n", b"\r\n"))
    said = refused("report", "quick")
    assert f"{path}: its line endings were changed; type `git config core.autocrlf false`" in said
    path.write_bytes(written)
    path = measured.run.folder / "evaluation.json"
    content = json.loads(path.read_text())
    del content["content_sha256"]
    path.write_text(json.dumps(content))
    assert f"{path}: its checksum is gone; restore it with git" in refused("report", "quick")


@pytest.mark.parametrize("name", ["a;touch PWN", "-x", "paper", "benchmarks"])
def test_a_profile_s_name_that_reaches_a_shell_or_is_taken_is_refused(workspace, refused, name):
    shutil.copytree("profiles/quick", Path("profiles", name))
    assert f"{name!r}: a profile's name may hold a to z" in refused("runs")


@pytest.mark.parametrize(
    "message",
    [
        "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate",
        "[enforce fail] . DefaultCPUAllocator: not enough memory: you tried to allocate",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
    ],
)
def test_networks_that_memory_can_t_hold_are_one_line(workspace, monkeypatch, refused, message):
    def too_large(*arguments):
        raise RuntimeError(message)

    monkeypatch.setattr(family, "build_gan", too_large)
    assert "out of memory; is a size in the parameters too large?" in refused("train", KEY)
