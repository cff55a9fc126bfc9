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
from paper_repro.core.circumstances import read_circumstances
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.runs import model_path
from paper_repro.core.tensor_file import content_digest, load_tensors, save_tensors
from paper_repro.gan import family
from paper_repro.report.report import report
from paper_repro.training import checkpoint
from paper_repro.training.interrupt import on_signals
from paper_repro.training.train import train
from tests.small import PROFILES, ROOT

KEY = "quick-mnist-0"


OURS = os.environ | {"PYTHONPATH": str(ROOT)}


def started(*arguments, **options):
    """Start a command as a user does, in the present folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "paper_repro", *arguments],
        env=OURS | options.pop("env", {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def sent(process, number):
    """Send a process a signal, if it is still there."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def left():
    return [path for path in Path().rglob(".*.tmp*") if path.is_file()]


def saved():
    return sorted(Path("checkpoints").rglob("*.safetensors"))


def outputs(workspace):
    paths = [model_path(KEY), *(workspace.run.folder / f"{n}.csv" for n in ("curve", "validation"))]
    return [path.read_bytes() for path in paths]


# Temporary files.


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from paper_repro.core.files import replacing\n"
        "with replacing(Path('a.txt')) as path:\n"
        "    path.write_text('half'); print(path, flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=OURS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    half = tmp_path / writer.stdout.readline().strip()
    files.write_text(tmp_path / "b.txt", "whole")
    assert half.read_text() == "half"  # its writer lives
    writer.kill()
    writer.communicate()
    files.write_text(tmp_path / "b.txt", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt"]


def test_files_of_other_names_are_never_swept(tmp_path):
    for name in (".notes.tmp", ".a.tmp.txt", "a.abcdefgh.tmp", ".a.ABCDEFGH.tmp"):
        (tmp_path / name).touch()
    before = sorted(tmp_path.iterdir())
    files.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_kills_at_random_moments_leave_nothing_behind_and_lose_no_byte(workspace, monkeypatch):
    workspace.change(epochs=60, validate_every=1)
    train(KEY)
    expected = outputs(workspace)
    for path in (*saved(), model_path(KEY)):
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
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=OURS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
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
    workspace.change(epochs=1000000)
    first = started("train", KEY)
    try:
        lock, until = Path("checkpoints", KEY, "lock"), time.monotonic() + 60
        while not (lock.is_file() and lock.read_text()) and time.monotonic() < until:
            time.sleep(0.01)
        with pytest.raises(UserError, match=rf"process {first.pid} on .* is training this run"):
            train(KEY)
    finally:
        first.terminate()
        said = first.communicate()[1]
    assert first.returncode == 130
    assert "the same command goes on from there" in said or "nothing is lost" in said
    for path in saved():
        path.unlink()  # it may stand at any epoch
    workspace.change(epochs=2)
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
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=OURS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert done.stderr.startswith("paper_repro: interrupted; nothing is lost")
    assert done.stderr.count("\n") == 1


def test_a_closed_terminal_is_a_request_to_save_unless_it_is_to_be_ignored():
    before = signal.getsignal(signal.SIGHUP)
    try:
        for how, requested in ((signal.SIG_DFL, True), (signal.SIG_IGN, False)):  # as nohup has it
            signal.signal(signal.SIGHUP, how)
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
    saved()[0].unlink()
    validate, ended = family.validate, []
    for epoch in (1, 2, 3):

        def interrupted(*arguments, epoch=epoch):
            if arguments[-1] == epoch:
                signal.raise_signal(signal.SIGTERM)
                ended.append("too late")
            return validate(*arguments)

        monkeypatch.setattr(family, "validate", interrupted)
        with pytest.raises(Interrupted, match=f"stopped at update {7 * epoch} of 21, saved"):
            train(KEY)
        assert not ended
    monkeypatch.setattr(family, "validate", validate)
    train(KEY)
    assert outputs(workspace) == expected


# Checkpoints.


def trained_checkpoint():
    (path,) = saved()
    return path, *load_tensors(path)


def seal(path, tensors, record):
    record.pop(checkpoint.SEAL, None)
    save_tensors(path, tensors, record | {checkpoint.SEAL: content_digest(tensors, record)})


def test_every_damage_to_a_checkpoint_is_noticed(workspace):
    train(KEY)
    path = saved()[0]
    content = path.read_bytes()
    save_tensors(Path("other"), {"x": torch.zeros(1)}, {"no": "checkpoint"})
    cases = [content[: len(content) // 2], bytes(99), Path("other").read_bytes()]
    for position in range(0, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        cases.append(damaged)
    for damaged in cases:
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"^checkpoints/.*(damaged|version|another run).*$"):
            train(KEY)
        assert path.exists()


def test_another_seed_s_checkpoint_is_refused(workspace):
    workspace.list(mnist=[0, 1])
    train(KEY)
    train("quick-mnist-1")
    ours, theirs = saved()
    shutil.copy(theirs, ours)
    with pytest.raises(UserError, match="the state of another run or of other code"):
        train(KEY)


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
def test_all_entries_of_a_checkpoint_are_checked(workspace, change):
    train(KEY)
    path, tensors, record = trained_checkpoint()
    change(tensors)
    seal(path, tensors, record)
    with pytest.raises(UserError, match=r"best\.generator\.layers\.\d\.bias: holds .*, expected"):
        train(KEY)


@pytest.mark.parametrize(
    ("name", "value"), [("curve", None), ("update", "7"), ("starts", {}), ("more", 1)]
)
def test_progress_of_another_form_is_refused(workspace, name, value):
    train(KEY)
    path, tensors, record = trained_checkpoint()
    record[name] = value
    seal(path, tensors, record)
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        train(KEY)


def test_a_run_that_goes_on_under_other_threads_says_so(workspace, capsys):
    train(KEY)
    assert "thread(s)" not in capsys.readouterr().err
    workspace.change(epochs=3)
    torch.set_num_threads(2)
    try:
        train(KEY)
    finally:
        torch.set_num_threads(1)
    assert (
        f"{KEY}: goes on with 2 thread(s) after 1; the bytes may differ" in capsys.readouterr().err
    )
    starts = read_circumstances(workspace.run, "train")["starts"]
    assert [start["threads"] for start in starts] == [1, 2]


def test_a_run_that_diverges_before_its_first_save_names_no_checkpoint(
    workspace, capsys, at_update
):
    def exploding(n, trainer):
        with torch.no_grad():
            trainer.generator.parameters[0][0, 0] = float("nan")

    at_update(after=exploding)
    train(KEY)
    said = capsys.readouterr().err
    assert "training diverged: NaN or infinity by update 7" in said
    assert "checkpoint" not in said
    assert not saved()


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
def test_a_full_disk_is_one_line_and_a_later_run_goes_on(workspace, capsys, blocks):
    with room_for(blocks * 1024):
        assert main(["train", KEY]) == 2
    said = capsys.readouterr().err.rpartition("\r")[2].splitlines()
    assert "can't be written: File too large: it needs" in said[-1]
    assert "make room and run the same command again" in said[-1]
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

READ = [
    (Path("params.yaml"), ("train", KEY)),
    (Path("profiles/quick/params.yaml"), ("train", KEY)),
    (Path("data/processed/quick/mnist/dataset.json"), ("train", KEY)),
    (Path("data/processed/quick/mnist/train.npy"), ("train", KEY)),
    (Path("checkpoints") / KEY / "{}", ("train", KEY)),
    (Path("models") / f"{KEY}.safetensors", ("evaluate", KEY)),
    (Path("reports/quick/runs") / KEY / "training.json", ("evaluate", KEY)),
    (Path("reports/quick/runs") / KEY / "curve.csv", ("report", "quick")),
    (Path("reports/quick/figure1.json"), ("report", "quick")),
    (Path("CITATION.cff"), ("report", "quick")),
]


def run_stages(workspace):
    for stage in ("train", "evaluate", "figure2"):
        assert main([stage, KEY]) == 0


def without_end(path):
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, without_end])
@pytest.mark.parametrize(("path", "command"), READ, ids=[path.name for path, _ in READ])
def test_what_is_no_file_is_refused_in_one_line(workspace, capsys, path, command, make):
    workspace.once(run_stages)
    if path.name == "{}":
        (path,) = saved()
    path.unlink()
    make(path)
    capsys.readouterr()
    assert main(command) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "update/s" not in line]
    assert len(said) == 1
    assert str(path) in said[0]


