"""A campaign: random damage to every file that the package writes, against all who read it.

Each command that runs on damaged files either ends in one line and writes nothing new, or gives the
right result. A new file is covered the day it appears: files are found on the disk, not listed.
"""

import contextlib
import hashlib
import io
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from paper_repro.__main__ import main
from paper_repro.core.errors import UserError
from paper_repro.report import verify as verifying
from tests.small import rewrite

KEY = "quick-mnist-0"
RUN = Path("reports/quick/runs", KEY)
# What each command leaves, by its inputs alone.
TRAINED = [RUN / name for name in ("curve.csv", "validation.csv", "training.json")]
PAGE = ("results.json", "results.csv", "README.md", "index.html", "metadata.yaml")
COMMANDS = {
    ("train", KEY): [Path("models", f"{KEY}.safetensors"), *TRAINED],
    ("evaluate", KEY): [RUN / "metrics.json", RUN / "evaluation.json"],
    ("weights", KEY): [RUN / "generator.safetensors", RUN / "generator.json"],
    ("figure2", KEY): [RUN / "figure2.png", RUN / "figure2.json"],
    ("sample_sets", KEY): [RUN / "sample_sets.json"],
    ("report", "quick"): [Path("reports/quick", name) for name in PAGE],
    ("verify", KEY): [],
}
ROOTS = ("data/processed", "models", "checkpoints", "reports")


def run(*command):
    """Return the exit code and what was said on stderr, without progress bars."""
    said, shown = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(shown):
        code = main(command)
    lines = [line.rpartition("\r")[2] for line in said.getvalue().removesuffix("\n").split("\n")]
    return code, [line for line in lines if "update/s" not in line] if said.getvalue() else []


def run_all(workspace):
    workspace.files["quick"]["presentation"] = {"published": [KEY]}
    workspace.write()
    for command in COMMANDS:
        assert run(*command)[0] == 0


def fetch_nothing(sources):
    raise UserError("no network")


@pytest.fixture
def pristine(workspace, undrawn, tmp_path_factory, monkeypatch):
    """All stages' outputs, kept aside."""
    monkeypatch.setattr(verifying, "fetch_sources", fetch_nothing)  # whose data set is damaged
    workspace.once(run_all)
    kept = tmp_path_factory.mktemp("pristine")
    for root in ROOTS:
        shutil.copytree(root, kept / root)
    return kept


def restore(kept):
    for root in ROOTS:
        shutil.rmtree(root)
        shutil.copytree(kept / root, root)


KINDS = ("flip", "flip", "flip", "cut", "lengthen", "remove", "folder", "replace", "swap")
TEXTS = ("null", "{}", "[]", "[" * 100_000, "NaN", '"\\ud800"', "\ufeff{}", "")


def damage(path, kind, place, bit):
    """Damage a file; `swap` puts another of the same kind in its place."""
    content = path.read_bytes()
    at = int(place * max(len(content) - 1, 0))
    others = [p for root in ROOTS for p in sorted(Path(root).rglob(f"*{path.suffix}"))]
    others = [other for other in others if other.is_file()]
    damaged = {
        "flip": content[:at]
        + bytes(b ^ 1 << bit for b in content[at : at + 1])
        + content[at + 1 :],
        "cut": content[:at],
        "lengthen": content + bytes([bit]) * (1 + int(place * 100)),
        "replace": TEXTS[bit].encode(),
        "swap": others[int(place * (len(others) - 1))].read_bytes(),
    }
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "remove":
        path.write_bytes(damaged[kind])


@pytest.mark.slow
def test_damage_is_one_line_or_makes_no_difference(pristine):
    files = sorted(path for root in ROOTS for path in Path(root).rglob("*") if path.is_file())
    files = [path for path in files if path.name != "notes.md"]  # a person's, whatever it says
    assert len(files) > 25

    # To shrink takes minutes, and the example says enough.
    once = {"phases": [Phase.generate], "database": None, "deadline": None}

    @settings(max_examples=120, suppress_health_check=list(HealthCheck), **once)
    @given(
        st.sampled_from(files),
        st.sampled_from(KINDS),
        st.floats(0, 1),
        st.integers(0, 7),
        st.sampled_from(list(COMMANDS)),
    )
    def harmless(path, kind, place, bit, command):
        restore(pristine)
        damage(path, kind, place, bit)
        before = {p: p.read_bytes() for p in files if p.is_file()}
        code, said = run(*command)
        assert code in (0, 2), said
        if code:
            assert len(said) == 1, said
            assert said[0].startswith("paper_repro: "), said
            outputs = COMMANDS[command] if command[0] != "report" else []  # one after another
            for output in outputs:
                assert not output.is_file() or output.read_bytes() in (
                    before.get(output),
                    (pristine / output).read_bytes(),
                )
        else:
            for output in COMMANDS[command]:
                assert output.read_bytes() == (pristine / output).read_bytes(), output

    harmless()


