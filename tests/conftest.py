"""Shared fixtures. No test needs the network, a GPU or any file outside the repository."""

import copy
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from paper_repro import config, provenance
from paper_repro.data.dataset import processed_folder, write_dataset
from paper_repro.figures.canvas import save_note
from tests.small import small_values

torch.set_num_threads(1)  # the tests' networks are too small to share

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def params():
    return config.read_params(ROOT / "params.yaml")


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Workspace:
    """An empty folder with a parameter file of one small run, and small random images."""

    key = "quick-mnist-0"

    def __init__(self, folder, values):
        self.folder = folder
        self.values = values
        self.experiment = values["experiments"]["mnist"]
        self.write()

    def write(self):
        text = io.StringIO()
        YAML(typ="safe", pure=True).dump(self.values, text)
        Path("params.yaml").write_text(text.getvalue())

    def change(self, **keys):
        self.experiment.update(keys)
        self.write()

    def draw_toy(self, profile="quick"):
        """Put down what the stages theory and figure1 leave for the report."""
        folder = self.folder / "reports" / profile
        folder.mkdir(parents=True, exist_ok=True)
        check = {
            "id": "minimum_value",
            "where": "Theorem 1",
            "claim": "C(G) = −log 4",
            "measure": "|C(G) + log 4|",
            "value": 2.5e-16,
            "tolerance": 1e-9,
            "reason": "rounding",
            "holds": True,
        }
        theory = {"checks": [check], "family": [], "descent": [], "settings": {}}
        (folder / "theory.json").write_text(json.dumps(theory))
        panel = {
            "panel": "a",
            "value": -1.25,
            "total_variation": 0.5,
            "deviation_from_half": 0.2,
        }
        (folder / "figure1.json").write_text(json.dumps({"panels": [panel]}))
        for number, name in enumerate(("theory", "figure1")):
            save_note(folder / f"{name}.png", f"{name} {number}")

    @property
    def run(self):
        return config.run(config.read_params(), self.key)

    @staticmethod
    def prepare(canonical=False, stand_in=None, profile="quick"):
        draw = np.random.default_rng(0)
        parts = {
            part: (draw.random((n, 4, 5)) * 255).astype(np.uint8)
            for part, n in (("train", 64), ("valid", 30), ("test", 40))
        }
        folder = processed_folder(profile, "mnist")
        write_dataset(folder, "mnist", parts, canonical=canonical, stand_in=stand_in)


@pytest.fixture
def workspace(tmp_path, monkeypatch, params):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(provenance, "commit", lambda: {"commit": None, "uncommitted_changes": None})
    values = copy.deepcopy(params)
    values["experiments"] = {"mnist": small_values(params)}
    for profile in values["profiles"].values():
        profile["experiments"] = {"mnist": {}}
        profile["theory"] = {}
    values["runs"] = {
        "quick-mnist-0": {
            "profile": "quick",
            "experiment": "mnist",
            "dataset": "mnist",
            "seed": 0,
            "start": config.RANDOM,
        }
    }
    shutil.copy(ROOT / "CITATION.cff", tmp_path)
    made = Workspace(tmp_path, values)
    made.prepare()
    for profile in ("quick", "paper"):
        made.draw_toy(profile)
    return made
