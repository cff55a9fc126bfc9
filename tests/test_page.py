"""The committed pages: links, lengths, accessibility; a browser has no complaints."""

import functools
import html
import json
import re
import shutil
import subprocess

import pytest

from paper_repro.report.templating import html as rendered
from tests.conftest import ROOT

REPORTS = ("paper", "stand-in", "benchmarks", "ablations")
PAGES = [f"reports/{name}/index.html" for name in REPORTS]
TEXTS = sorted((ROOT / "paper_repro/report/texts").glob("*.j2"))
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DOCUMENTS = [
    path for pattern in ("*.md", "data/*.md", "reports/**/*.md") for path in ROOT.glob(pattern)
]
AXE = ROOT / ".venv/axe.min.js"  # `.ci/run` brings it: npm's axe-core


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_text_branches_within_a_sentence(path):
    """A page's words can be read, and edited, in one go."""
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines():
        if "{%" in line:
            assert re.fullmatch(r"\{%.*%\}", line), line
            assert line.count("{%") == 1, line
    for put_in in re.findall(r"\{\{.*?\}\}", text, re.DOTALL):
        assert not re.search(r"\bif\b|\belse\b|\bor\b", put_in), put_in


@functools.cache
def headings_and_links(path):
    page = rendered(path.read_text(encoding="utf-8"), path.parent)
    return set(re.findall(r' id="([^"]+)"', page)), re.findall(r' href="([^"]+)"', page)


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if path.name != "notes.md"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_all_that_a_document_links_is_there(path):
    for place in headings_and_links(path)[1]:
        if not place.startswith(("https:", "data:")):
            file, _, heading = place.partition("#")
            target = path.parent / file.replace("index.html", "README.md") if file else path
            assert target.exists(), place
            assert not heading or heading in headings_and_links(target)[0], place


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_the_markdown_that_github_shows_with_its_pictures(name):
    folder = ROOT / "reports" / name
    markdown, page = (
        (folder / file).read_text(encoding="utf-8") for file in ("README.md", "index.html")
    )
    assert page == rendered(markdown, folder)
    assert not re.search(r'href="(?!https:)[^"]*README\.md', page)
    pictures = re.findall(r'<img src="data:image/png;base64,[^"]+" alt="[^"]+"', page)
    assert len(pictures) == page.count("<img") == markdown.count("![")
    assert "<script src" not in page


def test_the_readme_takes_a_minute_and_a_page_is_short_before_its_details():
    assert (ROOT / "README.md").read_text(encoding="utf-8").count("\n") < 160
    text = (ROOT / "reports/paper/README.md").read_text(encoding="utf-8")
    assert len(text.partition("\n## Details\n")[0].split()) <= 2500


def browse(page, folder, *options):
    """Load a page in headless Chromium; return the document after its scripts, and its console."""
    ended = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", f"--user-data-dir={folder}", *options),
            *("--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return ended.stdout, [line for line in ended.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
class TestInABrowser:
    @pytest.mark.parametrize("page", PAGES)
    def test_a_page_loads_without_a_word_on_the_console(self, page, tmp_path):
        document, console = browse(ROOT / page, tmp_path)
        assert console == []
        assert '<th scope="col"><button' in document

    @pytest.mark.skipif(not AXE.is_file(), reason="no axe-core in .venv")
    @pytest.mark.parametrize(
        ("page", "width", "scheme"),
        [
            (PAGES[0], 390, "dark"),
            (PAGES[0], 1400, "light"),
            ("reports/benchmarks/index.html", 390, "light"),
            ("reports/ablations/index.html", 390, "dark"),
            ("reports/paper/explore.html", 390, "dark"),
            ("reports/paper/explore.html", 1400, "light"),
        ],
    )
    def test_axe_finds_nothing(self, page, width, scheme, tmp_path):
        """All that is folded is opened first."""
        text = (ROOT / page).read_text(encoding="utf-8")
        beside = (ROOT / page).parent.as_uri()
        text = text.replace('src="explore-weights.js"', f'src="{beside}/explore-weights.js"')
        run = (
            "for (const folded of document.querySelectorAll('details')) folded.open = true;"
            "axe.run(document).then(found => document.body.dataset.axe = JSON.stringify("
            "found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))])));"
        )
        copy = tmp_path / "page.html"
        scripts = f'<script src="{AXE.as_uri()}"></script><script>{run}</script>'
        copy.write_text(text.replace("</body>", f"{scripts}</body>"))
        document, _ = browse(
            copy,
            tmp_path / "profile",
            f"--window-size={width},1000",
            f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}",
            "--virtual-time-budget=60000",
        )
        (found,) = re.findall(r'data-axe="([^"]*)"', document)
        assert json.loads(html.unescape(found)) == []

    def test_the_console_is_heard(self, tmp_path):
        page = tmp_path / "page.html"
        page.write_text("<script>undefinedFunction()</script>")
        assert "undefinedFunction" in browse(page, tmp_path / "profile")[1][0]

    def test_a_click_sorts_a_table_by_number_and_a_second_one_back(self, tmp_path):
        text = (ROOT / PAGES[0]).read_text()
        # The first table, figure 2, has one row and nothing to sort.
        cells = "[...document.querySelectorAll('table')[1].rows].slice(1).map(row => row.cells[2])"
        click = "document.querySelector('table th:nth-child(3) button').click();"
        tell = f"document.body.append({cells}.map(cell => parseFloat(cell.textContent)), ' told ');"
        units = "['68 µs', '≥ 5.7 s', '864.6 ms'].map(t => key({cells: [{textContent: t}]}, 0)[1])"
        tell_units = f"document.body.append({units}, ' seconds ');"
        page = tmp_path / "page.html"
        scripts = f"<script>{2 * (click + tell) + tell_units}</script>"
        page.write_text(text.replace("</body>", f"{scripts}</body>"))
        document, console = browse(page, tmp_path / "profile")
        assert console == []
        once, twice = (
            [float(number) for number in found.split(",")]
            for found in re.findall(r"([-\d.,]+) told ", document)
        )
        assert len(once) >= 8  # and a line more of each model that was measured thinned
        assert once == twice[::-1] == sorted(once)
        assert "0.000068,5.7,0.8646 seconds" in document
