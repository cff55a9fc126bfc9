"""dvc.yaml against the code: what a stage runs lies in the folders that it lists."""

import ast

import pytest
from ruamel.yaml import YAML

from paper_repro import __main__ as command_line
from paper_repro.core import families, provenance
from paper_repro.core.runs import runs
from paper_repro.data.catalogue import SOURCES
from paper_repro.pipeline.run_list import run_list_path
from tests.small import PROFILES, ROOT, read_from_root, skip_if_edited

FAMILIES = [families.Family(name) for name in families.families()]
GAN = families.Family("gan")
YAML_READER = YAML(typ="safe")
PIPELINE = YAML_READER.load(ROOT / "dvc.yaml")["stages"]
FETCH = YAML_READER.load(ROOT / "data/dvc.yaml")["stages"]
PACKAGE = ROOT / "paper_repro"
FOLDERS = sorted(
    path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/**/__init__.py")
)


def folder_of(profile):
    return (ROOT / run_list_path(profile)).parent


def body(stage):
    return (PIPELINE | FETCH)[stage].get("do", (PIPELINE | FETCH)[stage])


# Any stage may be of a run of any family; what stands for one in the pipeline is its own code.
OF_FAMILY = ("training", "start", "model")


def modules(stage, family):
    """What the stage's command runs: by the command line's own table, and of the run's family."""
    words, deps = body(stage)["cmd"].split()[3:], str(body(stage)["deps"])
    found = [command_line._parser().parse_args(words).module]
    found += [families.module(family.training)] if "item.training" in deps else []
    return found + ([families.module(family.model)] if "item.model" in deps else [])


def listed(stage, family=GAN):
    """The modules in the folders, and the single files, that a stage depends on."""
    found = set()
    for dep in body(stage)["deps"]:
        for name in OF_FAMILY:
            place = family.more if name == "start" else getattr(family, name, "")
            dep = dep.replace(f"${{item.{name}}}", place)
        path = ROOT / dep
        if dep.startswith("paper_repro"):
            assert path.exists(), dep
            found |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return {path for path in found if path.name != "__init__.py"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("stage", [*PIPELINE, *FETCH])
def test_what_a_stage_runs_lies_in_what_it_lists(stage, family):
    run, lists = set(provenance.import_closure(*modules(stage, family))), listed(stage, family)
    assert not {path.relative_to(ROOT).as_posix() for path in run - lists}
    if stage in ("train", "evaluate"):  # what costs hours depends on nothing else
        assert lists == run


def test_what_draws_lines_depends_on_the_style():
    for stage in ("figure1", "report", "study"):
        style = {"paper_repro/figures", "paper_repro/figures/paper.mplstyle"}
        assert style & set(body(stage)["deps"]), stage


# From what everything stands on to what stands on everything; first, modules beside the folders.
ORDER = (
    *(".", "core", "pipeline", "data", "parzen", "training", "gan/model", "gan"),
    *("baselines/model", "baselines", "evaluation"),
    *("theory", "diagnostics", "figures", "report", "forecast", "cluster", "benchmarks"),
)


def test_no_folder_imports_one_above_it():
    assert sorted(ORDER[1:]) == FOLDERS
    for place, folder in enumerate(ORDER[1:], 1):
        for path in (PACKAGE / folder).glob("*.py"):
            imported = {found.parent for found in provenance._imports(path)}
            folders = {folder.relative_to(PACKAGE).as_posix() for folder in imported}
            assert not [name for name in folders if ORDER.index(name) > place], path


def test_imports_are_absolute_and_folders_packages_hold_only_a_docstring():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level], path
        if path.name == "__init__.py" and path.parent != PACKAGE:  # for that see test_api.py
            assert [type(n) for n in tree.body] == [ast.Expr], path


def test_the_code_s_hash_sees_behaviour_and_not_comments(tmp_path, monkeypatch):
    package = tmp_path / "pack"
    package.mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", package)
    plain = "from pack import b\n\ndef f():\n    return b.X\n"
    told = '"""Doc."""\nfrom pack import b  # why\ndef f():\n    """Doc."""\n    return b.X'
    found = []
    for a, b in ((plain, "X = 1\n"), (told, "X = 1\n"), (told, "X = 2\n")):
        (package / "a.py").write_text(a)
        (package / "b.py").write_text(b)
        found.append(provenance.code_digest("pack.a"))
    assert found[0] == found[1] != found[2]


def test_only_training_tracks_a_recipe_and_only_what_measures_the_measure():
    tracking = {"recipe": set(), "measure": set()}
    for stage in PIPELINE:
        text = str(body(stage).get("params", []))
        tracking["recipe"] |= {stage} if "experiments" in text else set()
        tracking["measure"] |= {stage} if "measure" in text else set()
    measuring = {"walk", "evaluate", "parzen_audit", "sample_sets", "mixing"}
    assert tracking == {"recipe": {"train"}, "measure": measuring}
    for stage in ("evaluate", "figure2", "figure3", "sample_checks", "parzen_audit"):
        assert "${item.record}" in body(stage)["deps"]
    assert "reports/${profile}/runs/${key}/training.json" in body("walk")["deps"]


@pytest.mark.parametrize("profile", [p for p in PROFILES if p != "paper"])
def test_a_profile_has_a_copy_of_the_one_pipeline_beside_a_list_of_runs(profile):
    folder = folder_of(profile)
    found = {path.name for path in folder.iterdir()}
    assert found - {"dvc.lock"} == {"dvc.yaml", "params.yaml", "runs.yaml"}
    assert not (folder / "dvc.yaml").is_symlink()
    assert (folder / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_fetch_leaves_every_data_set_and_what_can_stand_in():
    fetched = {place for stage in FETCH.values() for out in stage["outs"] for place in out}
    raw = {f"data/raw/{name}" for name in SOURCES}
    assert fetched == raw | {f"data/stand-in/{name}" for name in SOURCES if SOURCES[name].stand_in}


@pytest.mark.parametrize(
    "profile", [p for p in PROFILES if p != "quick"]
)  # a reader makes its lock
def test_the_lock_holds_every_listed_run(profile):
    skip_if_edited(profile)
    lock = YAML_READER.load(folder_of(profile) / "dvc.lock")["stages"]
    for key in runs(read_from_root(profile)):
        for stage in ("train", "evaluate"):
            assert f"{stage}@{key}" in lock
    known = YAML_READER.load(folder_of(profile) / "runs.yaml")
    drawn = {name for name in lock if name.startswith("figure2@")}
    assert drawn == {f"figure2@{key}" for key in known["independent"]}
    for stage in ("figure3", "sample_checks", "parzen_audit"):
        assert {f"{stage}@{key}" for key in known["diagnosed"]} <= set(lock)
