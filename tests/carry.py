"""Carry finished runs over to code that gives the same bytes; no lock is edited otherwise.

The models of finished runs exist on few machines, often on none. When code changes that they depend
on, but not what it computes, their stages need not run again. This shows that on the machine at
hand, by the golden computations of `tests/golden.py` at both commits; then it records the new code
in the locks.

    make carry BASE=<commit>             from the code of a commit to that of HEAD
    make carry FROM=<clone> RUN=<run>    a run that was trained in a clone, at the clone's commit

Nothing is recorded if a hash differs; but EXCEPT=<experiment> lets it differ for that one, whose
stages are then left for `dvc repro`. That needs a dated note in ``reports/paper/notes.md``. Of data
and outputs the locks go on saying what they said. A stage with other parameters is left, too, and
named; but for a training whose recipe is as it was.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.serialize import dump_yaml, load_yaml

from paper_repro.core.circumstances import TRAINING, circumstances_path, read_circumstances
from paper_repro.core.dataset import read_dataset
from paper_repro.core.params import Params, profiles
from paper_repro.core.recipe import recipe_of, recorded
from paper_repro.core.records import NotRun, Trained, read_training, require_model
from paper_repro.core.runs import model_path, read_run, stage_address
from paper_repro.pipeline.run_list import run_list_path
from tests import golden

CODE = "paper_repro/"
GOLDEN = Path(golden.__file__).with_suffix(".json")
MNIST = Path("data/processed/paper/mnist")  # at whose images released chains begin


def git(*arguments: str, folder: Path | str = ".") -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def hashes(commit: str) -> tuple[str, dict[str, str]]:
    """Return the golden hashes of a commit of this repository, and the kind of machine here."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        git("worktree", "add", "--detach", str(tree), commit)
        try:
            if MNIST.exists():
                shutil.copytree(MNIST, tree / MNIST)
            program = [sys.executable, str(Path(golden.__file__).resolve())]
            environment = os.environ | {"PYTHONPATH": str(tree)}
            print(f"carry: golden computations of {commit}: minutes", file=sys.stderr)
            done = subprocess.run(
                program, cwd=tree, env=environment, check=True, stdout=subprocess.PIPE
            )
        finally:
            git("worktree", "remove", "--force", str(tree))
    kind, found = json.loads(done.stdout)
    return kind, found


def differences(base: dict[str, str], head: dict[str, str], excepted: str | None) -> list[str]:
    """Return what two commits compute differently, of what both compute, but for an experiment."""
    runs = [f"{profile}-{excepted}-0" for profile in (golden.PROFILE, "quick")]
    return [
        name
        for name in sorted(base.keys() & head.keys())
        if base[name] != head[name] and not any(run in name for run in runs)
    ]


def same_recipe(params: Params, experiment: str, record: Trained | NotRun, path: Path) -> bool:
    """Return whether today's recipe of a run is the one that its record says made it."""
    if record["status"] != "ok":
        return False
    now, made = recipe_of(params, experiment), recorded(record["experiment_parameters"], path)
    # Wherever it runs; when it was validated is a result, too, though no part of the course.
    kept = {"device"}
    return now.model_dump(exclude=kept) == made.model_dump(exclude=kept)


def record(profile: str, excepted: str | None) -> list[str]:
    """Record the present code in a profile's lock; return the stages that were left."""
    pipeline = run_list_path(profile).with_name("dvc.yaml")
    lock = pipeline.with_suffix(".lock")
    if not lock.exists():
        return []
    before = load_yaml(lock)["stages"]
    carried, left = [], []
    with Repo(".") as repo:
        stages = repo.stage.load_all(str(pipeline))
        for stage in stages:
            kind, _, key = stage.name.partition("@")
            if kind not in golden.STAGES or stage.name not in before:
                continue
            for dep in stage.deps:  # the others stay as the lock has them
                if isinstance(dep, ParamsDependency) or dep.def_path.startswith(CODE):
                    dep.save()
            now, was = to_single_stage_lockfile(stage), before[stage.name]
            params, run = read_run(key)
            same = now.get("params") == was.get("params")
            if kind == "train" and not same:
                place = run.folder / "training.json"
                same = same_recipe(params, run.experiment, read_training(run), place)
            same = same and run.experiment != excepted
            (carried if same else left).append(stage)
        if carried:
            carried[0].dvcfile.dump_stages(carried, update_pipeline=False)
    after = load_yaml(lock)
    for name in after["stages"].keys() - {stage.name for stage in stages}:
        del after["stages"][name]  # which the pipeline no longer has, and DVC keeps
    dump_yaml(lock, after)
    return [stage.name for stage in left]


def trained_at(clone: Path, key: str) -> str:
    """Return the commit that trained a clone's finished run, once it is seen to be the one here.

    Another commit, recipe or data, or another model than the record's, ends the program.
    """
    params, run = read_run(key)
    with contextlib.chdir(clone):
        record, trained = read_training(run), read_circumstances(run, "train", TRAINING)
        require_model(run)
    if record["status"] != "ok" or trained is None:
        sys.exit(f"carry: {clone}: {key} is not trained there")
    starts = trained["starts"]  # of several commits if its epochs were raised
    if len({s["code_sha256"] for s in starts}) > 1 or any(s["uncommitted_changes"] for s in starts):
        sys.exit(f"carry: {clone}: {key} was not trained by one committed code")
    place = clone / run.folder / "training.json"
    alike = same_recipe(params, run.experiment, record, place)
    if not alike or record["data"] != read_dataset(run.profile, run.dataset).record():
        sys.exit(f"carry: {clone}: {key} is of another recipe or other data than are here")
    return str(starts[-1]["commit"])


def bring(clone: Path, key: str) -> None:
    """Copy a finished run's model and records from a clone, and record its training."""
    _, run = read_run(key)
    for path in (model_path(key), run.folder, circumstances_path(run, "train")):
        if (clone / path).is_dir():
            shutil.copytree(clone / path, path, dirs_exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(clone / path, path)
    with Repo(".") as repo:
        repo.commit(stage_address(run.profile, f"train@{key}"), force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--base", help="the commit whose code made the runs")
    what.add_argument("--clone", type=Path, help="a clone in which a run was trained")
    parser.add_argument("--run", help="that run")
    parser.add_argument("--except", dest="excepted", help="an experiment that may differ")
    options = parser.parse_args()
    if bool(options.clone) is not bool(options.run):
        parser.error("--clone and --run belong together")
    if git("status", "--porcelain", "--", CODE, "params.yaml", "profiles", "dvc.yaml"):
        sys.exit("carry: code or parameters are not committed")
    base = options.base
    if options.clone:
        base = trained_at(options.clone, options.run)
        git("fetch", "--quiet", str(options.clone.resolve()), base)
    kind, now = hashes("HEAD")
    other = differences(hashes(base)[1], now, options.excepted)
    if other:
        sys.exit("carry: nothing recorded; these differ:\n" + "\n".join(other))
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    GOLDEN.write_text(json.dumps(known | {kind: now}, indent=1, sort_keys=True) + "\n")
    if options.clone:
        bring(options.clone, options.run)
        print(f"carry: {options.run} is here; `dvc repro` makes what comes after it")
        return
    for profile in profiles():
        left = record(profile, options.excepted)
        print(f"carry: {profile}: recorded; left for `dvc repro`: {', '.join(left) or 'nothing'}")


if __name__ == "__main__":
    main()
