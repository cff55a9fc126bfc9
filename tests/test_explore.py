"""The page that draws in the browser: what it draws is what PyTorch draws."""

import html
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import paper_repro
from paper_repro.__main__ import main
from paper_repro.core.records import write_record
from paper_repro.report.explore import explore
from tests.small import ROOT, rewrite
from tests.test_page import BROWSER, browse

PAGE, WEIGHTS = "explore.html", "explore-weights.js"
COMMITTED = ROOT / "reports/paper"
in_a_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")


def publish(workspace):
    workspace.files["quick"]["presentation"] = {"published": [workspace.key]}
    workspace.write()


def draw_small(workspace):
    publish(workspace)
    for stage in (["train", workspace.key], ["weights", workspace.key], ["explore", "quick"]):
        assert main(stage) == 0


@pytest.fixture
def small(workspace):
    """The folder of a page for a small run with images of 4 rows and 5 columns."""
    workspace.once(draw_small)
    return workspace.folder / "reports/quick"


def ask(folder, tmp_path, script, head=""):
    """Return what an expression is on a page that is opened as a file, and the document."""
    place = tmp_path / "asked"
    place.mkdir()
    shutil.copy(folder / WEIGHTS, place)
    answer = (
        '<script>const answer = document.createElement("pre"); answer.id = "answer";'
        f"answer.textContent = JSON.stringify({script}); document.body.append(answer);</script>"
    )
    text = (folder / PAGE).read_text().replace("</body>", f"{answer}</body>")
    text = text.replace("<head>", f"<head>{head}")
    (place / PAGE).write_text(text)
    document, console = browse(place / PAGE, tmp_path / "profile")
    assert console == []
    return json.loads(html.unescape(re.search(r'<pre id="answer">(.*?)</pre>', document)[1]))


@pytest.mark.slow
@in_a_browser
class TestInABrowser:
    def test_the_committed_generator_draws_what_pytorch_draws(self, tmp_path, monkeypatch):
        monkeypatch.chdir(ROOT)
        generator = paper_repro.load("paper-mnist-4")
        z = np.concatenate([generator.noise(8, seed=5), np.zeros((1, 100))])
        script = f"{json.dumps(z.tolist())}.map(z => [...generate(Float32Array.from(z))])"
        found = np.array(ask(COMMITTED, tmp_path, script))
        assert abs(found - generator(z)).max() < 1e-4
        assert found.max() > 0.99

    def test_half_precision_numbers_are_numpy_s(self, small, tmp_path):
        bits = np.arange(1 << 16, dtype=np.uint16)
        bits = bits[np.isfinite(bits.view(np.float16))]
        found = ask(small, tmp_path, f"{bits.tolist()}.map(half)")
        assert np.array_equal(found, bits.view(np.float16).astype(float))
        assert 0 < found[1] < 2**-23  # the smallest subnormal

    def test_a_seed_repeats_its_draw_and_draws_are_uniform(self, small, tmp_path):
        script = "[0, 1, 2, 4294967295, 1].map(seed => Array.from({length: 300}, random(seed)))"
        shares = np.array(ask(small, tmp_path, script))
        assert np.array_equal(shares[1], shares[4])
        assert 0 <= shares.min() < shares.max() < 1
        assert stats.kstest(shares[:4].ravel(), "uniform").pvalue > 0.01
        assert abs(np.corrcoef(shares[:4])[np.triu_indices(4, 1)]).max() < 4 / math.sqrt(300)

    def test_z_is_within_the_bounds_of_training_and_a_line_is_straight(self, tmp_path):
        draws = "Array.from({length: 50}, (_, seed) => [...draw(seed)])"
        line = "[0, 1, 0.25].map(share => [...between(draw(3), draw(8), share)])"
        z, (start, end, quarter) = map(np.array, ask(COMMITTED, tmp_path, f"[{draws}, {line}]"))
        assert z.shape == (50, 100)
        assert math.sqrt(3) - 0.01 < abs(z).max() < math.sqrt(3) + 1e-6
        assert z.var() == pytest.approx(1, abs=0.05)
        assert np.array_equal([start, end], z[[3, 8]])
        assert quarter == pytest.approx(0.75 * start + 0.25 * end, abs=1e-6)

    def test_the_slider_s_ends_show_the_two_draws(self, small, tmp_path):
        script = """[0, 100, 30].map(way => {
          $("way").value = way; $("way").oninput();
          return ["left-image", "point", "right-image"].map(id => $(id).toDataURL());
        })"""
        (left, point, right), end, way = ask(small, tmp_path, script)
        assert left == point != right
        assert end == [left, right, right]
        assert way[1] not in (left, right)

    def test_a_seed_box_repeats_a_draw_and_takes_nothing_but_seeds(self, small, tmp_path):
        script = """["3", "0", "4294967295", "4294967296", "-1", "1.5", "", "3"].map(text => {
          const box = $("left-seed");
          box.value = text;
          for (const kind of ["input", "change"]) box.dispatchEvent(new Event(kind));
          return [box.value, ends.left, $("left-image").toDataURL()];
        })"""
        shown, ends, images = zip(*ask(small, tmp_path, script), strict=True)
        assert list(map(int, shown)) == list(ends) == [3, 0, *5 * [2**32 - 1], 3]
        assert images[0] == images[-1]
        assert len(set(images)) == 3

    def test_buttons_walk_on_and_picks_become_the_chosen_end(self, small, tmp_path):
        script = """["left-next", "left-previous", "left-previous", "right-previous", "sheet-next",
          2, "pick-right", 4, "sheet-previous", 1].map(what => {
          (typeof what === "string" ? $(what) : $("sheet").children[what]).click();
          return [ends.left, ends.right, $("sheet").children[0].ariaLabel];
        })"""
        left, right, said = zip(*ask(small, tmp_path, script), strict=True)
        assert left == (4, 3, 2, 2, 2, 12, 12, 12, 12, 12)
        assert right == (8, 8, 8, 7, 7, 7, 7, 14, 14, 1)
        assert said[0] == "Seed 0: make it the left end"
        assert said[6] == "Seed 10: make it the right end"

    def test_the_page_needs_nothing_but_itself_and_a_script_beside_it(self, tmp_path):
        policy = "default-src 'none'; script-src 'unsafe-inline' file:; style-src 'unsafe-inline'"
        head = f'<meta http-equiv="Content-Security-Policy" content="{policy}; img-src data:">'
        # The browser would complain of anything else on the console.
        assert ask(COMMITTED, tmp_path, "$('play').hidden", head) is False

    def test_nothing_hangs_over_a_telephone_s_edge(self, tmp_path):
        shutil.copy(COMMITTED / WEIGHTS, tmp_path)
        page = tmp_path / "frame.html"  # a window has a least width, a frame has none
        page.write_text(
            f'<iframe srcdoc="{html.escape((COMMITTED / PAGE).read_text())}" style="border: 0;'
            'width: 390px; height: 5000px"></iframe><script>onload = () => {'
            "const inner = frames[0].document, root = inner.documentElement;"
            "document.body.append(`${inner.getElementById('play').hidden} ${root.clientWidth} `"
            "+ `${root.scrollWidth}`); };</script>"
        )
        document, console = browse(page, tmp_path / "profile")
        assert console == []
        assert "false 390 390" in document

    def test_without_the_weights_the_page_says_what_is_missing(self, small, tmp_path):
        (small / WEIGHTS).unlink()
        document, _ = browse(small / PAGE, tmp_path / "profile")
        assert '<p class="banner" id="absent">' in document
        assert '<div id="play" hidden="">' in document


