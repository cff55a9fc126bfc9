"""Trainings as jobs: by a stub of Slurm, by a real one on two small nodes, and on this machine."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from paper_repro import system
from paper_repro.__main__ import main
from paper_repro.cluster import job as jobbing
from paper_repro.cluster import local, slurm, submit
from paper_repro.cluster.progress import read_state
from paper_repro.core.circumstances import TRAINING, read_circumstances
from paper_repro.core.dataset import processed_folder, write_not_run
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.records import read_training
from paper_repro.core.runs import model_path, read_run
from paper_repro.forecast.repro import run_through
from paper_repro.training.train import train
from tests import small_slurm
from tests.small import ROOT, python
from tests.small_slurm import asked, wait_for
from tests.test_report import diverge
from tests.test_tfd_phases import FIRST, SECOND, phases  # noqa: F401 (a fixture)

# DVC's library warns DVC.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

PIPELINE = "profiles/quick/dvc.yaml"
TARGET = f"{PIPELINE}:train"
UPDATES = 6  # of an epoch: 60 images in batches of 10
SLOWLY = """
# A job's update takes seconds as long as a file is there.
import os, sys, time
import tqdm
update = tqdm.tqdm.update
def slowly(self, n=1):
    until = time.monotonic() + 2.5
    while "job" in sys.argv and os.path.exists("slowly") and time.monotonic() < until:
        time.sleep(0.05)
    return update(self, n)
