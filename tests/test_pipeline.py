"""dvc.yaml against the code: what a stage runs is what it lists."""

import ast

import pytest
from ruamel.yaml import YAML

from paper_repro import __main__ as command_line
from paper_repro import config, provenance
from paper_repro.data.catalogue import SOURCES
from paper_repro.report import ablations
from tests.conftest import ROOT

PIPELINE = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
LOCK = YAML(typ="safe", pure=True).load(ROOT / "dvc.lock")["stages"]


def body(stage):
    return PIPELINE[stage].get("do", PIPELINE[stage])


def module(stage):
    """The module that the stage's command runs, from the command line's own table."""
    words = body(stage)["cmd"].split()[3:]
    options = vars(command_line._parser().parse_args(words))
    return options["module"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_lists_the_modules_that_it_imports(stage):
    listed = {dep for dep in body(stage)["deps"] if dep.endswith(".py")}
    closure = provenance.import_closure(module(stage))
    assert listed == {path.relative_to(ROOT).as_posix() for path in closure}


def test_the_report_s_stages_list_its_data_files_and_templates():
    folder = ROOT / "paper_repro" / "report"
    files = {path.relative_to(ROOT).as_posix() for path in folder.glob("*.yaml")}
    files |= {path.relative_to(ROOT).as_posix() for path in (folder / "templates").iterdir()}
    listed = {dep for stage in ("report", "ablations") for dep in body(stage)["deps"]}
    # `make bench` is no stage.
    assert files - listed == {"paper_repro/report/templates/benchmarks.html.j2"}


def test_the_closure_follows_every_form_of_import():
    closure = {
        p.relative_to(ROOT).as_posix()
        for p in provenance.import_closure("paper_repro.training.train")
    }
    # from paper_repro import config; from paper_repro.x import y; by way of another module
    assert {
        "paper_repro/config.py",
        "paper_repro/training/loop.py",
        "paper_repro/models/maxout.py",
        "paper_repro/evaluation/parzen.py",
    } <= closure
    assert not any("report" in path or "figures" in path for path in closure)


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "paper_repro").rglob("*.py")),
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_imports_are_absolute_and_packages_hold_only_a_docstring(path):
    tree = ast.parse(path.read_text())
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    if path.name == "__init__.py":
        assert len(tree.body) == 1
        assert isinstance(tree.body[0], ast.Expr)


def test_the_code_s_hash_sees_behaviour_and_not_comments(tmp_path, monkeypatch):
    package = tmp_path / "pack"
    package.mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    (package / "b.py").write_text("X = 1\n")
    source = package / "a.py"
    source.write_text("from pack import b\n\ndef f():\n    return b.X\n")
    first = provenance.code_digest("pack.a")
    source.write_text(
        '"""Doc."""\nfrom pack import b  # why\ndef f():\n    """Doc."""\n    return b.X'
    )
    assert provenance.code_digest("pack.a") == first
    (package / "b.py").write_text("X = 2\n")
    assert provenance.code_digest("pack.a") != first


def test_stages_depend_on_the_groups_of_parameters_that_they_read():
    for stage in ("train", "evaluate", "figure2"):
        assert body(stage)["params"] == [
            "experiments.${item.experiment}",
            "profiles.${item.profile}.experiments.${item.experiment}",
            "runs.${key}",
        ]


def test_profiles_are_those_of_the_parameters(params):
    for stage in ("report", "theory", "figure1"):
        assert set(PIPELINE[stage]["foreach"]) == set(params["profiles"]) - {ablations.PROFILE}
    prepared = {
        f"{profile}-{dataset}": {
            "profile": profile,
            "dataset": dataset,
            "raw": f"data/{'stand-in' if size.get('stand_in') else 'raw'}/{dataset}",
        }
        for profile, values in params["profiles"].items()
        for dataset, size in values["data"].items()
    }
    assert PIPELINE["prepare"]["foreach"] == prepared
    fetched = {place for out in PIPELINE["fetch"]["outs"] for place in out}
    assert fetched == {f"data/{kind}/{name}" for kind in ("raw", "stand-in") for name in SOURCES}


def test_runs_that_are_examined_or_published_are_listed(params):
    for key, entry in params["examined"].items():
        assert entry == {name: params["runs"][key][name] for name in entry}
    assert {entry["profile"] for entry in params["examined"].values()} == {"paper", "quick"}
    for key, entry in PIPELINE["weights"]["foreach"].items():
        assert entry["profile"] == params["runs"][key]["profile"]
    for stage in ("figure3", "samples", "audit"):
        assert PIPELINE[stage]["foreach"] == "${examined}"
        assert {f"{stage}@{key}" for key in params["examined"]} <= set(LOCK)


def test_the_lock_holds_every_listed_run(params):
    for key in config.runs(params):
        for stage in ("train", "evaluate", "figure2"):
            assert f"{stage}@{key}" in LOCK
