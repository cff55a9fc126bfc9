"""Shared fixtures. No test needs the network, a GPU or any file outside the repository."""

import contextlib
import copy
import io
import itertools
import json
import locale
import os
import pickle
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.core import provenance
from paper_repro.core.dataset import processed_folder, write_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.params import params_path
from paper_repro.core.records import write_record
from paper_repro.core.runs import read_run
from paper_repro.figures import canvas
from paper_repro.figures.canvas import save_note
from paper_repro.figures.figure1 import Panel
from paper_repro.gan.update import Trainer
from paper_repro.pipeline.run_list import write_run_lists
from paper_repro.report import report as reporting
from tests.once import remember
from tests.small import PROFILES, ROOT, read_from_root, small_values

torch.set_num_threads(1)  # the tests' networks are too small to share
remember()


# A shell lets what it puts into the background ignore SIGINT, which tests send to their children.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Hide GPUs from tests that are not asked for by `-m gpu`; begin anew in a UTF-8 locale.

    Tests that read files know nothing of another.
    """
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if not sys.flags.utf8_mode and locale.getencoding().lower() != "utf-8":
        config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)


def pytest_collection_modifyitems(items):
    """Begin with the tests of a real Slurm: they take longest, waiting for its clock."""
    items.sort(key=lambda item: "nodes" not in item.fixturenames)


def pytest_make_parametrize_id(val, argname):
    """Name no test by its bytes: gzip's hold the time, and all processes must name it alike."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def params():
    """The paper's parameters."""
    return read_from_root()


@pytest.fixture
def undrawn(monkeypatch):
    """Reports whose own pictures are all the same note: for tests that make many."""
    for name in ("draw_curves", "draw_gradients", "draw_audit", "draw_grids", "draw_variants"):
        monkeypatch.setattr(reporting, name, draw_nothing)


@pytest.fixture
def refused(capsys):
    """Call with a command that must fail: the one line that it says."""

    def line(*command):
        capsys.readouterr()
        assert main(command) == 2
        lines = capsys.readouterr().err.splitlines()
        (said,) = [line for line in lines if line.strip() and "update/s" not in line]
        return said

    return line


@pytest.fixture
def drawn(monkeypatch):
    """Call with a module: the list of the figures that it draws from then on."""

    def listen(module):
        figures = []

        @contextlib.contextmanager
        def drawing(*arguments, **keywords):
            with canvas.drawing(*arguments, **keywords) as figure:
                yield figure
            figures.append(figure)

        monkeypatch.setattr(module, "drawing", drawing)
        return figures

    return listen


def draw_nothing(*arguments, **options):
    path = next(argument for argument in arguments if isinstance(argument, Path))
    for place in (path, path.with_suffix(".pdf")):
        place.write_bytes(b"a picture")


@pytest.fixture
def at_update(monkeypatch):
    """Call with what to do before and after a GAN's updates, by number, over all starts."""
    update, number = Trainer.update, itertools.count(1)

    def arrange(before=lambda n: None, after=lambda n, trainer: None):
        def counted(self, *arguments, **options):
            n = next(number)
            before(n)
            found = update(self, *arguments, **options)
            after(n, self)
            return found

        monkeypatch.setattr(Trainer, "update", counted)

    return arrange


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


MADE = {}  # in this process, by `Workspace.once`: what was made of what, and what it left


