"""How to cite the paper and this package, and what a replication journal asks of a submission.

``CITATION.cff`` is the source; ``bibliography.bib`` and ReScience C's ``metadata.yaml`` are made
from it and from the results.
"""

import io
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from paper_repro.core.errors import UserError
from paper_repro.report.schema import Results
from paper_repro.report.templating import environment

CITATION = Path("CITATION.cff")
PAPER_KEY, OUR_KEY = "goodfellow2014generative", "paper_repro"
PAPER_ARXIV = "arXiv:1406.2661"
NEEDED = ("title", "version", "license", "date-released", "authors", "references")
SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "_&%#$"})  # in LaTeX's text


def read_citation() -> dict[str, Any]:
    """Return what ``CITATION.cff`` holds, with the rerun paper under ``paper``.

    Raises
    ------
    UserError
        If it is absent, no YAML, or lacks what is cited.
    """
    try:
        found: Any = YAML(typ="safe", pure=True).load(CITATION.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{CITATION}: no such file; restore it with git") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{CITATION}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise UserError(f"{CITATION}: must hold a mapping; restore it with git")
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise UserError(f"{CITATION}: {missing[0]}: no such key; restore it with git")
    try:
        found["date-released"] = date.fromisoformat(str(found["date-released"]))
    except ValueError:
        raise UserError(f"{CITATION}: date-released: must be a date such as 2014-06-10") from None
    papers = [
        reference
        for reference in found["references"]
        for identifier in reference.get("identifiers", [])
        if identifier.get("value") == PAPER_ARXIV
    ]
    if not papers:
        raise UserError(f"{CITATION}: references: none is {PAPER_ARXIV}; restore it with git")
    return found | {"paper": papers[0]}


def author_name(author: dict[str, str]) -> str:
    """Return the name of one of ``CITATION.cff``'s authors, a person or a team."""
    if "name" in author:
        return author["name"]
    return f"{author['given-names']} {author['family-names']}"


def _entry(kind: str, key: str, fields: dict[str, Any]) -> str:
    texts = {
        name: value if name in ("url", "eprint") else str(value).translate(SPECIAL)
        for name, value in fields.items()
    }
    lines = ",\n".join(f"  {name} = {{{text}}}" for name, text in texts.items())
    return f"@{kind}{{{key},\n{lines}\n}}\n"


def bibliography() -> str:
    """Return ``bibliography.bib``: the paper and this package, in BibTeX."""
    ours = read_citation()
    paper = ours["paper"]
    names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    entries = (
        _entry(
            "inproceedings",
            PAPER_KEY,
            {
                "title": paper["title"],
                "author": " and ".join(names),
                "booktitle": paper["collection-title"],
                "year": paper["year"],
                "eprint": PAPER_ARXIV.removeprefix("arXiv:"),
                "archiveprefix": "arXiv",
                "url": paper["url"],
            },
        ),
        _entry(
            "misc",
            OUR_KEY,
            {
                "title": f"{{{ours['title']}}}",  # as it is, no letter made small
                "author": " and ".join(f"{{{author_name(author)}}}" for author in ours["authors"]),
                "year": ours["date-released"].year,
                "note": f"Software, version {ours['version']}, licence {ours['license']}",
            },
        ),
    )
    return "\n".join(entries)


def _prefix(results: Results) -> str:
    """Return ReScience C's prefix of a title: [¬Re] for a replication that failed for good."""
    final = [row["verdict"] for row in results["rows"] if not row["verdict"]["provisional"]]
    verdicts = [verdict["reproduced"] for verdict in final]
    return "[¬Re]" if False in verdicts and True not in verdicts else "[Re]"


def metadata(results: Results) -> str:
    """Return ``metadata.yaml`` in the form of ReScience C; what only an author can say is empty."""
    ours = read_citation()
    paper = ours["paper"]
    compared = [row for row in results["rows"] if row["paper"] and row["mean"] is not None]
    abstract = environment("text").get_template("abstract.txt.j2")
    authors = ", ".join(author_name(author) for author in paper["authors"])
    content = {
        "title": f"{_prefix(results)} {paper['title']}",
        "authors": [
            {"name": author_name(author), "orcid": None, "email": None, "affiliations": "*"}
            for author in ours["authors"]
        ],
        "affiliations": [],
        "keywords": "generative adversarial networks, Parzen window, MNIST, TFD, CIFAR-10",
        "code": [{"url": ours.get("repository-code")}, {"doi": ours.get("doi")}, {"swh": None}],
        "data": [{"url": None}, {"doi": None}],
        "replication": [
            {"cite": f"{authors}. {paper['title']}. {paper['collection-title']}, {paper['year']}."},
            {"bib": PAPER_KEY},
            {"url": paper["url"]},
            {"doi": paper["doi"]},
        ],
        "abstract": " ".join(abstract.render(results=results, compared=compared).split()),
        "bibliography": "bibliography.bib",
        "type": "Replication",
        "domain": "Machine learning",
        "language": "Python",
    }
    stream = io.StringIO()
    yaml = YAML()
    yaml.allow_unicode = True
    yaml.width = 100
    yaml.dump(content, stream)
    return stream.getvalue()
