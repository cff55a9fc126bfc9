"""The committed pages: what they show is what the JSON files hold; a browser has no complaints."""

import html.parser
import json
import re
import shutil
import subprocess

import pytest

from paper_repro.report.results import read_results
from paper_repro.report.templating import html as rendered
from tests.conftest import ROOT

PROFILES = ("paper", "stand-in")
REPORTS = (*PROFILES, "benchmarks", "ablations")
PAGES = [f"reports/{name}/index.html" for name in REPORTS]
TEXTS = sorted((ROOT / "paper_repro/report/texts").glob("*.j2"))
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
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


def test_a_branch_within_a_sentence_would_be_noticed(tmp_path):
    for line in ("So {% if x %}not{% endif %}.", '{{ "a" if x else "b" }}'):
        path = tmp_path / "text.md.j2"
        path.write_text(line)
        with pytest.raises(AssertionError):
            test_no_text_branches_within_a_sentence(path)


@pytest.mark.parametrize("name", REPORTS)
def test_the_html_page_is_the_markdown_that_github_shows(name):
    folder = ROOT / "reports" / name
    markdown = (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "index.html").read_text(encoding="utf-8") == rendered(markdown, folder)
    assert not re.search(r"\n\n\n", markdown)


@pytest.mark.parametrize("name", REPORTS)
def test_every_link_and_picture_of_a_page_is_there(name):
    folder = ROOT / "reports" / name
    page = (folder / "index.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r' id="([^"]+)"', page))
    for place in re.findall(r' href="([^"]+)"', page):
        if place.startswith("#"):
            assert place[1:] in anchors, place
        elif not place.startswith(("https:", "data:")):
            assert (folder / place.partition("#")[0]).exists(), place
    for source, alt in re.findall(r'<img src="([^"]+)" alt="([^"]*)"', page):
        assert source.startswith("data:image/png;base64,")
        assert alt
    assert page.count("<img") == len(re.findall(r"!\[", (folder / "README.md").read_text()))
    assert "<script src" not in page


def test_the_readme_takes_a_minute():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 160
    assert text.count("filled by `make readme`") == 1


def test_a_page_is_short_before_its_details():
    text = (ROOT / "reports/paper/README.md").read_text(encoding="utf-8")
    assert len(text.partition("\n## Details\n")[0].split()) <= 2500


class Tables(html.parser.HTMLParser):
    """The tables of a page, each a list of rows of text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.cell = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.found.append([])
        elif tag == "tr":
            self.found[-1].append([])
        elif tag in ("th", "td"):
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.found[-1][-1].append(self.cell)
            self.cell = None

    def starting(self, *columns):
        """Return the table whose first columns are these as one dictionary a row."""
        (rows,) = (rows for rows in self.found if rows[0][: len(columns)] == list(columns))
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    def has(self, *columns):
        return any(rows[0][: len(columns)] == list(columns) for rows in self.found)


def numbers(text):
    """Return the numbers in a text as shown."""
    return [
        float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-").replace(",", ""))
    ]


def shown(value):
    return pytest.approx(value, abs=0.0501)


@pytest.fixture(params=PROFILES)
def committed(request, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "reports" / request.param / "index.html").read_text(encoding="utf-8")
    return read_results(request.param), Tables(page)


def test_table_1_shows_the_numbers_of_the_results(committed):
    results, tables = committed
    lines = tables.starting("Model", "Data", "Paper", "Ours")
    assert len(lines[0]) <= 5
    ours = [line for line in lines if line["Model"] == "Adversarial nets"]
    for line, name in zip(ours, ("mnist", "tfd"), strict=True):
        row = results.row(name)
        if row is None:
            assert line["Ours"] == "–"
            continue
        assert numbers(line["Paper"]) == [row.paper.mean, row.paper.se]
        assert line["Data"] == (row.stand_in or row.dataset)
        assert line["Status"].startswith(row.verdict.kind)
        if row.mean is None:
            assert line["Ours"] == row.status
            continue
        assert numbers(line["Ours"])[0] == shown(row.mean)
        count, spread = ([len(row.seeds)], [row.seed_sd]) if len(row.seeds) > 1 else ([1], [])
        assert numbers(line["Ours"])[-1 - len(spread) :] == shown(count + spread)


def test_other_grids_show_the_results(committed):
    results, tables = committed
    seeds = [seed for row in results.rows for seed in row.seeds if seed.sets]
    assert tables.has("Run, epoch") == bool(seeds)
    lines = iter(tables.starting("Run, epoch") if seeds else ())
    for seed in seeds:
        for means in seed.sets.grids.values():
            line = next(lines)
            assert line["Run, epoch"] == f"{seed.run}, {seed.sets.epoch}"
            assert numbers(line["σ on the first images"]) == [shown(means["first_images"])]
            assert numbers(line["σ on all"]) == [shown(means["all_images"])]


def test_the_runs_show_the_numbers_of_the_results(committed):
    results, tables = committed
    lines = {line["Run"]: line for line in tables.starting("Run", "Epoch", "σ", "Test")}
    lengths = {line["Run"]: line for line in tables.starting("Run", "Epochs")}
    seeds = {seed.run: seed for row in results.rows for seed in row.seeds}
    assert lines.keys() == lengths.keys() == seeds.keys()
    for run, seed in seeds.items():
        line = lines[run]
        assert numbers(line["Test"]) == shown([seed.test_mean, seed.test_se])
        assert numbers(line["Last epoch, test"]) == shown([seed.last_test_mean, seed.last_test_se])
        assert numbers(line["Validation, in training"]) == shown([seed.curve_mean, seed.curve_se])
        assert numbers(line["Validation, fresh samples"]) == [shown(seed.valid_mean)]
        assert numbers(line["σ"]) == pytest.approx(sorted(set(seed.sigma)), abs=5e-5)
        assert numbers(line["Epoch"]) == [seed.best_epoch, seed.epochs]
        assert numbers(lengths[run]["Updates"]) == [seed.updates]
        slope, trend = lengths[run]["Slope (nats per 100 epochs)"], seed.valid_trend
        assert numbers(slope) == (shown([trend.slope, trend.se]) if trend else [])


def test_the_ledger_shows_every_claim_with_its_verdict(committed):
    results, _ = committed
    page = (ROOT / "reports" / results.profile / "README.md").read_text(encoding="utf-8")
    badges = re.findall(r'<span class="badge (\w+)">. ([^<]+)</span>', page)
    assert len(badges) == len(results.claims)
    answers = {"yes": "holds", "no": "does not hold"}
    found = sorted(answers.get(word, word) for _, word in badges)
    assert found == sorted(claim.verdict for claim in results.claims)
    for kind, word in badges:
        good, bad = word in ("holds", "reproduced", "yes"), word in ("does not hold", "no")
        assert kind == ("yes" if good else "no" if bad or word == "not reproduced" else "open")


def test_the_audit_shows_the_numbers_of_the_results(committed):
    results, tables = committed
    if results.audit is None:
        assert results.profile == "stand-in"
        return
    lines = tables.starting("Samples", "n", "Default grid")
    for line, row in zip(lines, results.audit["rows"], strict=True):
        assert numbers(line["Default grid"]) == shown([row["test_mean"], row["test_se"]])
        fine = row["fine"]
        assert numbers(line["Finer grid"]) == shown([fine["test_mean"], fine["test_se"]])


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
        weights = ROOT / page.replace("explore.html", "explore-weights.js")
        if "explore-weights.js" in text:
            text = text.replace('src="explore-weights.js"', f'src="{weights.as_uri()}"')
        run = (
            "for (const folded of document.querySelectorAll('details')) folded.open = true;"
            "axe.run(document).then(found => document.body.dataset.axe = JSON.stringify("
            "found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))])));"
        )
        axe = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script")
        copy = tmp_path / "page.html"
        copy.write_text(
            text.replace("</body>", f"<script>{axe}</script><script>{run}</script></body>")
        )
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
        for clicks, order in ((1, 1), (2, -1)):
            page = tmp_path / f"{clicks}.html"
            # The first table, figure 2, has one row and nothing to sort.
            click = "document.querySelector('table th:nth-child(3) button').click();"
            page.write_text(text.replace("</body>", f"<script>{click * clicks}</script></body>"))
            document, console = browse(page, tmp_path / f"profile{clicks}")
            assert console == []
            rows = Tables(document).found[1]
            paper = [numbers(row[2])[0] for row in rows[1:]]
            assert len(paper) >= 8  # and a line more of each model that was measured thinned
            assert paper == sorted(paper)[::order]
