"""The committed pages: what they show is what the JSON files hold; a browser has no complaints."""

import html.parser
import json
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

PROFILES = ("paper", "quick", "stand-in")
PAGES = [f"reports/{name}/index.html" for name in (*PROFILES, "benchmarks", "ablations")]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


@pytest.mark.parametrize("page", PAGES)
def test_no_attribute_of_a_page_is_text(page):
    assert not re.search(r"<[^>]*=&", (ROOT / page).read_text())


class Tables(html.parser.HTMLParser):
    """The tables of a page by caption, each a list of rows of text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.cell = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag in ("caption", "th", "td"):
            self.cell = ""
        elif tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag == "caption":
            self.rows = self.found.setdefault(self.cell, [])
        elif tag in ("th", "td"):
            self.rows[-1].append(self.cell)
        if tag in ("caption", "th", "td"):
            self.cell = None

    def starting(self, caption):
        """Return the table of that caption as one dictionary a row."""
        (rows,) = (rows for text, rows in self.found.items() if text.startswith(caption))
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def numbers(text):
    """Return the numbers in a text as shown."""
    return [
        float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text.replace("−", "-").replace(",", ""))
    ]


def shown(value):
    return pytest.approx(value, abs=0.0501)


@pytest.fixture(params=PROFILES)
def committed(request):
    folder = ROOT / "reports" / request.param
    results = json.loads((folder / "results.json").read_text())
    return results, Tables((folder / "index.html").read_text())


def test_the_comparison_shows_the_numbers_of_the_results(committed):
    results, tables = committed
    lines = {line["Experiment"]: line for line in tables.starting("Ours beside the paper's.")}
    assert list(lines) == [row["experiment"] for row in results["rows"]]
    for row in results["rows"]:
        line = lines[row["experiment"]]
        assert line["Verdict"] == row["verdict"]["text"]
        assert int(line["Seeds"]) == len(row["seeds"])
        if row["paper"]:
            assert numbers(line["Paper (nats)"]) == [row["paper"]["mean"], row["paper"]["se"]]
        else:
            assert line["Paper (nats)"] == "–"
        if row["mean"] is None:
            assert line["Ours (nats)"] == row["status"]
        else:
            assert numbers(line["Ours (nats)"])[0] == shown(row["mean"])
        if row["seed_sd"] is None:
            assert line["SD over seeds"] == "–"
        else:
            assert numbers(line["SD over seeds"]) == [shown(row["seed_sd"])]
            assert numbers(line["95 % interval of the mean"]) == shown(row["mean_interval"])


def test_other_grids_show_the_results(committed):
    results, tables = committed
    seeds = [seed for row in results["rows"] for seed in row["seeds"] if seed["sets"]]
    if not seeds:
        assert not any(text.startswith("Published generators by grid") for text in tables.found)
        return
    lines = iter(tables.starting("Published generators by grid"))
    for seed in seeds:
        for means in seed["sets"]["grids"].values():
            line = next(lines)
            assert line["Run"] == seed["run"]
            assert numbers(line["σ on the first validation images"]) == [
                shown(means["first_images"])
            ]
            assert numbers(line["σ on all of them"]) == [shown(means["all_images"])]
    others = [other for row in results["rows"] for other in row["alternatives"]]
    if others:
        for line, other in zip(tables.starting("The same rule by other"), others, strict=True):
            assert numbers(line["Mean over seeds (nats)"]) == [shown(other["mean"])]
            assert line["Answer"] == (other["answer"] or "no verdict yet")


def test_the_lengths_show_the_slopes_of_the_results(committed):
    results, tables = committed
    lines = {line["Run"]: line for line in tables.starting("Length of training")}
    for row in results["rows"]:
        for seed in row["seeds"]:
            trend, cell = seed["valid_trend"], lines[seed["run"]]["Slope (nats per 100 epochs)"]
            if trend is None:
                assert cell == "–"
            else:
                assert numbers(cell) == shown([trend["slope"], trend["se"]])


def test_the_runs_show_the_numbers_of_the_results(committed):
    results, tables = committed
    lines = {line["Run"]: line for line in tables.starting("Every run.")}
    seeds = {seed["run"]: seed for row in results["rows"] for seed in row["seeds"]}
    assert lines.keys() == seeds.keys()
    for run, seed in seeds.items():
        line = lines[run]
        assert numbers(line["Test (nats)"]) == shown([seed["test_mean"], seed["test_se"]])
        last = [seed["last_test_mean"], seed["last_test_se"]]
        assert numbers(line["Last epoch, test"]) == shown(last)
        curve = [seed["curve_mean"], seed["curve_se"]]
        assert numbers(line["Validation, on the curve"]) == shown(curve)
        assert numbers(line["again, fresh samples"]) == [shown(seed["valid_mean"])]
        assert numbers(line["σ"]) == pytest.approx(sorted(set(seed["sigma"])), abs=5e-5)
        assert numbers(line["Updates"]) == [seed["updates"]]
        assert [int(line["at epoch"]), int(line["Epochs"])] == [seed["best_epoch"], seed["epochs"]]


def test_the_ledger_and_section_4_show_those_of_the_results(committed):
    results, tables = committed
    for start, head, question in (
        ("Statements of the paper", "Claim", False),
        ("No claims of the paper", "Question", True),
    ):
        ledger = tables.starting(start)
        claims = [claim for claim in results["claims"] if claim["question"] is question]
        assert [line[head] for line in ledger] == [claim["claim"] for claim in claims]
        for line, claim in zip(ledger, claims, strict=True):
            assert line["Number"].replace("−", "-") == claim["number"].replace("−", "-")
            assert line["Verdict"] == claim["verdict"]
    checks = tables.starting("A check holds if")
    for line, check in zip(checks, results["theory"]["checks"], strict=True):
        shown_value = float(line["Value"].replace("−", "-"))
        assert shown_value == pytest.approx(check["value"], rel=0.06)
        assert line["Holds"] == ("yes" if check["holds"] else "no")


def test_the_audit_shows_the_numbers_of_the_results(committed):
    results, tables = committed
    if results["audit"] is None:
        assert results["profile"] == "stand-in"
        return
    lines = tables.starting("The test estimate of sets of samples")
    for line, row in zip(lines, results["audit"]["rows"], strict=False):
        assert numbers(line["Paper's grid of σ"]) == shown([row["test_mean"], row["test_se"]])
        fine = row["fine"]
        assert numbers(line["Finer grid"]) == shown([fine["test_mean"], fine["test_se"]])
    points = tables.starting("The same curve in numbers")
    for line, point in zip(points, results["audit"]["curve"], strict=True):
        assert numbers(line["Test (nats)"]) == shown([point["test_mean"], point["test_se"]])


def browse(page, folder):
    """Load a page in headless Chromium; return the document after its scripts, and its console."""
    ended = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", f"--user-data-dir={folder}", "--dump-dom", page.as_uri()),
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

    def test_the_console_is_heard(self, tmp_path):
        page = tmp_path / "page.html"
        page.write_text("<script>undefinedFunction()</script>")
        assert "undefinedFunction" in browse(page, tmp_path / "profile")[1][0]

    def test_a_click_sorts_a_table_by_number_and_a_second_one_back(self, tmp_path):
        text = (ROOT / PAGES[1]).read_text()
        for clicks, order in ((1, 1), (2, -1)):
            page = tmp_path / f"{clicks}.html"
            click = 'document.querySelector("#table th:nth-child(3) button").click();'
            page.write_text(text.replace("</body>", f"<script>{click * clicks}</script></body>"))
            document, console = browse(page, tmp_path / f"profile{clicks}")
            assert console == []
            rows = Tables(document).starting("Ours beside the paper's.")
            ours = [numbers(row["Ours (nats)"])[0] for row in rows if "±" in row["Ours (nats)"]]
            assert len(ours) > 2
            assert ours == sorted(ours)[::order]