def test_the_committed_files_are_what_the_command_writes(tmp_path, monkeypatch):
    for place in ("params.yaml", "runs.yaml", "profiles", COMMITTED.relative_to(ROOT) / "runs"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(ROOT / place)
    monkeypatch.chdir(tmp_path)
    explore("paper")
    for name in (PAGE, WEIGHTS):
        assert Path("reports/paper", name).read_bytes() == (COMMITTED / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (lambda recipe, data: recipe["generator"][1].update(layer="linear"), "not linear;"),
        (lambda recipe, data: recipe.update(noise="gaussian"), "not gaussian;"),
        (lambda recipe, data: data.update(shape=[3, 4, 5]), "not images of shape [3, 4, 5]"),
    ],
)
def test_a_generator_that_the_page_can_t_draw_is_one_line(small, capsys, change, trouble):
    record = small / "runs/quick-mnist-0/training.json"
    rewrite(record, lambda made: change(made["experiment_parameters"], made["data"]))
    assert main(["explore", "quick"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "training.json: explore.html can draw " in error
    assert trouble in error


def test_a_profile_that_publishes_nothing_is_one_line(workspace, capsys):
    assert main(["explore", "quick"]) == 2
    assert "presentation.published: names no run to draw from" in capsys.readouterr().err


def test_of_a_run_that_was_not_trained_the_page_says_why(workspace):
    publish(workspace)
    record = workspace.run.model_dump() | {"status": "not run"}
    record |= {"reason": "MNIST is not there", "todo": "connect"}
    for name in ("training.json", "generator.json"):
        write_record(workspace.run.folder / name, record)
    explore("quick")
    text = Path("reports/quick", PAGE).read_text()
    assert "MNIST is not there; connect." in text
    assert "<script" not in text
    assert "GENERATOR = null" in Path("reports/quick", WEIGHTS).read_text()
