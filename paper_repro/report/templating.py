"""From texts to pages: Jinja puts in numbers, markdown-it makes HTML of the same Markdown.

The texts are in the folder ``texts``, the frame of the HTML pages in ``templates``.
"""

import base64
import functools
import re
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from paper_repro.core.files import read_bytes, read_text, write_text
from paper_repro.core.runs import repro
from paper_repro.report import escaping, tables
from paper_repro.report import formatting as nats
from paper_repro.report.escaping import Markdown

KEPT = set(string.ascii_lowercase + string.digits + " -_")  # of a heading, in its anchor


@functools.cache
def environment(form: Literal["HTML", "Markdown", "text"]) -> Environment:
    """Return the templates' environment: an unknown name is an error, never an empty string.

    Parameters
    ----------
    form : what the templates are written in; all that is put into them shows as itself there.
    """
    templates = Environment(
        loader=PackageLoader("paper_repro.report", "templates" if form == "HTML" else "texts"),
        autoescape=form == "HTML",
        finalize=escaping.markdown if form == "Markdown" else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    named: list[Callable[..., Any]] = [nats.printed, nats.signed, nats.between, nats.duration]
    named += [nats.commit, tables.title_of, escaping.code, escaping.latex, table]
    templates.filters |= {function.__name__: function for function in named}
    templates.filters |= {
        "nats": nats.number,
        "braced": lambda text: f"{{{text}}}",
    }
    templates.globals |= {"repro": repro, "tables": tables}
    return templates


def table(rows: str) -> Markdown:
    """Return a table in Markdown.

    Parameters
    ----------
    rows : in Markdown, with an empty line after each; a line ``column: cell`` for each column.
    """
    found = []
    for row in filter(None, re.split(r"\n\s*\n", rows.strip("\n"))):
        cells = (line.partition(":") for line in row.splitlines())
        found.append({column: Markdown(cell.strip(" ")) for column, _, cell in cells})
    return Markdown(f"{tables.markdown(found)}\n")  # that of the block's end is trimmed


def text(name: str, /, **values: Any) -> str:
    """Return one of the texts with its numbers, in Markdown."""
    page = environment("Markdown").get_template(name).render(values)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def notes(folder: Path) -> dict[str, Markdown]:
    """Return what a person wrote about a report: before its first heading, and the rest.

    Both are empty where nobody wrote any.
    """
    path = folder / "notes.md"
    found = read_text(path) if path.is_file() else ""
    opening, heading, rest = found.partition("\n## ")
    return {
        "opening": Markdown(opening.strip()),
        "rest": Markdown((heading + rest).strip()),
    }


class _Page(RendererHTML):
    """GitHub's Markdown as one HTML file: pictures inside, tables that scroll, headings to link."""

    def heading_open(self, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        shown = tokens[i + 1].content.lower()
        anchor = "".join(sign for sign in shown if sign in KEPT).replace(" ", "-")
        tokens[i].attrSet("id", anchor)
        return self.renderToken(tokens, i, options, env)

    def image(self, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        path = env["folder"] / str(tokens[i].attrs["src"])
        content = base64.b64encode(read_bytes(path)).decode()
        tokens[i].attrSet("src", f"data:image/png;base64,{content}")
        return super().image(tokens, i, options, env)

    def link_open(self, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        place = str(tokens[i].attrs["href"])
        tokens[i].attrSet("href", re.sub(r"README\.md(?=#|$)", "index.html", place))
        return self.renderToken(tokens, i, options, env)

    def table_open(self, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        env["tables"] = number = env.get("tables", 0) + 1  # a region's name is its own
        region = f'tabindex="0" role="region" aria-label="Table {number}"'
        return f'<div class="scroll" {region}><table>\n'

    def table_close(self, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], i: int, options: Any, env: Any) -> str:
        tokens[i].attrSet("scope", "col")
        return self.renderToken(tokens, i, options, env)


def html(markdown: str, folder: Path) -> str:
    """Return a page of Markdown as an HTML page that holds its pictures.

    Parameters
    ----------
    folder : where the page will lie; its pictures are seen from there.
    """
    parser = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Page).enable("table")
    title = markdown.partition("\n")[0].removeprefix("# ")
    body = parser.render(markdown, {"folder": folder}).replace("<pre>", '<pre tabindex="0">')
    return environment("HTML").get_template("page.html.j2").render(title=title, body=body)


def write_page(markdown: str, folder: Path) -> None:
    """Write a report's ``README.md`` and, from the same text, its ``index.html``."""
    write_text(folder / "README.md", markdown)
    write_text(folder / "index.html", html(markdown, folder))
