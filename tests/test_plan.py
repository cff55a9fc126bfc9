import contextlib
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.files import write_json
from paper_repro.core.params import read_params
from paper_repro.core.runs import runs
from paper_repro.forecast import duration as estimate
from paper_repro.forecast import plan as planning
from paper_repro.forecast import stages
from paper_repro.report import release as releasing
from paper_repro.training.interrupt import Stop
from paper_repro.training.loop import Loop
from paper_repro.training.train import train

ALL = {"prepare@quick-mnist", "train@quick-mnist-0", "evaluate@quick-mnist-0", "report@quick"}


@pytest.fixture
def planned(workspace, monkeypatch, capsys):
    """The line printed for a set of changed stages."""

    def line(changed, *, there=True):
        status = {"status": "not run", "reason": "absent", "todo": "wait"}
        if there:
            status = {"status": "ok", "canonical": True, "stand_in": None, "sha256": {}}
        write_json(Path("data/raw/mnist/status.json"), {"dataset": "mnist"} | status)
        found = dict.fromkeys(changed, False)
        monkeypatch.setattr(planning, "changed_stages", lambda target: found)
        planning.plan("quick")
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1
        return printed

    return line


def test_training_is_announced_with_its_time_and_its_length_by_data_and_checkpoint(
    planned, monkeypatch
):
    line = planned(ALL)
    assert "train quick-mnist-0 (14 updates to epoch 2)" in line
    assert re.search(r"about [\d.]+ (s|min|h) on this CPU, .* threads\)", line)
    leave = Loop._leave_if
    monkeypatch.setattr(Loop, "_due", lambda self: self.progress.update == 5)
    monkeypatch.setattr(Loop, "_leave_if", lambda self, stop: leave(self, Stop(requested=True)))
    with pytest.raises(Interrupted):
        train("quick-mnist-0")
    assert "train quick-mnist-0 (9 updates to epoch 2)" in planned(ALL)
    monkeypatch.setattr(estimate, "seconds_per_update", lambda *_: 1.0)
    shutil.rmtree("data/processed/quick/mnist")
    assert "(up to 2,000 updates" in planned(ALL)  # as long as a stand-in may come


def test_nothing_to_do_is_said(planned):
    assert "nothing to do but look at the data" in planned(set())
    assert "no training, 1 short stage(s)" in planned({"report@quick"})


def test_absent_data_is_no_promise_that_nothing_follows(planned, workspace, monkeypatch):
    assert "nothing to do but" in planned(set(), there=False)  # quick has a stand-in
    workspace.files["quick"]["data"]["mnist"]["fallback"] = None
    workspace.write()
    assert "train quick-mnist-0" not in planned(ALL - {"prepare@quick-mnist"}, there=False)
    assert "look for mnist, absent so far; train if there now" in planned(set(), there=False)
    monkeypatch.setattr(planning, "RAW", Path("elsewhere"))  # where nothing has looked
    assert "if the data can be had" in planned(ALL)


def test_an_experiment_is_timed_once_and_not_where_the_release_of_its_recipe_knows_it(
    workspace, monkeypatch
):
    workspace.list(mnist=[0, 1])
    timed = []
    monkeypatch.setattr(estimate, "seconds_per_update", lambda *_: timed.append("mnist") or 60.0)
    params = read_params("quick")
    listed = list(runs(params).values())
    told, _ = planning._training(params, listed, set())
    assert timed == ["mnist"]
    assert "about 29.0 min on" in told  # 28 updates, and a minute for what follows
    release = SimpleNamespace(runs=[SimpleNamespace(experiment="mnist", seconds=1400.0)])
    monkeypatch.setattr(releasing, "read_release", lambda profile: release)
    assert "about 47.7 min on" in planning._training(params, listed, set())[0]
    assert timed == ["mnist"]
    assert planning._training(params, listed, {"mnist"})[0] == told  # a recipe of one's own


@pytest.fixture
def dvc_status(monkeypatch):
    """Call with what DVC's status is to be."""

    def tell(found):
        repository = contextlib.nullcontext(SimpleNamespace(status=lambda **options: found))
        monkeypatch.setattr(stages, "_repository", lambda: repository)

    return tell


def test_what_dvc_runs_for_other_parameters_is_told_from_what_is_absent(dvc_status):
    changes = {
        "train@quick-mnist-0": [{"changed deps": {"params.yaml": {"experiments.mnist": "new"}}}],
        "train@quick-dbn-0": [{"changed outs": {"models/quick-dbn-0.safetensors": "deleted"}}],
        "profiles/quick/dvc.yaml:report@quick": ["changed command"],
        "data/dvc.yaml:fetch": ["always changed"],
    }
    dvc_status(changes)
    assert stages.changed_stages("report@quick") == {
        "train@quick-mnist-0": True,
        "train@quick-dbn-0": False,
        "report@quick": False,
    }


def test_changed_results_whose_models_are_absent_are_told_before_they_are_made_anew(dvc_status):
    """A model that is absent alone is as it should be, and so is a change that can be measured."""

    def told(**changes):
        found = [{f"changed {of}": how} for of, how in changes.items()]
        dvc_status({"evaluate@paper-mnist-4": found})
        stages.released()

    model, changed = {"m": "deleted"}, {"a.json": "modified"}
    told(deps=model)
    told(outs=model)
    told(deps={"m": "modified"}, outs=changed)
    for changes in ({"deps": model, "outs": changed}, {"outs": changed | {"m": "not in cache"}}):
        with pytest.raises(UserError, match=r"^a\.json: .* with `git checkout a\.json`$"):
            told(**changes)