tqdm.tqdm.update = slowly
"""


@pytest.fixture
def lab(phases, monkeypatch):  # noqa: F811
    """A small copy of the repository, with two runs of which one starts from the other."""
    for place in ("dvc.yaml", PIPELINE, "data/dvc.yaml"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / place).read_text()
        Path(place).write_text(text.replace("python -m paper_repro fetch", "echo"))
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    shutil.copytree(ROOT / "paper_repro", "paper_repro", ignore=shutil.ignore_patterns("__pyc*"))
    for profile in ("raw", "stand-in"):
        Path("data", profile, "tfd").mkdir(parents=True)
    Path("hook").mkdir()
    Path("hook/sitecustomize.py").write_text(SLOWLY)
    monkeypatch.setenv("PYTHONPATH", str(Path("hook").resolve()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(system, "other_checkout", lambda: "")  # its code is this one's copy
    monkeypatch.setattr(submit, "fetch", lambda: None)
    monkeypatch.setattr(submit, "prepare", lambda profile, dataset: None)
    return phases


def outputs(*keys):
    """The bytes of all that runs, by default both, leave and a rerun must reproduce."""
    found = [model_path(key) for key in keys or (FIRST, SECOND)]
    found += sorted(Path("reports/quick/runs").rglob("*.*"))
    return {path.as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def expected(lab):
    """What an uninterrupted training in this process leaves of both runs, of four epochs each."""
    for name in ("tfd_pretrain", "tfd"):
        lab.files["paper"]["experiments"][name]["epochs"] = 4
    lab.write()
    train(FIRST)
    train(SECOND)
    found = outputs()
    assert len(found) == 8
    for folder in ("models", "checkpoints", "reports/quick/runs", "reports/quick/circumstances"):
        shutil.rmtree(folder)
    return found


def submitted(capsys, *options, target=TARGET):
    """What `submit` prints, by the first word of each line."""
    capsys.readouterr()
    assert main(["submit", target, *options]) == 0
    parts = (line.partition(": ") for line in capsys.readouterr().out.splitlines())
    return {before: after for before, _, after in parts}


# By a real Slurm; first, because these take longest.


@pytest.fixture(scope="module")
def nodes():
    """Two nodes; each process of the tests has its own Slurm."""
    if reason := small_slurm.why_not():
        pytest.skip(f"no Slurm: {reason}")
    with small_slurm.running():
        yield


def state_of(key):
    return slurm.queue()[key].state


def log_of(key):
    path = Path("jobs", f"{key}.log")
    return path.read_text() if path.exists() else ""


@pytest.mark.slow
def test_a_job_at_its_limit_is_requeued_and_gives_the_bytes_of_an_uninterrupted_one(
    nodes, expected, capsys, monkeypatch
):
    # A dependent waits through the requeue, a second submission doubles nothing, DVC finds nothing
    # to do; all at once, since the controller looks for limits only twice a minute.
    monkeypatch.setenv("SLURM_JOB_ID", "1")  # as if from inside another job
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "64")
    Path("slowly").touch()
    submitted(capsys, "--time=1")
    wait_for(lambda: slurm.queue()[FIRST].restarts == 1)
    assert 0 < read_state(FIRST).update < 4 * UPDATES
    again = submitted(capsys, "--time=1")
    assert all(again[key].startswith("already queued as job") for key in (FIRST, SECOND))
    assert state_of(SECOND) == "PENDING"
    Path("slowly").unlink()
    wait_for(lambda: state_of(SECOND) == "COMPLETED")
    assert state_of(FIRST) == "COMPLETED"
    assert outputs() == expected
    assert "exit 130" in log_of(FIRST)
    assert f"{FIRST}: job" in log_of(FIRST)
    assert submitted(capsys)[SECOND] == "finished"
    spent = [read_circumstances(read_run(key)[1], "train", TRAINING) for key in (FIRST, SECOND)]
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    repro = python(
        "-m", "dvc", "repro", "--single-item", *(f"{TARGET}@{k}" for k in (FIRST, SECOND))
    )
    assert repro.returncode == 0, repro.stderr
    assert outputs() == expected
    assert [
        read_circumstances(read_run(key)[1], "train", TRAINING) for key in (FIRST, SECOND)
    ] == spent


@pytest.mark.slow
def test_a_preempted_job_saves_and_goes_on_and_a_cancelled_one_does_not(
    nodes, expected, capsys, monkeypatch
):
    Path("slowly").touch()
    submitted(capsys)
    wait_for(lambda: "update" in log_of(FIRST))
    urgent = ["sbatch", "--partition=urgent", "--nodes=2", "--ntasks-per-node=2", "--output=urgent"]
    asked(*urgent, "--wrap=true")
    wait_for(lambda: slurm.queue()[FIRST].restarts == 1 and state_of(FIRST) == "RUNNING")
    assert read_state(FIRST).update > 0
    wait_for(lambda: "update" in log_of(FIRST).partition("restart 1")[2])  # it listens
    assert main(["jobs", "--cancel"]) == 0
    wait_for(lambda: (state_of(FIRST), state_of(SECOND)) == ("CANCELLED", "CANCELLED"))
    assert slurm.queue()[FIRST].restarts == 1
    wait_for(lambda: log_of(FIRST).count("exit 130") == 2)  # of the preemption, and of this
    Path("slowly").unlink()
    submitted(capsys)
    monkeypatch.setattr("paper_repro.cluster.jobs.REFRESH_SECONDS", 0.5)
    assert main(["jobs", "--watch"]) == 0  # until none waits or runs
    assert state_of(SECOND) == "COMPLETED"
    last = capsys.readouterr().out.rpartition("updates/s")[2]
    assert last.count("finished") == 2
    assert outputs() == expected


@pytest.mark.slow
def test_an_edit_while_queued_is_refused_and_a_dependent_cancelled(nodes, lab, capsys):
    submitted(capsys, "--sbatch=--hold")
    lab.files["paper"]["experiments"]["tfd_pretrain"]["epochs"] = 3
    lab.write()
    asked("scontrol", "release", slurm.queue()[FIRST].number, slurm.queue()[SECOND].number)
    wait_for(lambda: state_of(FIRST) == "FAILED")
    assert "changed after it was submitted; nothing was trained" in log_of(FIRST)
    wait_for(lambda: state_of(SECOND) == "CANCELLED")
    assert not Path("checkpoints").exists()
    capsys.readouterr()
    assert main(["jobs"]) == 0
    assert f"jobs/{FIRST}.log" in capsys.readouterr().out


def stamp(key):
    """What a job of a run trains by now."""
    return read_state(key).stamp


# With a stub of Slurm.


@pytest.fixture
def stub(lab, monkeypatch):
    """Commands that note how they were called; `queue` lists what squeue prints."""
    Path("bin").mkdir()
    script = (
        f"#!{sys.executable}\nimport json, os, sys\n"
        "name = os.path.basename(sys.argv[0])\n"
        "calls = open('calls').read().splitlines()\n"
        "mine = {k: v for k, v in os.environ.items() if k.startswith(('SLURM', 'SBATCH', 'SQ'))}\n"
        "if name != 'squeue':\n"
        "    print(json.dumps([name, sys.argv[1:], mine]), file=open('calls', 'a'))\n"
        "if name == 'squeue' and os.path.exists('queue'): print(open('queue').read())\n"
        "if name == 'sbatch': print(100 + len(calls))\n"
    )
    for name in ("sbatch", "squeue", "scancel"):
        path = Path("bin", name)
        path.write_text(script)
        path.chmod(0o755)
    Path("calls").touch()
    monkeypatch.setenv("PATH", str(Path("bin").resolve()), prepend=os.pathsep)
    return lab


def calls(name="sbatch"):
    found = [json.loads(line) for line in Path("calls").read_text().splitlines()]
    return [(arguments, environment) for called, arguments, environment in found if called == name]


@contextlib.contextmanager
def held_elsewhere(lock):
    """Let another process hold a lock file; its number."""
    code = (
        "import sys; from pathlib import Path; from paper_repro.core.files import held\n"
        f"with held(Path({lock!r}), ''): print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as other:
        other.stdout.readline()
        yield other.pid


def enqueue(*jobs):
    """Let squeue list jobs of (number, key, stamp, state)."""
    lines = [f"{n} |{slurm._name(key, made)} |{state} |n1 |0 |" for n, key, made, state in jobs]
    # A site's own line, and the jobs of others: one whose name has a newline.
    others = "NOTICE: maintenance", "9 |a", "b |PENDING | |0 |"
    Path("queue").write_text("\n".join([*lines, *others]))


def test_a_run_is_submitted_after_what_it_starts_from_with_all_that_a_job_needs(
    stub, capsys, monkeypatch
):
    for name in ("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SQUEUE_STATES"):
        monkeypatch.setenv(name, "7")
    kept = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_PARTITION": "long"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    said = submitted(capsys, "--time", "4:00:00", "--mem=8G", "--cpus=4", "--sbatch=-p long -x n9")
    assert list(said) == [FIRST, SECOND, "when all are done"]
    assert said[FIRST] == f"job 100, 2 epoch(s) left, log jobs/{FIRST}.log"
    assert said[SECOND].startswith(f"job 101 after {FIRST}, ")
    (first, environment), (second, _) = calls()
    assert environment == kept  # an outer job's variables are left out
    assert {
        *("--requeue", "--signal=TERM@300", "--kill-on-invalid-dep=yes", "--open-mode=append"),
        *("--time=4:00:00", "--mem=8G", "--cpus-per-task=4", f"--output=jobs/{FIRST}.log"),
        f"--chdir={Path.cwd()}",
    } <= set(first)
    script = first.index(str(slurm.SCRIPT))
    assert first[script - 4 : script] == ["-p", "long", "-x", "n9"]  # after ours, so that they win
    assert first[script + 3 :] == ["-m", "paper_repro", "job", FIRST, stamp(FIRST)]
    assert not [option for option in first if "dependency" in option]
    assert "--dependency=afterok:100" in second


def test_what_is_queued_is_not_submitted_again_and_what_starts_from_it_waits_for_it(
    stub, capsys, monkeypatch
):
    prepared = []
    monkeypatch.setattr(submit, "prepare", lambda *what: prepared.append(what))
    with monkeypatch.context() as there:  # another copy of the repository has jobs of its own
        there.chdir("bin")
        elsewhere = slurm._name(FIRST, "1" * 12)
    Path("queue").write_text(f"12 |{elsewhere} |RUNNING |n1 |0 |")
    assert "already queued" not in submitted(capsys)[FIRST]
    assert prepared == [("quick", "tfd")]
    Path("calls").write_text("")
    enqueue((12, FIRST, stamp(FIRST), "RUNNING"), (11, FIRST, stamp(FIRST), "FAILED"))
    said = submitted(capsys)
    assert said[FIRST] == "already queued as job 12 (RUNNING)"
    ((second, _),) = calls()
    assert "--dependency=afterok:12" in second
    assert len(prepared) == 1  # not the data that a queued job reads
    enqueue((12, FIRST, "0" * 12, "RUNNING"), (13, SECOND, stamp(SECOND), "PENDING"))
    said = submitted(capsys)
    assert "with what it was before an edit; to cancel it: scancel 12" in said[FIRST]
    assert len(calls()) == 1


def test_what_waits_for_another_model_or_would_refuse_to_train_is_replaced(stub, capsys):
    # Edited while it waits, and so is what starts from it; or failed, and its dependent not yet
    # cancelled by Slurm.
    for made, state in (("0" * 12, "PENDING"), (stamp(FIRST), "FAILED")):
        Path("calls").write_text("")
        enqueue((12, FIRST, made, state), (13, SECOND, stamp(SECOND), "PENDING"))
        said = submitted(capsys)
        assert said[SECOND].startswith(f"job 10{len(calls('scancel'))} after {FIRST}, in place of")
        assert len(calls()) == 2
        numbers = [number for (number,), _ in calls("scancel")]
        assert numbers == (["12", "13"] if state == "PENDING" else ["13"])


def test_what_another_process_trains_or_submits_is_left_alone(stub, capsys, refused):
    with held_elsewhere("jobs/lock"):
        assert "another `paper_repro submit` is at work" in refused("submit", TARGET)
    with held_elsewhere(f"checkpoints/{FIRST}/lock") as process:
        said = submitted(capsys)
        Path("jobs", f"{FIRST}.log").touch()
        assert main(["jobs"]) == 0
    assert "in training here" in capsys.readouterr().out
    assert said[FIRST].startswith(f"already in training, by process {process} on ")
    assert said[SECOND] == f"left out until {FIRST} is trained"
    assert not calls()
    submitted(capsys)
    assert len(calls()) == 2


def test_a_run_that_diverged_is_finished_and_one_of_another_recipe_s_model_is_not(
    stub, capsys, monkeypatch
):
    recipe = stub.files["paper"]["experiments"]["tfd_pretrain"]
    train(FIRST)
    recipe["k"], recipe["update"] = 2, "alternating"
    stub.write()
    with monkeypatch.context() as patch:
        diverge(patch)
        train(FIRST)
    assert read_training(read_run(FIRST)[1])["status"] == "diverged"
    assert submitted(capsys)[FIRST] == "finished"
    recipe["k"], recipe["update"] = 1, "simultaneous"  # whose checkpoint is complete
    stub.write()
    assert "0 epoch(s) left" in submitted(capsys)[FIRST]


def test_what_is_trained_is_left_alone_until_its_model_or_what_it_starts_from_is_gone(stub, capsys):
    train(FIRST)
    train(SECOND)
    said = submitted(capsys)
    assert (said[FIRST], said[SECOND]) == ("finished", "finished")
    assert not calls()
    model_path(SECOND).unlink()
    assert "0 epoch(s) left" in submitted(capsys)[SECOND]
    ((call, _),) = calls()
    assert call[-2] == SECOND
    assert not [option for option in call if "dependency" in option]
    stub.files["paper"]["experiments"]["tfd_pretrain"]["epochs"] = 3
    stub.write()
    said = submitted(capsys)
    assert "1 epoch(s) left" in said[FIRST]
    assert said[SECOND].startswith(f"job 102 after {FIRST}, 2 epoch(s) left")


def test_the_last_job_waits_for_all_and_replaces_one_that_waits_for_fewer(stub, capsys):
    said = submitted(capsys, "--dry-run", "--then-repro", "--time=1:00")
    assert said[FIRST].startswith("would be submitted, 2 epoch(s) left")
    assert not calls()
    assert f"'--dependency=afterok:<{FIRST}>:<{SECOND}>'" in "\n".join(said)
    assert "--time=1:00" in "\n".join(said)
    ours = f"repro-{submit.digest(TARGET)[:8]}"
    enqueue(
        (12, FIRST, stamp(FIRST), "PENDING"),
        (13, ours, "0", "PENDING"),
        (14, "repro-00000000", "0", "PENDING"),  # of another target
        (15, "paper-mnist-0", "0" * 12, "RUNNING"),
    )
    assert "when all are done" not in submitted(capsys, "--then-repro")
    last = calls()[-1][0]
    assert last[-4:] == ["-m", "dvc", "repro", TARGET]
    assert "--dependency=afterok:12:100" in last
    assert [numbers for numbers, _ in calls("scancel")] == [["13"]]
    enqueue((17, ours, "0", "RUNNING"))
    assert submitted(capsys, "--then-repro")[f"dvc repro {TARGET}"] == "already job 17 (RUNNING)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus=0"], "--gpus: only with --on local; on Slurm, ask with --sbatch=--gpus=1"),
        (["--on=local", "--mem=8G"], "--mem: only with --on slurm"),
        (["--on=local", "--per-gpu=2", "--jobs=2"], "--jobs: only without --gpus and --per-gpu"),
        (["--on=local", "--per-gpu=2"], "--per-gpu 2: torch finds no CUDA device here"),
        (["--on=local", "--per-gpu=-1"], "--per-gpu -1: must be 1 to 10,000"),
        (["--on=local", "--jobs=-1"], "--jobs -1: must be 1 to 10,000"),
        (["--cpus=10001"], "--cpus 10001: must be 1 to 10,000"),
        (["--on=local", "--gpus=0,0"], "--gpus 0,0: must be different numbers by commas"),
        (["--on=local", "--gpus=9999"], "that torch finds here"),
        (["--on=local", "--gpus=x"], "--gpus x: must be different numbers"),
        (["--sbatch='"], "--sbatch ': No closing quotation"),
        *(
            ([f"--sbatch={text}"], f"--sbatch {word}: is not passed on; there are --partition, ")
            for text, word in (
                *(("-p x -J mine", "-J"), ("--array=1-9", "--array=1-9"), ("-n4", "-n4")),
                *(("--dependency=afterok:1", "--dependency=afterok:1"), ("--wait", "--wait")),
                *(("--job-n=evil", "--job-n=evil"), ("--arr=0-2", "--arr=0-2"), ("-Q", "-Q")),
                *(("--chdi=/tmp", "--chdi=/tmp"), ("' : '", " : "), ("--", "--")),
            )
        ),
        (["--sbatch=-HJevil"], "--sbatch: argument -H/--hold: ignored explicit argument 'Jevil'"),
        (["--sbatch=--partition"], "--sbatch: argument -p/--partition: expected one argument"),
    ],
)
def test_an_option_that_can_t_be_meant_is_one_line(stub, refused, options, message):
    assert message in refused("submit", TARGET, *options)
    assert not calls()


def test_commands_of_slurm_without_a_cluster_are_as_none_and_without_an_answer_are_told(
    stub, capsys, refused
):
    squeue, script = Path("bin/squeue"), "#!/bin/sh\necho 'squeue: {}' >&2\nexit 1\n"
    squeue.write_text(script.format("fatal: Could not establish a configuration source"))
    assert main(["jobs", "--watch"]) == 0
    assert capsys.readouterr() == ("no jobs yet\n", "")
    assert "squeue: no cluster is set up here" in refused("submit", TARGET)
    squeue.write_text(script.format("error: timed out"))
    assert main(["jobs"]) == 0
    said = "paper_repro: squeue: error: timed out; this is from logs alone\n"
    assert capsys.readouterr() == ("no jobs yet\n", said)


@pytest.mark.parametrize("printed", ["12", "12;home", "Welcome to our site\n12\n"])
def test_a_job_s_number_is_the_one_line_that_is_one(stub, capsys, printed):
    Path("bin/sbatch").write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    assert submitted(capsys)[FIRST].startswith("job 12, ")


@pytest.mark.parametrize("printed", ["Job 12 to start at noon", "12\n13", ""])
def test_an_answer_without_a_job_s_number_is_told(stub, refused, printed):
    Path("bin/sbatch").write_text(f"#!/bin/sh\nprintf '{printed}'\n")
    assert "a job may have been submitted: see squeue" in refused("submit", TARGET)


def test_a_target_that_is_none_and_a_machine_without_slurm_are_one_line(lab, refused, monkeypatch):
    said = refused("submit", "repotr@paper", "--on=local")
    assert "dvc: Stage 'repotr@paper' not found" in said
    assert "the target is empty" in refused("submit", "", "--on=local")
    monkeypatch.setenv("PATH", "")
    assert "squeue: not found; run this where Slurm's" in refused("submit", TARGET)


def test_a_device_by_number_is_refused_and_a_run_without_data_left_out(stub, capsys, refused):
    stub.files["paper"]["experiments"]["tfd"]["device"] = "cuda:1"
    stub.write()
    said = refused("submit", TARGET)
    assert "params.yaml: experiments.tfd.device: cuda:1, but a job sees only" in said
    stub.files["paper"]["experiments"]["tfd"]["device"] = "cpu"
    stub.write()
    write_not_run(processed_folder("quick", "tfd"), "tfd", "a", "b")
    assert submitted(capsys)[FIRST] == "not run: its data are absent"
    assert not calls()


def test_jobs_tells_epochs_and_validation_of_what_is_queued_and_of_what_a_log_is_of(stub, capsys):
    train(FIRST)
    enqueue((12, FIRST, "1" * 12, "COMPLETED"), (13, SECOND, "2" * 12, "PENDING"))
    Path("jobs").mkdir()
    Path("jobs", f"{SECOND}.log").touch()
    Path("jobs", "quick-mnist-9.log").write_text("-- 2026-01-01T00:00:00 quick-mnist-9: exit 2\n")
    capsys.readouterr()
    assert main(["jobs"]) == 0
    head, gone, second, first = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[:2] == ["run", "state"]
    assert gone[:3] == ["quick-mnist-9", "exit", "2"]
    assert second[1:3] == ["13", "PENDING"]
    assert "0/2" in second
    assert first[1:4] == ["finished", "n1", "2/2"]
    assert "nats" in first
    assert main(["jobs", "--cancel"]) == 0
    assert calls("scancel")[0][0] == ["13"]


# What a job does.


@pytest.mark.parametrize(
    ("given", "threads"),
    [({}, "1"), ({"SLURM_CPUS_PER_TASK": "4"}, "4"), ({"SLURM_CPUS_PER_GPU": "6"}, "12")],
)
def test_a_job_has_a_thread_for_each_core_that_it_asked_for(tmp_path, given, threads):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS, ${SLURM_CPUS_PER_GPU-unset}, $3"\n')
    srun.chmod(0o755)
    job = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_CPUS_ON_NODE": "12"}
    command = ["bash", slurm.SCRIPT, tmp_path / "python", FIRST]  # whose folder comes first
    done = subprocess.run(command, env=job | given, capture_output=True, text=True)
    assert f"\n{threads}, unset, --cpus-per-task={threads}\n" in done.stdout


def test_a_job_refuses_another_recipe_data_or_code(lab, monkeypatch):
    made = stamp(FIRST)
    lab.files["paper"]["experiments"]["tfd_pretrain"]["epochs"] = 3
    lab.write()
    with pytest.raises(UserError, match="changed after it was submitted; nothing was trained"):
        jobbing.job(FIRST, made)
    made = stamp(FIRST)
    monkeypatch.setattr("paper_repro.cluster.progress._code", lambda *modules: "other")
    with pytest.raises(UserError, match="submit it again"):
        jobbing.job(FIRST, made)
    assert not Path("checkpoints").exists()


def test_a_job_that_is_restarted_in_vain_gives_up_and_one_that_moves_does_not(lab, monkeypatch):
    state = read_state(FIRST)
    monkeypatch.setattr(jobbing, "train", lambda key: None)
    monkeypatch.setenv("SLURM_JOB_ID", "12")

    def start(restart, update):
        monkeypatch.setattr(jobbing, "read_state", lambda *_: replace(state, update=update))
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(restart))
        jobbing.job(FIRST, state.stamp)

    for restart in range(10):  # each time a little further
        start(restart, update=restart)
    for restart in (10, 11):
        start(restart, update=9)
    with pytest.raises(UserError, match=r"restarted 3 times at update 9 without a new one"):
        start(12, update=9)
    start(0, update=9)  # submitted again


# On this machine.


def test_two_runs_at_once_give_the_bytes_of_one_after_the_other(lab, capsys):
    lab.list(tfd_pretrain=[0, 1])
    keys = ("quick-tfd_pretrain-0", "quick-tfd_pretrain-1")
    for key in keys:
        train(key)
    one_by_one = outputs(*keys)
    for folder in ("models", "checkpoints", "reports/quick/runs"):
        shutil.rmtree(folder)
    assert "2 run(s) at once, 1 thread(s) each" in submitted(
        capsys, "--on=local", "--jobs=2", "--cpus=1"
    )
    assert outputs(*keys) == one_by_one
    assert submitted(capsys, "--on=local", "--jobs=2", "--cpus=1")[keys[0]] == "finished"


def test_a_failed_run_is_named_with_its_log_and_costs_only_what_starts_from_it(lab, capsys):
    lab.list(tfd_pretrain=[0, 1], tfd=[0])
    Path("checkpoints").mkdir()
    Path("checkpoints", FIRST).write_text("a file where a folder should be")
    assert main(["submit", TARGET, "--on=local", "--jobs=2"]) == 2
    told = capsys.readouterr()
    said = f"failed: {FIRST} (see jobs/{FIRST}.log); not started because of that: {SECOND}"
    assert said in told.err
    assert "quick-tfd_pretrain-1: done" in told.out
    assert "paper_repro: " in log_of(FIRST)


@pytest.mark.slow
def test_an_interrupt_saves_all_runs_and_the_same_command_goes_on(lab, capsys):
    lab.list(tfd_pretrain=[0, 1])
    Path("slowly").touch()
    code = (
        "import sys; from paper_repro.__main__ import main\n"
        "from paper_repro.cluster import submit\n"
        "submit.fetch = lambda: None; submit.prepare = lambda profile, dataset: None\n"
        f"sys.exit(main(['submit', {TARGET!r}, '--on=local', '--jobs=2', '--cpus=1']))"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)
    keys = [f"quick-tfd_pretrain-{seed}" for seed in (0, 1)]
    wait_for(lambda: all("update" in log_of(key) for key in keys))
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "every run was told to save; the same command goes on from there" in said
    assert out.count(": saved") == 2
    assert all("exit 130" in log_of(key) for key in keys)
    assert 0 < read_state(FIRST).update < 2 * UPDATES
    Path("slowly").unlink()
    assert submitted(capsys, "--on=local", "--jobs=2", "--cpus=1")
    assert len(read_circumstances(read_run(FIRST)[1], "train", TRAINING)["starts"]) == 2


def test_an_interrupt_is_handed_on_to_the_repro_that_follows_and_awaited(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    child = (
        "import time; from pathlib import Path\n"
        "Path('ready').touch()\n"
        "try: time.sleep(60)\n"
        "except KeyboardInterrupt: time.sleep(0.5); Path('saved').touch()"
    )
    ours = threading.get_ident()

    def interrupt():
        wait_for(Path("ready").exists)
        signal.pthread_kill(ours, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="the same command goes on from there"):
        run_through([sys.executable, "-c", child], os.environ)
    assert Path("saved").exists()
    assert run_through([sys.executable, "-c", "raise SystemExit(3)"], os.environ) == 3


def test_a_slot_is_a_device_of_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(local.torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def slots(*options):
        found = [tuple(slot.values()) for slot in local.slots(*options)]
        return [device for device, _ in found], {threads for _, threads in found}

    assert slots("0,2", None, None) == (["0", "2"], {"4"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    assert slots("0,2", None, None) == (["4", "7"], {"4"})
    assert slots("0,2", None, None, 2) == (["4", "7", "4", "7"], {"2"})
    assert slots(None, None, 1) == (["4", "5", "7"], {"1"})
    assert slots(None, 3, None) == ([""] * 3, {"2"})
    assert slots(None, 16, None) == ([""] * 16, {"1"})


def test_no_child_goes_on_by_itself_once_our_output_is_closed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobbing.JOBS.mkdir()

    def closed(name, what):
        if what == "done":
            raise BrokenPipeError

    monkeypatch.setattr(local, "_tell", closed)
    wait, go_on = "until [ -s pid ]; do sleep 0.05; done", "echo $$ > pid; exec sleep 300"
    commands = {"one": ["sh", "-c", wait], "two": ["sh", "-c", go_on]}
    slot = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with pytest.raises(BrokenPipeError):
        local.run_in([slot, slot], commands, {})
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("pid").read_text()), 0)
