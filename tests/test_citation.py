import hashlib
import json
import re

import pytest
from rocrate.rocrate import ROCrate
from ruamel.yaml import YAML

from paper_repro.__main__ import main
from paper_repro.core.circumstances import TRAINING, read_circumstances
from paper_repro.core.errors import UserError
from paper_repro.core.runs import read_run
from paper_repro.report import crate as crates
from paper_repro.report import results as resulting
from paper_repro.report.citation import bibliography, metadata
from paper_repro.report.crate import crate
from paper_repro.report.escaping import latex
from paper_repro.report.release import release
from paper_repro.report.results import Verdict, read_results
from tests.small import ROOT, skip_if_edited

PROFILES = ("paper", "stand-in")


@pytest.fixture(params=PROFILES)
def folder(request):
    skip_if_edited(request.param)
    return ROOT / "reports" / request.param


@pytest.fixture
def described(folder, monkeypatch):
    """The research object of a folder."""
    monkeypatch.chdir(ROOT)
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file()]
    return crate(read_results(folder.name), folder, files)


@pytest.fixture
def results(monkeypatch):
    monkeypatch.chdir(ROOT)
    return read_results("paper")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "", "must hold a mapping"),
        (lambda c: "a: [", "not valid YAML"),
        (lambda c: c.replace("license: MIT\n", ""), "license: no such key"),
        (lambda c: c.replace('date-released: "2', 'date-released: "soon 2'), "must be a date"),
        (lambda c: c.replace("arXiv:1406.2661", "arXiv:1"), "none is arXiv:1406.2661"),
    ],
)
def test_a_citation_file_that_can_t_be_used_is_one_line(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CITATION.cff").write_text(change((ROOT / "CITATION.cff").read_text()))
    with pytest.raises(UserError, match=message):
        bibliography()


@pytest.mark.parametrize("name", ["bibliography.bib", "metadata.yaml"])
def test_the_committed_files_are_made_of_the_citation_file(folder, name, monkeypatch):
    monkeypatch.chdir(ROOT)
    made = bibliography() if name == "bibliography.bib" else metadata(read_results(folder.name))
    assert made == (folder / name).read_text(encoding="utf-8")


# What ReScience C's article.py reads for yaml-to-latex.py and yaml-to-bibtex.py: it stops at a key
# that is not there, and shows a None as "None" where it is no optional text.
TEXTS = ("title", "abstract", "keywords", "type", "domain", "language", "bibliography")
JOINED = {  # lists of mappings, put together to one: the keys, and which must be text
    "code": ({"url", "doi", "swh"}, set()),
    "data": ({"url", "doi"}, set()),
    "replication": ({"cite", "bib", "url", "doi"}, {"cite", "bib"}),
    "review": ({"url"}, set()),
    "dates": ({"received", "accepted", "published"}, set()),
    "article": ({"number", "doi", "url"}, set()),
    "journal": ({"name", "issn", "volume", "issue"}, {"name", "issn"}),
}


def read_as_the_journal_does(text):
    """Return the document, after a look at all that the converter needs."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)  # theirs
    found = yaml.load(text)
    for name in TEXTS:
        assert isinstance(found[name], str), name
        assert found[name], name
    for name, (keys, needed) in JOINED.items():
        joined = {key: value for item in found[name] for key, value in item.items()}
        assert joined.keys() == keys, name
        for key, value in joined.items():
            assert isinstance(value, str) or (value is None and key not in needed), (name, key)
    assert r"\&" not in found["abstract"]  # the converter would escape it again
    return found


@pytest.mark.parametrize("name", ["a_b & c % #1 {x} ~^\\ $y$", "yes", "a: b", "- 'c\n\nd\" #"])
@pytest.mark.parametrize("status", ["ok", "not run", "diverged"])
def test_the_journal_s_converter_reads_any_names(results, name, status):
    def of(**changes):
        rows = [row.model_copy(update=changes) for row in results.rows]
        changed = results.model_copy(update={"rows": rows})
        return read_as_the_journal_does(metadata(changed))["abstract"]

    named = latex(f"replaced by {name}").replace(r"\&", "&")
    assert named in of(stand_in=name, status=status)
    abstract = of(stand_in=name, status=status, paper=None)
    assert "No experiment that the paper gives a number for was run." in abstract
    on = latex(f"It was on {name}.").replace(r"\&", "&")
    assert (on in abstract) is (status != "ok")


def test_the_journal_s_authors_are_those_of_the_citation_file(results, tmp_path, monkeypatch):
    citation = YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")
    byron = {"given-names": "Ada", "family-names": "By_ron", "affiliation": "R&D"}
    berg = {"given-names": "Jo", "family-names": "van den Berg", "email": "jo_b@example.org"}
    berg |= {"affiliation": "R&D", "orcid": "https://orcid.org/0000-0002-1825-0097"}
    citation["authors"] = [byron, {"name": "The other_team"}, berg]
    monkeypatch.chdir(tmp_path)
    YAML().dump(citation, tmp_path / "CITATION.cff")
    found = read_as_the_journal_does(metadata(results))
    keys = ("name", "affiliations", "orcid", "email")
    assert [tuple(author[key] for key in keys) for author in found["authors"]] == [
        (r"Ada By\_ron", "1", None, None),
        # One word, of which the converter takes no part for a family name.
        (r"The~other\_team", "2", None, None),
        ("Jo van den Berg", "1,*", "0000-0002-1825-0097", r"jo\_b@example.org"),
    ]
    places = ({"code": 1, "name": r"R\&D", "address": ""}, {"code": 2, "name": "", "address": ""})
    assert found["affiliations"] == list(places)
    assert [p["role"] for p in found["contributors"]] == ["editor", "reviewer", "reviewer"]
    assert all({"name", "orcid"} <= person.keys() for person in found["contributors"])


@pytest.mark.parametrize(
    ("verdicts", "prefix"),
    [
        (["inconclusive"], "[Re]"),
        (["reproduced", "not reproduced"], "[Re]"),
        (["exploration", "not reproduced"], "[¬Re]"),
    ],
)
def test_a_replication_that_failed_says_so_in_its_title(results, verdicts, prefix):
    rows = [
        results.rows[0].model_copy(update={"verdict": Verdict(kind=given)}) for given in verdicts
    ]
    found = read_as_the_journal_does(metadata(results.model_copy(update={"rows": rows})))
    assert found["title"] == f"{prefix} Generative Adversarial Nets"


def ids(value):
    """What a value of the research object names."""
    if isinstance(value, list):
        return set().union(*map(ids, value))
    return {value["@id"]} if isinstance(value, dict) else set()


def test_the_research_object_has_the_files_as_they_are_and_describes_all_that_it_names(
    folder, described
):
    graph = {entity["@id"]: entity for entity in described["@graph"]}
    assert len(graph) == len(described["@graph"])
    named = set().union(*(ids(value) for entity in graph.values() for value in entity.values()))
    assert named <= graph.keys() | {"https://w3id.org/ro/crate/1.1"}
    files = {name: entity for name, entity in graph.items() if entity["@type"] == "File"}
    assert "results.json" in files
    for name, entity in files.items():
        content = (folder / name).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert entity["contentSize"] == str(len(content))


def test_the_research_object_ties_results_to_data_code_and_recipe(folder, described, tmp_path):
    (tmp_path / "ro-crate-metadata.json").write_text(json.dumps(described))
    crate = ROCrate(tmp_path)  # the library reads what it wrote
    for key, made in read_results(folder.name).inputs.items():
        starts = read_circumstances(read_run(key)[1], "train", TRAINING)["starts"]
        for number, start in enumerate(starts, 1):
            action = crate.get(f"#train-{key}-{number}")
            assert action["instrument"]["sha256"] == start["code_sha256"]
            assert {e["@id"] for e in action["result"]} >= {f"runs/{key}/training.json"}
            read = {f"train-{key}-{number}": "train valid", f"evaluate-{key}": "valid test"}
            for stage, parts in read.items():
                digests = {e.get("sha256") for e in crate.get(f"#{stage}")["object"]} - {None}
                assert digests == {
                    digest
                    for part, digest in made.data["sha256"].items()
                    if part.rstrip("12345") in parts.split()
                }
            (recipe,) = (e for e in action["object"] if e.type == "PropertyValue")
            assert json.loads(recipe["value"]) == made.parameters
            assert action["startTime"] == start["started"] <= action["endTime"]


def test_one_code_under_two_versions_is_two_in_the_research_object(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    results = read_results(folder.name)
    key = next(iter(results.inputs))
    start = read_circumstances(read_run(key)[1], "train", TRAINING)["starts"][0]
    other = start | {"versions": start["versions"] | {"torch": "2.99.0"}}
    stages = {"train": {"seconds": 2.0, "starts": [start, other]}}
    monkeypatch.setattr(crates, "read_circumstances", lambda _, stage, kind: stages.get(stage))
    graph = {entity["@id"]: entity for entity in crate(results, folder, [])["@graph"]}
    for number, torch in ((1, start["versions"]["torch"]), (2, "2.99.0")):
        code = graph[graph[f"#train-{key}-{number}"]["instrument"]["@id"]]
        assert {"@id": f"#torch-{torch}"} in code["softwareRequirements"]


def test_results_of_runs_that_are_listed_no_more_are_refused(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(resulting, "runs", lambda params: {})
    told = r"results\.json: has paper-.*, listed no more; run `dvc repro report@paper`"
    assert main(["readme", "--check"]) == 2
    assert re.search(told, capsys.readouterr().err)
    with pytest.raises(UserError, match=told):
        release()
