"""Text of the user or of the machine shows as itself in every format, and as no more than text."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt  # comes with DVC
from ruamel.yaml import YAML

from paper_repro.core.records import write_record
from paper_repro.report import readme, tables
from paper_repro.report.citation import bibliography
from paper_repro.report.escaping import COMMANDS, latex, markdown
from paper_repro.report.release import read_release
from paper_repro.report.report import values
from paper_repro.report.results import Failed, read_results
from paper_repro.report.templating import html, text
from tests.conftest import ROOT

HOSTILE = (
    "<script>alert(1)</script> a|b \\| c\\ **x** *y* _z_ `q` ~~r~~ [l](u) <b@c.d> ![i](u) 5% #1 "
    '$m$ {^} R&D &amp; it\'s "so" -- end --> <!-- end of stand-in results -->\n\n# second\r\n| line'
)
LINE = " ".join(HOSTILE.split())
PROFILES = ("paper", "stand-in")


def spoiled(profile):
    """Return a profile's results with `HOSTILE` for all that a user or a machine may name."""
    results = read_results(profile)
    for row in results.rows:
        row.stand_in = HOSTILE
        row.changed = [HOSTILE]
        row.failed = [Failed(run="mnist-9", status="diverged", reason=HOSTILE, todo=HOSTILE)]
    for made in results.inputs.values():
        made.data["stand_in"] = HOSTILE
    for variant in results.variants:
        variant.changed = [HOSTILE]
    return results


def page(results, name="report.md.j2"):
    """Return a page of results, without pictures, with a release made on a machine so called."""
    release = read_release(results.profile)
    for run in release.runs:
        run.device = run.torch = HOSTILE
    nothing = {
        "figure2": {},
        "figure3": None,
        "forest": False,
        "sigma_grids": False,
        "curves": [],
        "others": {},
    }
    shown = values(results, release, nothing | {"samples": {}, "mixing": {}}) | {"walks": {}}
    return text(name, **shown, notes={"opening": "", "rest": ""}, explore=False)


def parsed(text):
    """Return a text in Markdown as the tokens of a parser that knows GitHub's tables."""
    parser = MarkdownIt("commonmark")
    return parser.enable(["table", "strikethrough"]).parse(text)


def shown(tokens):
    """Return the text of each paragraph, item and cell."""
    return [
        "".join("\n" if part.type == "softbreak" else part.content for part in token.children)
        for token in tokens
        if token.type == "inline"
    ]


def marked(tokens):
    """Return what is more than text, in its order."""
    every = [part for token in tokens for part in (token, *(token.children or ()))]
    return [part.type for part in every if part.type not in ("inline", "text", "softbreak")]


PLAIN = marked(parsed("| a | b |\n| --- | --- |\n| text | last |"))
texts = st.text() | st.text("\\|`*_~[]()<>!&;#$-:ax1 \n\r", max_size=12)


@settings(deadline=None, max_examples=300)
@given(texts)
@example(HOSTILE)
@example("a_b __c__ d*e*")
@example("&lt; &#60; <1@b.c>")
@example("a\\|b\\")
@example("[x][y] [x]: z")
def test_a_cell_in_markdown_is_one_cell_that_shows_its_text(text):
    table = tables.markdown([{"a": text, "b": "last"}])
    assert len(table.splitlines()) == 3
    assert "<!--" not in table
    tokens = parsed(table)
    expected = " ".join(text.splitlines()).strip().replace("\0", "\N{REPLACEMENT CHARACTER}")
    a, b, cell, last = shown(tokens)
    assert (a, b, cell.strip(), last) == ("a", "b", expected, "last")
    assert marked(tokens) == PLAIN


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["report.md.j2", "summary.md.j2"])
def test_names_show_as_themselves_on_every_page(profile, name, monkeypatch):
    monkeypatch.chdir(ROOT)
    written = page(spoiled(profile), name)
    assert "<!--" not in written
    assert "<script>alert" not in html(written, ROOT / "reports" / profile)
    cells = [" ".join(cell.split()) for cell in shown(parsed(written))]
    assert sum(cell.count(LINE) for cell in cells) > len(read_results(profile).rows)


def test_names_leave_the_readme_s_marks_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = spoiled("paper")
    (tmp_path / "reports/paper").mkdir(parents=True)
    for name in ("profiles", "params.yaml", "CITATION.cff", "reports/paper/runs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    write_record(Path("reports/paper/results.json"), results.model_dump(mode="json"))
    old = (ROOT / "README.md").read_text(encoding="utf-8")
    filled = readme.filled(old)
    marks = re.compile(r"<!--.*?-->")
    assert marks.findall(filled) == marks.findall(old)
    assert markdown(HOSTILE) in filled
    assert readme.filled(filled) == filled


@given(st.text("".join(map(chr, range(32, 127))) + "±−\n"))
@example(HOSTILE)
def test_latex_says_the_text_and_nothing_else(text):
    written = latex(text)
    commands = {command: sign for sign, command in COMMANDS.items()}
    known = re.compile("|".join(map(re.escape, sorted(commands, key=len, reverse=True))))
    bare = known.sub("", written)
    assert not set(bare) & set("\\{}_&%#$~^<>|`")
    assert "--" not in written
    assert known.sub(lambda found: commands[found[0]], written) == " ".join(text.split())
    # No sign that cannot be printed.
    assert latex("a\0b\x1bc\N{NO-BREAK SPACE}d\N{ZERO WIDTH SPACE}e") == "abc de"


def test_the_bibliography_s_braces_are_even_whatever_a_title_holds(tmp_path, monkeypatch):
    citation = YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")
    YAML().dump(citation | {"title": "a } b {{ \\} c"}, tmp_path / "CITATION.cff")
    monkeypatch.chdir(tmp_path)
    assert (ROOT / ".nojekyll").is_file()
    assert "{{" not in bibliography()  # which Jekyll's Liquid would fill in
    for entry in bibliography().split("\n\n"):
        depth = 0
        for sign in entry.strip()[:-1]:
            depth += {"{": 1, "}": -1}.get(sign, 0)
            assert depth > 0 or sign in "@inproceedingsmisc"
        assert depth == 1
