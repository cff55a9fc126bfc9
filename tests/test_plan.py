import contextlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from paper_repro.core import provenance
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.files import write_json
from paper_repro.core.params import read_params
from paper_repro.core.runs import runs
from paper_repro.forecast import duration as estimate
from paper_repro.forecast import plan as planning
from paper_repro.forecast import stages
from paper_repro.report.benchmarks import FOLDER
from paper_repro.training.interrupt import Stop
from paper_repro.training.loop import Loop
from paper_repro.training.train import train

ALL = {"prepare@quick-mnist", "train@quick-mnist-0", "evaluate@quick-mnist-0", "report@quick"}


@pytest.fixture
def planned(workspace, monkeypatch, capsys):
    """The line printed for a set of changed stages."""

    def line(changed, *, there=True):
        Path("data/raw/mnist").mkdir(parents=True, exist_ok=True)
        status = {"dataset": "mnist", "status": "not run", "reason": "absent", "todo": "wait"}
        if there:
            status = {"dataset": "mnist", "status": "ok", "canonical": True, "stand_in": None}
            status["sha256"] = {}
        Path("data/raw/mnist/status.json").write_text(json.dumps(status))
        monkeypatch.setattr(
            planning, "changed_stages", lambda target: dict.fromkeys(changed, False)
        )
        planning.plan("quick")
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1
        return printed

    return line


def test_training_is_announced_with_its_length_and_time(planned):
    line = planned(ALL)
    assert "train quick-mnist-0 (14 updates to epoch 2)" in line
    assert re.search(r"about [\d.]+ (s|min|h) on this CPU, .* threads\)", line)


def test_a_checkpoint_shortens_the_announcement(planned, monkeypatch):
    leave = Loop._leave_if
    monkeypatch.setattr(Loop, "_due", lambda self: self.progress.update == 5)
    monkeypatch.setattr(Loop, "_leave_if", lambda self, stop: leave(self, Stop(requested=True)))
    with pytest.raises(Interrupted):
        train("quick-mnist-0")
    assert "train quick-mnist-0 (9 updates to epoch 2)" in planned(ALL)


def test_nothing_to_do_is_said(planned):
    assert "nothing to do but look at the data" in planned(set())
    assert "no training, 1 short stage(s)" in planned({"report@quick"})


def test_absent_data_is_no_promise_that_nothing_follows(planned, workspace):
    assert "nothing to do but" in planned(set(), there=False)  # quick has a stand-in
    workspace.files["quick"]["data"]["mnist"]["fallback"] = None
    workspace.write()
    for changed in (set(), ALL - {"prepare@quick-mnist"}):
        line = planned(changed, there=False)
        assert "train quick-mnist-0" not in line
    line = planned(set(), there=False)
    assert "look for mnist, absent so far; train if there now" in line
    assert "nothing to do but" not in line


def test_data_that_nothing_has_looked_for_are_announced_as_such(planned, workspace, monkeypatch):
    workspace.files["quick"]["data"]["mnist"]["fallback"] = None
    workspace.write()
    monkeypatch.setattr(planning, "RAW", Path("elsewhere"))
    assert "if the data can be had" in planned(ALL)


def test_an_experiment_is_timed_once_and_not_where_the_benchmarks_know_it(workspace, monkeypatch):
    workspace.list("paper", mnist=[0, 1])
    workspace.prepare(profile="paper")
    timed = []
    monkeypatch.setattr(estimate, "seconds_per_update", lambda *_: timed.append("mnist") or 60.0)
    params = read_params()
    listed = list(runs(params).values())
    on_this = planning._training(params, listed, set())[0]
    assert timed == ["mnist"]
    assert "about 29.0 min on" in on_this  # 28 updates, and a minute for what follows
    here = provenance.hardware(torch.device("cpu"))
    row = {"experiment": "mnist", "seconds_an_update": {"median": 120.0}}
    write_json(FOLDER / "experiments.json", {"rows": [row]})
    write_json(FOLDER / "summary.json", {"provenance": here})
    assert "about 57.0 min on" in planning._training(params, listed, set())[0]
    assert timed == ["mnist"]
    assert planning._training(params, listed, {"mnist"})[0] == on_this  # a recipe of one's own
    write_json(FOLDER / "summary.json", {"provenance": here | {"device": "another"}})
    assert planning._training(params, listed, set())[0] == on_this


def test_what_dvc_runs_for_other_parameters_is_told_from_what_is_absent(monkeypatch):
    found = {
        "train@quick-mnist-0": [{"changed deps": {"params.yaml": {"experiments.mnist": "new"}}}],
        "train@quick-dbn-0": [{"changed outs": {"models/quick-dbn-0.safetensors": "deleted"}}],
        "profiles/quick/dvc.yaml:report@quick": ["changed command"],
        "data/dvc.yaml:fetch": ["always changed"],
    }
    repository = contextlib.nullcontext(SimpleNamespace(status=lambda **options: found))
    monkeypatch.setattr(stages, "_repository", lambda: repository)
    assert stages.changed_stages("report@quick") == {
        "train@quick-mnist-0": True,
        "train@quick-dbn-0": False,
        "report@quick": False,
    }


def test_changed_results_whose_models_are_absent_are_told_before_they_are_made_anew(monkeypatch):
    """A model that is absent alone is as it should be, and so is a change that can be measured."""

    def told(**changes):
        found = {"evaluate@paper-mnist-4": [{f"changed {of}": how} for of, how in changes.items()]}
        status = SimpleNamespace(status=lambda **options: found)
        monkeypatch.setattr(stages, "_repository", lambda: contextlib.nullcontext(status))
        stages.released()

    model, changed = {"m": "deleted"}, {"a.json": "modified"}
    told(deps=model)
    told(outs=model)
    told(deps={"m": "modified"}, outs=changed)
    for changes in ({"deps": model, "outs": changed}, {"outs": changed | {"m": "not in cache"}}):
        with pytest.raises(UserError, match=r"^a\.json: .* with `git checkout a\.json`$"):
            told(**changes)


def test_an_unknown_profile_is_one_line(workspace):
    with pytest.raises(UserError, match="no profile 'quik'"):
        planning.plan("quik")


def test_a_size_that_a_stand_in_may_lack_is_an_upper_bound(planned, monkeypatch):
    monkeypatch.setattr(estimate, "seconds_per_update", lambda *_: 1.0)
    assert "(14 updates" in planned(ALL)
    for path in Path("data/processed/quick/mnist").iterdir():
        path.unlink()
    assert "(up to 2,000 updates" in planned(ALL)
