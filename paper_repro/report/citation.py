"""How to cite the paper and this package, and what a replication journal asks of a submission.

``CITATION.cff`` is the source; ``bibliography.bib`` and ReScience C's ``metadata.yaml`` are made
from it and from the results. Their texts are LaTeX, but for URLs and identifiers.
"""

import copy
import io
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import SingleQuotedScalarString as Quoted

from paper_repro.core.errors import UserError
from paper_repro.core.params import read_yaml
from paper_repro.report.content import content
from paper_repro.report.escaping import latex
from paper_repro.report.results import Results
from paper_repro.report.templating import environment

CITATION = Path("CITATION.cff")
PAPER_ARXIV = "arXiv:1406.2661"
NEEDED = ("title", "version", "license", "date-released", "authors", "references")
ORCID = "https://orcid.org/"


def read_citation() -> dict[str, Any]:
    """Return what ``CITATION.cff`` holds, with the rerun paper under ``paper``.

    Raises
    ------
    UserError
        If it is absent, no YAML, or lacks what is cited.
    """
    found = read_yaml(CITATION)
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


def bibliography() -> str:
    """Return ``bibliography.bib``: the paper and this package, in BibTeX."""
    ours = read_citation()
    authors = ours["paper"]["authors"]
    entries = environment("text").get_template("bibliography.bib.j2")
    text = entries.render(
        ours=ours,
        our_authors=[author_name(author) for author in ours["authors"]],
        paper=ours["paper"],
        paper_authors=[f"{one['family-names']}, {one['given-names']}" for one in authors],
    )
    # GitHub's pages take two braces side by side for a field of their own.
    return text.replace("{{", "{ {").replace("}}", "} }")


def _prefix(results: Results) -> str:
    """Return ReScience C's prefix of a title: [¬Re] for a replication that failed for good."""
    answers = {row.verdict.answer for row in results.rows}
    failed = "not reproduced" in answers and "reproduced" not in answers
    return "[¬Re]" if failed else "[Re]"


def _authors(authors: list[dict[str, str]]) -> dict[str, list[dict[str, Any]]]:
    """Return authors and affiliations for ReScience C, one author being the contact.

    Its converter takes an author's affiliations as text, and the one with ``*`` as the contact
    only if a code stands beside it. An author without an affiliation gets an empty one.
    """
    places = list(dict.fromkeys(author.get("affiliation", "") for author in authors))
    contact = next((author for author in authors if "email" in author), authors[0])
    listed = []
    for author in authors:
        name = latex(author_name(author))
        if "name" in author:  # a team's is one word, or its last would count as a family name
            name = name.replace(" ", "~")
        code = str(places.index(author.get("affiliation", "")) + 1)
        listed.append(
            {
                "name": Quoted(name),
                "orcid": author.get("orcid", "").removeprefix(ORCID) or None,
                "email": Quoted(latex(author.get("email", ""))) or None,
                "affiliations": f"{code},*" if author is contact else code,
            }
        )
    affiliations = [
        {"code": code, "name": Quoted(latex(place)), "address": ""}
        for code, place in enumerate(places, 1)
    ]
    return {"authors": listed, "affiliations": affiliations}


def metadata(results: Results) -> str:
    """Return ``metadata.yaml`` as ReScience C's converter to LaTeX reads it."""
    ours = read_citation()
    paper = ours["paper"]
    compared = [row for row in results.own if row.mean is not None]
    template = environment("text").get_template("abstract.txt.j2")
    abstract = latex(template.render(results=results, compared=compared))
    authors = ", ".join(author_name(author) for author in paper["authors"])
    cite = f"{authors}. {paper['title']}. {paper['collection-title']}, {paper['year']}."
    # In single quotes: in double ones a line may be broken within a command, which adds a space.
    known: dict[str, Any] = copy.deepcopy(content("texts/metadata.yaml"))
    known |= _authors(ours["authors"])
    known["title"] = Quoted(f"{_prefix(results)} {latex(paper['title'])}")
    known["abstract"] = Quoted(abstract.replace(r"\&", "&"))  # which the converter escapes itself
    known["code"] = [{"url": ours.get("repository-code")}, {"doi": ours.get("doi")}, {"swh": None}]
    key = {"bib": "goodfellow2014generative"}  # of bibliography.bib
    urls = [{"url": paper["url"]}, {"doi": paper["doi"]}]
    known["replication"] = [{"cite": Quoted(latex(cite))}, key, *urls]
    stream = io.StringIO()
    yaml = YAML()
    yaml.allow_unicode = True
    yaml.width = 100
    yaml.dump(known, stream)
    return stream.getvalue()
