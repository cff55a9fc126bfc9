"""How much the numbers of `make quick` vary: writes what it is held against.

    python -m tests.spread FOLDER [--only data|fallbacks]

trains and measures the runs of the profile quick in subfolders of FOLDER, on the data that are in
``data/raw`` and on what stands in for them without: with three seeds, with two threads, and as
processors with fewer instructions do. What FOLDER has already is kept, so that it may be
interrupted; two cores take some two minutes for each rerun. Then it writes
``reports/quick/release.json``: each number of seed 0, with the 99.9 % prediction interval of one
more of these reruns, by Student's t.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from ruamel.yaml import YAML
from scipy.stats import t

from paper_repro.__main__ import main
from paper_repro.core.params import params_path, read_params
from paper_repro.core.records import write_record
from paper_repro.core.runs import runs
from paper_repro.evaluation.trained_run import measure_of
from paper_repro.report.collect import collect
from paper_repro.report.release import described, release_path
from paper_repro.report.results import Release, ReleasedRun
from paper_repro.report.run_files import run_files
from tests.small import ROOT

QUICK = "quick"
RAW = Path("data/raw")
DATA, FALLBACKS = "data", "fallbacks"
THREADS = "SPREAD_THREADS"  # in the environment; one, as in all tests, without
VARIANTS: dict[str, tuple[int, dict[str, str]]] = {  # seed, environment
    "two_threads": (0, {THREADS: "2"}),  # first: what the release shows
    "seed_0": (0, {}),
    "seed_1": (1, {}),
    "seed_2": (2, {}),
    "aten_avx2": (0, {"ATEN_CPU_CAPABILITY": "avx2"}),
    "aten_default": (0, {"ATEN_CPU_CAPABILITY": "default"}),
    "onednn_avx2": (0, {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "onednn_sse41": (0, {"ONEDNN_MAX_CPU_ISA": "SSE41"}),
}


def write_folder(folder: Path, seed: int, *, data: bool) -> None:
    """Write what a rerun needs: parameters with one seed, and the data or their absence."""
    yaml = YAML()
    for path in (ROOT / "params.yaml", ROOT / params_path(QUICK)):
        content = yaml.load(path)
        if path.parent != ROOT:
            content["seeds"] = {name: [seed] for name in content["seeds"]}
            content["presentation"] = {"diagnosed": [], "mixing": []}
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        yaml.dump(content, target)
    shutil.copy(ROOT / "CITATION.cff", folder)
    for source in (ROOT / RAW).iterdir():
        target = folder / RAW / source.name
        if data:
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            absent = {"dataset": source.name, "status": "not run", "reason": "left out", "todo": ""}
            target.mkdir(parents=True, exist_ok=True)
            (target / "status.json").write_text(json.dumps(absent))


def rerun() -> None:
    """Train and measure the runs in the present folder; print what a release says of them."""
    torch.set_num_threads(int(os.environ.get(THREADS, "1")))
    params = read_params(QUICK)
    listed = runs(params)
    for dataset in dict.fromkeys(run.dataset for run in listed.values()):
        assert main(["prepare", QUICK, dataset]) == 0
    for key, run in listed.items():
        for command in ("train", *(["walk"] if measure_of(params, run).walk else []), "evaluate"):
            assert main([command, key]) == 0
    assert main(["figure1", QUICK]) == 0  # which a profile's results have, too
    found = described(collect(params, run_files(params)))
    Path("found.json").write_text(found.model_dump_json())


def interval(numbers: list[float]) -> tuple[float, float]:
    """Return the 99.9 % prediction interval of one more such number."""
    n, mean = len(numbers), statistics.fmean(numbers)
    half = float(t.ppf(0.9995, n - 1)) * statistics.stdev(numbers) * (1 + 1 / n) ** 0.5
    return mean - half, mean + half


def spread() -> None:
    """Make those reruns that are not there, and write the release."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=(DATA, FALLBACKS))
    options = parser.parse_args()
    found: dict[tuple[str, str], list[ReleasedRun]] = {}
    for images in [options.only] if options.only else [DATA, FALLBACKS]:
        for name, (seed, changes) in VARIANTS.items():
            place = options.folder.resolve() / images / name
            if not (place / "found.json").exists():
                write_folder(place, seed, data=images == DATA)
                print(f"spread: {place}", flush=True)
                command = [sys.executable, "-m", "tests.spread"]
                environment = os.environ | changes | {"PYTHONPATH": str(ROOT)}
                subprocess.run(command, cwd=place, env=environment, check=True)
            made = Release.model_validate_json((place / "found.json").read_text())
            for run in made.runs:
                found.setdefault((run.experiment, run.recipe_sha256), []).append(run)
    released = []
    for reruns in found.values():
        if len(reruns) == 1:  # of TFD's fallback, which one of these processors rounds differently
            continue
        expected = interval([run.number for run in reruns])
        released.append(reruns[0].model_copy(update={"spread": expected}))
    write_record(release_path(QUICK), made.model_copy(update={"runs": released}).model_dump())


if __name__ == "__main__":
    spread() if sys.argv[1:] else rerun()