class Workspace:
    """An empty folder with parameter files of one small run, and small random images."""

    key = "quick-mnist-0"

    def __init__(self, folder, files):
        self.folder = folder
        self.set(files)

    def set(self, files):
        self.files = files  # by profile, what its file holds
        self.experiment = files["paper"]["experiments"]["mnist"]

    def once(self, make):
        """Do to this workspace what `make` does: at first truly, then by what it left on the disk.

        Only the same function on the same files counts as the same.
        """
        before = self.content()
        key = make, json.dumps(self.files), tuple(before.items())
        if key not in MADE:
            make(self)
            MADE[key] = pickle.dumps(self.files), self.content()  # with what its parts share
            return
        files, after = MADE[key]
        self.set(pickle.loads(files))
        for place in before.keys() - after.keys():
            (self.folder / place).unlink()
        for place, content in after.items():
            path = self.folder / place
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
            elif content != before.get(place):
                path.write_bytes(content)

    def content(self):
        """Return the folders, as None, and the bytes of the files."""
        return {
            path.relative_to(self.folder).as_posix(): None if path.is_dir() else path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
        }

    def write(self):
        for profile, content in self.files.items():
            params_path(profile).parent.mkdir(parents=True, exist_ok=True)
            params_path(profile).write_text(json.dumps(content, indent=1))  # YAML too
        # Some tests want bad parameters.
        with contextlib.suppress(UserError), contextlib.redirect_stdout(io.StringIO()):
            write_run_lists()

    def change(self, **keys):
        self.experiment.update(keys)
        self.write()

    def list(self, profile="quick", **seeds):
        """List the seeds of experiments as the only runs of a profile."""
        content = self.files[profile]
        content["seeds"] = seeds
        content["presentation"] = {"diagnosed": []}
        for name in seeds:
            content["experiments"].setdefault(name, {})
        self.write()

    def draw_toy(self, profile="quick"):
        """Put down what the stage figure1 leaves for the report."""
        folder = self.folder / "reports" / profile
        folder.mkdir(parents=True, exist_ok=True)
        steps = {"panel": "a", "discriminator_steps": 1, "generator_steps": 1}
        panel = dict.fromkeys(Panel.__annotations__, 0.5) | steps
        figure1 = {"panels": [panel], "arrows": {}, "support": 0.01, "settings": {}}
        save_note(folder / "figure1.png", "figure 1")
        write_record(folder / "figure1.json", figure1, folder / "figure1.png")

    @property
    def run(self):
        return read_run(self.key)[1]

    @staticmethod
    def prepare(canonical=False, stand_in=None, profile="quick", labels=None):
        draw = np.random.default_rng(0)
        parts = {
            part: (draw.random((n, 4, 5)) * 255).astype(np.uint8)
            for part, n in (("train", 64), ("valid", 30), ("test", 40))
        }
        folder = processed_folder(profile, "mnist")
        write_dataset(folder, "mnist", parts, canonical=canonical, stand_in=stand_in, labels=labels)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(provenance, "commit", lambda: {"commit": None, "uncommitted_changes": None})
    small = small_values()
    files = {profile: copy.deepcopy(read_from_root(profile).own.values) for profile in PROFILES}
    for profile, content in files.items():
        content["experiments"] = {"mnist": small if profile == "paper" else {}}
        content["measure"] = dict.fromkeys(("mnist", "tfd", "cifar10"), small["parzen"])
        content["seeds"] = {"mnist": [0] if profile == "quick" else []}
        content["presentation"] = {"diagnosed": []}
        if profile not in ("paper", "ablations"):
            content["theory"] = {"figure1": {}}
    del files["quick"]["parzen_audit"]
    made = Workspace(tmp_path, files)
    made.once(fresh)
    return made


STAGES = ("train", "evaluate", "figure2", "figure3", "sample_checks", "parzen_audit")
AUDIT = {
    "samples": [20, 200],
    "draws": 3,
    "fine_sigma_points": 19,
    "kmeans_centroids": 30,
    "kmeans_iterations": 3,
    "mixture_components": 4,
    "mixture_iterations": 5,
}


@pytest.fixture
def measured(workspace):
    """The workspace with all that the stages leave of its run for the report."""
    workspace.once(measure)
    return workspace


def measure(workspace):
    workspace.prepare(labels=np.arange(64, dtype=np.uint8) % 10)
    workspace.files["quick"] |= {"presentation": {"diagnosed": ["mnist"]}, "parzen_audit": AUDIT}
    workspace.write()
    for stage in STAGES:
        assert main([stage, workspace.key]) == 0


def fresh(workspace):
    for name in ("CITATION.cff", "dvc.yaml"):
        shutil.copy(ROOT / name, workspace.folder)
    workspace.write()
    workspace.prepare()
    for profile in ("quick", "paper"):
        workspace.draw_toy(profile)
