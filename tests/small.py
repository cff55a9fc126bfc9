"""Small experiments of the paper's form, so that tests run in seconds."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from paper_repro.core.params import Place, params_path, parse, read_params
from paper_repro.core.records import write_record
from paper_repro.core.runs import runs
from paper_repro.gan.model import recipe
from paper_repro.report import collect as collecting
from paper_repro.report.run_files import run_files

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ("paper", "quick", "stand-in", "ablations")


def python(*arguments, **options):
    """What Python did in a process of its own."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def read_from_root(profile="paper"):
    """The repository's parameters of a profile, wherever the test runs."""
    with contextlib.chdir(ROOT):
        return read_params(profile)


def skip_if_edited(profile):
    """Skip a test of what is committed where other runs are listed than that is of."""
    made = json.loads((ROOT / "reports" / profile / "results.json").read_text())["inputs"]
    with contextlib.chdir(ROOT):
        listed = runs(read_params(profile))
    if not made.keys() <= listed.keys():
        pytest.skip(f"`seeds` of {profile} were edited: other runs than its report is of")


def write_files(own, **quick):
    """Write the parameter files of the paper and of `quick` into the present folder."""
    for profile, content in (("paper", own), ("quick", quick)):
        path = params_path(profile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def parse_values(model, values):
    """Return plain values as one of the package's models."""
    return parse(model, [Place(Path("params.yaml"), model.__name__.lower(), values)])


def collect(profile):
    """The results of a profile, from the files in the present folder."""
    params = read_params(profile)
    return collecting.collect(params, run_files(params))


def small_values(**changes):
    """Return the MNIST experiment with narrow layers, a small batch and any other changes."""
    values = recipe.experiment(read_from_root(), "mnist").model_dump(mode="json")
    values |= {"noise_dimension": 7, "batch_size": 10, "epochs": 2, "validate_every": 1}
    values["parzen"] |= {"samples": 50, "sigma_images": 20}
    for player, widths in (("generator", (13, 11, 20)), ("discriminator", (6, 4, 1))):
        for layer, units in zip(values[player], widths, strict=True):
            layer["units"] = units
            layer["init"]["uniform"] = 0.2
    return values | changes


def parse_experiment(values):
    """Return an experiment from plain values, complete."""
    return parse_values(recipe.Experiment, values)


def small_experiment(**changes):
    """Return `small_values` as an experiment."""
    return parse_experiment(small_values(**changes))


def rewrite(path, change=lambda content: None):
    """Change a record as a stage that measured something else would have written it."""
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    change(content)
    write_record(Path(path), content, *(path.with_name(name) for name in content.get("files", {})))