# The environment.


def with_streams(streams, *arguments):
    """Run a command as a shell does, its streams redirected."""
    command = ["bash", "-c", f'"$@" {streams}', "", sys.executable, "-m", "paper_repro", *arguments]
    # Without PYTHONUNBUFFERED, which lets a full stdout be known before the end.
    environment = {name: value for name, value in OURS.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("streams", "told"),
    [
        ("2>&-", "paper_repro: stderr: closed; what is told there is lost\n"),
        (
            "2>/dev/full",
            "paper_repro: stderr: No space left on device; what is told there is lost\n",
        ),
        ("0<&- 1>/dev/full 2>&-", ""),
    ],
)
def test_training_goes_on_where_nobody_listens(workspace, streams, told):
    done = with_streams(streams, "train", KEY)
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
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
        (".git/config", b"garbage\n", "dvc: setting b'garbage\\n' without section"),
        (".dvcignore", b"\xf2\xff", "dvc: 'utf-8' codec can't decode byte 0xf2"),
        ("dvc.lock", b"a: [", "dvc: unable to read: 'dvc.lock', YAML file structure is corrupted"),
        (".dvc/config", b"x\n", "dvc: config file error: Invalid line ('x')"),
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
    for name in ("params.yaml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "reports/stand-in", tmp_path / "reports/stand-in")
    for profile in PROFILES[1:]:
        source = ROOT / "profiles" / profile / "params.yaml"
        (tmp_path / "profiles" / profile).mkdir(parents=True)
        shutil.copy(source, tmp_path / "profiles" / profile)
    own = tmp_path / "profiles/stand-in/params.yaml"
    few = re.sub("^seeds: .*$", "seeds: {tfd_pretrain: [0]}", own.read_text(), flags=re.MULTILINE)
    own.write_text(few)
    monkeypatch.chdir(tmp_path)
    report("stand-in")
    written = sorted(p for p in (tmp_path / "reports").rglob("*") if p.is_file())
    before = {path: path.read_bytes() for path in written}
    for environment in (
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
    ):
        process = started("report", "stand-in", cwd=tmp_path, env=environment)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        assert {path: path.read_bytes() for path in written} == before


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


def test_a_record_without_its_checksum_is_refused(measured, capsys):
    path = measured.run.folder / "evaluation.json"
    content = json.loads(path.read_text())
    del content["content_sha256"]
    content["selected"]["test_mean"] += 5
    path.write_text(json.dumps(content))
    assert main(["report", "quick"]) == 2
    assert f"{path}: its checksum is gone; restore it with git" in capsys.readouterr().err


def test_line_endings_that_were_changed_are_told(measured, capsys):
    path = measured.run.folder / "curve.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert main(["report", "quick"]) == 2
    said = capsys.readouterr().err
    assert f"{path}: its line endings were changed; type `git config core.autocrlf false`" in said


def test_a_profile_s_name_that_reaches_a_shell_is_refused(workspace, capsys):
    folder = Path("profiles/a;touch PWN")
    folder.mkdir()
    shutil.copy("profiles/quick/params.yaml", folder)
    assert main(["runs"]) == 2
    assert "'a;touch PWN': a profile's name is of a to z" in capsys.readouterr().err


@pytest.mark.parametrize(
    "message",
    [
        "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate",
        "[enforce fail] . DefaultCPUAllocator: not enough memory: you tried to allocate",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
    ],
)
def test_networks_that_memory_can_t_hold_are_one_line(workspace, monkeypatch, capsys, message):
    def too_large(*arguments):
        raise RuntimeError(message)

    monkeypatch.setattr(family, "build_gan", too_large)
    assert main(["train", KEY]) == 2
    assert capsys.readouterr().err == (
        "paper_repro: out of memory; is a size in the parameters too large?\n"
    )