def change(name, how):
    return lambda: rewrite(RUN / name, how)


def update(name, **values):
    return change(name, lambda record: record.update(values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (update("metrics.json", epochs=3), "metrics.json: states other numbers than evaluation"),
        (update("training.json", epochs="2"), "training.json: ok.epochs: Input should be"),
        (update("training.json", status="good"), "training.json: content: Input tag"),
        (update("training.json", seed=1), "training.json: the record of another run"),
        (update("evaluation.json", selected={}), "evaluation.json: ok.selected.Measured"),
        (update("evaluation.json", more=1), "evaluation.json: ok.more: Extra inputs"),
        (update("evaluation.json", last={}), "yaml:evaluate@quick-mnist-0`"),
        (
            change("generator.json", lambda record: record.pop("files")),
            "generator.json: ok.files: Field required; restore it with git",
        ),
        ((RUN / "sample_sets.json").unlink, "sample_sets.json: no such file; run `dvc"),
        ((RUN / "generator.safetensors").unlink, "safetensors: no such file; restore it"),
        (
            lambda: (RUN / "figure2.png").write_bytes(b"x"),
            "figure2.png: not the file that reports/quick/runs/quick-mnist-0/figure2.json is of",
        ),
    ],
)
def test_a_record_that_contradicts_another_or_its_type_is_one_line(pristine, spoil, message):
    spoil()
    code, (said,) = run("report", "quick")
    assert code == 2
    assert message in said


def test_a_foreign_model_is_refused_by_all_who_read_it(pristine, workspace):
    workspace.list(mnist=[0, 1])
    assert run("train", "quick-mnist-1")[0] == 0
    shutil.copy("models/quick-mnist-1.safetensors", f"models/{KEY}.safetensors")
    for stage in ("evaluate", "figure2", "weights"):
        code, (said,) = run(stage, KEY)
        assert code == 2
        assert f"models/{KEY}.safetensors: damaged, or not the model that" in said


def test_published_weights_are_told_by_their_hash(pristine):
    results = json.loads(Path("reports/quick/results.json").read_text())
    sha256 = hashlib.sha256((RUN / "generator.safetensors").read_bytes()).hexdigest()
    assert results["rows"][0]["seeds"][0]["weights_sha256"] == sha256


def test_another_run_s_published_files_are_refused_by_all_who_read_them(pristine, workspace):
    other = "quick-mnist-1"
    workspace.list(mnist=[0, 1])
    workspace.files["quick"]["presentation"] = {"published": [KEY, other], "protocol": {}}
    workspace.write()
    for stage in ("train", "evaluate", "weights", "figure2", "sample_sets"):
        assert run(stage, other) == (0, []), stage
    for name in ("generator.safetensors", "generator.json", "sample_sets.json"):
        shutil.copy(RUN.with_name(other) / name, RUN / name)
    for command in (("report", "quick"), ("explore", "quick"), ("verify", KEY)):
        code, (said,) = run(*command)
        assert code == 2
        assert f"{RUN}/generator.safetensors: the weights of another run (seed 1 of" in said


@pytest.mark.parametrize(
    ("name", "change", "published"),
    [
        ("sample_sets", lambda found: found["sets"].reverse(), [KEY]),
        ("evaluation", lambda found: found["selected"].update(sigma=0.5), []),
    ],
)
def test_a_run_s_records_are_those_that_the_lock_has(pristine, workspace, name, change, published):
    workspace.files["quick"]["presentation"] = {"published": published}
    workspace.write()
    lock = Path("profiles/quick/dvc.lock")
    path = RUN / f"{name}.json"
    out = {"path": path.as_posix(), "md5": hashlib.md5(path.read_bytes()).hexdigest()}
    lock.write_text(json.dumps({"stages": {f"{name}@{KEY}": {"outs": [out]}}}))
    assert run("report", "quick")[0] == 0
    rewrite(path, change)
    code, (said,) = run("report", "quick")
    assert code == 2
    assert f"{path}: not the one that {lock} records; restore it" in said
