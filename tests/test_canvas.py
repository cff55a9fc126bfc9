"""Pictures have the same bytes whatever a user's matplotlibrc and MPLBACKEND say."""

import ast
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

DRAW = """
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from paper_repro.figures import (
    canvas, chains, curves, figure1, figure2, figure3, forest, parzen_audit,
    film, sample_sets, step_sizes, strips,
)

x = np.linspace(-1, 1, 50)
p = 0.5 + 0 * x
canvas.save_note(Path("canvas.png"), "not run: there are no data")
curve = pd.DataFrame({"epoch": [1, 2], "d_data": 0.6, "d_samples": [0.4, 0.3], "value": -1.3})
measured = pd.DataFrame({"epoch": [1, 2], "valid_nats": [3.0, 5.0]})
curves.draw_curves({"one": (curve, measured)}, Path("curves.png"), title="t", paper_mean=4.0)
followed = {"autocorrelation": {"0": 1.0, "1": 0.9, "10": 0.1},
            "thinning": [{"every": 1, "test_mean": 1.0}, {"every": 10, "test_mean": 3.0}]}
chains.draw_mixing({"one": followed, "two": followed}, Path("chains.png"))
strips.draw_strips([torch.linspace(0, 1, 36).reshape(3, 12)] * 2, (3, 4), Path("strips.png"))
panel = figure1.State("a", 1, 1, -1.3, p, p, figure1.arrow_feet())
figure1.draw([panel, panel], 1.5 * p, x, Path("figure1.png"))
ramp = torch.linspace(0, 1, 3 * 8 * 9).reshape(3, 8, 9)
figure2.draw(ramp, "seed 0", Path("figure2.png"))
end = {"digit": 1, "draw": 0, "probability": 0.95}
ends = [end | {"sure": sure} for sure in (True, False)]
figure3.draw([torch.linspace(0, 1, 6 * 45).reshape(6, 45)], [ends], "seed 0", Path("figure3.png"))
mark = forest.Mark("ours", "seed 0", 218.5, 216.6, 220.3, "seed", "218.5")
forest.draw_forest([mark], Path("forest.png"), number=225.0, margin=5.5)
rows = [{"samples": name, "fine": {"test_mean": mean}} for name, mean in (("a", 1), ("b", 2))]
audit = {"curve": [{"n": 10 * n, "test_mean": n} for n in (1, 2)], "rows": rows}
parzen_audit.draw(audit, Path("parzen_audit.png"))
means = pd.DataFrame({"run": list("aabb"), "grid": list("cdcd"), "nats": [217.0, 221, 219, 222]})
sample_sets.draw_grids(means, Path("sample_sets.png"), number=225.0, margin=5.5)
both = {"epoch": [1, 2, 1, 2], "valid_nats": [3.0, 5, 4, 6], "experiment": list("aabb")}
curves.draw_variants(pd.DataFrame(both), Path("variants.png"))
at_rates = {"rate": 0.1, "update": [*step_sizes.UPDATES * 2], "seed": 0, "epoch": [1, 1, 2, 2]}
rates = pd.DataFrame({**at_rates, "valid_nats": [1.0, 2, 3, 4], "d_data": 0.6, "d_samples": 0.4})
step_sizes.draw_step_sizes(rates, rates, Path("step_sizes.png"))
film.draw({1: np.zeros((9, 70, 3)), 20: np.ones((9, 70, 3))}, Path("film.png"))
"""
MODULES = {path.stem for path in (ROOT / "paper_repro/figures").glob("*.py")}
# mixing and sheet draw by strips and figure 2
DRAWN = sorted(MODULES - {"__init__", "mixing", "sheet"} | {"variants"})
HOSTILE = """
image.origin: lower
image.cmap: hot
font.family: serif
savefig.dpi: 40
savefig.bbox: tight
pdf.compression: 0
lines.linewidth: 7
axes.prop_cycle: cycler('color', ['r', 'k'])
path.sketch: 1, 100, 2
text.usetex: True
backend: tkagg
"""
SURROUNDINGS = {  # MPLBACKEND, and the matplotlibrc of the present folder
    "clean": (None, None),
    "hostile": ("module://matplotlib_inline.backend_inline", HOSTILE.encode()),
    "damaged": ("nonsense", b"\xff\xfe: no text\n"),
}


def python(folder, code, backend=None, settings=None):
    if settings is not None:
        (folder / "matplotlibrc").write_bytes(settings)
    own = {"PYTHONPATH": str(ROOT)} | ({} if backend is None else {"MPLBACKEND": backend})
    plain = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "MATPLOTLIBRC")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=plain | own, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_no_setting_of_the_user_changes_a_picture(tmp_path):
    drawn = []
    for name, surroundings in SURROUNDINGS.items():
        folder = tmp_path / name
        folder.mkdir()
        python(folder, DRAW, *surroundings)
        drawn.append({path.name: path.read_bytes() for path in folder.glob("*.p[nd][gf]")})
    clean, *others = drawn
    pixels = {"canvas", "figure2", "figure3", "film", "strips"}
    vectors = {f"{name}.pdf" for name in DRAWN if name not in pixels}
    assert clean.keys() == {f"{name}.png" for name in DRAWN} | vectors
    for other in others:
        assert [name for name in clean if other[name] != clean[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", ["matplotlib", "paper_repro.figures.canvas"])
def test_a_notebook_keeps_its_settings(tmp_path, first):
    code = (
        f"import json, os, {first}, matplotlib as m, pathlib\n"
        "from paper_repro.figures.canvas import save_note\n"
        "save_note(pathlib.Path('note.png'), 'a')\n"
        "found = [m.rcParams[k] for k in ('lines.linewidth', 'font.family', 'backend')]\n"
        "print(json.dumps([*found, os.environ['MPLBACKEND'], os.getcwd()]))"
    )
    found = json.loads(python(tmp_path, code, "svg", b"lines.linewidth: 7\nfont.family: serif\n"))
    assert found == [7.0, ["serif"], "svg", "svg", str(tmp_path)]


def test_only_the_canvas_imports_what_draws():
    for path in (ROOT / "paper_repro").rglob("*.py"):
        if path.stem == "canvas":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"matplotlib", "seaborn"}, path
