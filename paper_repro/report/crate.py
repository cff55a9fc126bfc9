"""``ro-crate-metadata.json``: what a profile's files were made from, by which code and parameters.

A research object in the form of RO-Crate 1.1 with the profile "Process Run Crate": an action for
each start of a training and for each evaluation, from the data and the recipe to the files in this
folder. It says nothing that ``results.json`` and the runs' circumstances do not hold.
"""

import json
import mimetypes
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from paper_repro.core.circumstances import Environment, read_circumstances
from paper_repro.core.files import digest, sha256_file
from paper_repro.core.params import read_params
from paper_repro.core.runs import runs
from paper_repro.report.citation import author_name, read_citation
from paper_repro.report.results import Inputs, Results

PROCESS_RUN = "https://w3id.org/ro/wfrun/process/0.5"
# What Python's own table lacks or what platforms disagree on.
TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".tex": "text/x-tex",
    ".bib": "text/x-bibtex",
    ".yaml": "application/yaml",
}
TRAINED = ("training.json", "curve.csv", "validation.csv")
EVALUATED = ("evaluation.json", "metrics.json")
RECORDED = (*TRAINED, *EVALUATED)
# The parts of a data set that each action reads; TFD's validation and test images are by folds.
PARTS = {
    "training": ("train", "valid"),
    "evaluation": ("valid", "test"),
    "description": ("train", "valid", "test", "labels"),
}


class _Crate:
    """A crate that gives each thing one entity, however often it is named."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"

    def entity(self, identifier: str, kind: str, properties: dict[str, Any]) -> Entity:
        """Return the entity of that identifier, made at its first mention."""
        return self.crate.get(identifier) or self.crate.add(
            ContextEntity(self.crate, identifier, {"@type": kind} | properties)
        )

    def file(self, path: Path) -> Entity:
        """Return a file of the folder."""
        place = path.relative_to(self.folder).as_posix()
        suffix = path.suffix
        return self.crate.get(place) or self.crate.add_file(
            path,
            place,
            properties={
                "name": path.name,
                "encodingFormat": TYPES.get(suffix) or mimetypes.guess_type(path.name)[0],
                "contentSize": str(path.stat().st_size),
                "sha256": sha256_file(path),
            },
        )

    def software(self, made: Environment) -> Entity:
        """Return the code of a stage, as a start or an evaluation recorded it."""
        changes = " with uncommitted changes" if made["uncommitted_changes"] else ""
        said = made.get("git", "not recorded")
        needs = [
            self.entity(
                f"#{name}-{version}",
                "SoftwareApplication",
                {"name": name, "softwareVersion": version},
            )
            for name, version in made["versions"].items()
            if name not in ("paper_repro", "platform")
        ]
        # One code on two machines, or with two versions of torch, is two of these.
        stated = digest([made["versions"], made["uncommitted_changes"]])[:12]
        return self.entity(
            f"#code-{made['code_sha256']}-{made['commit']}-{stated}",
            "SoftwareApplication",
            {
                "name": "paper_repro",
                "softwareVersion": f"commit {made['commit'] or said}{changes}",
                "sha256": made["code_sha256"],
                "softwareRequirements": needs,
            },
        )

    def data(self, found: Inputs, purpose: str) -> list[Entity]:
        """Return the parts of a run's data set that serve a purpose, of those in `PARTS`."""
        data = found.data
        return [
            self.entity(
                f"#data-{sha256}",
                "CreativeWork",
                {
                    "name": f"{data['stand_in'] or data['name']}, {part}",
                    "description": "stand-in" if data["stand_in"] else data["name"],
                    "sha256": sha256,
                },
            )
            for part, sha256 in data["sha256"].items()
            if part.startswith(PARTS[purpose])
        ]


def crate(results: Results, folder: Path, files: list[Path]) -> dict[str, Any]:
    """Return the description of a profile's folder.

    Parameters
    ----------
    files : those of `folder` that the profile's stages wrote.
    """
    citation = read_citation()
    paper = citation["paper"]
    made = _Crate(folder)
    root = made.crate.root_dataset
    root["name"] = f"{citation['title']}: {results.profile} profile"
    root["description"] = "Results, figures and tables beside the paper's, and how they were made"
    if results.profile != "paper":
        root["description"] += "; not comparable with the paper"
    root["datePublished"] = citation["date-released"].isoformat()
    licence = citation["license"]
    root["license"] = made.entity(
        f"https://spdx.org/licenses/{licence}", "CreativeWork", {"name": licence}
    )
    root["conformsTo"] = made.entity(
        PROCESS_RUN, "CreativeWork", {"name": "Process Run Crate", "version": "0.5"}
    )
    root["author"] = made.entity(
        "#authors", "Organization", {"name": ", ".join(map(author_name, citation["authors"]))}
    )
    root["citation"] = made.entity(paper["url"], "ScholarlyArticle", {"name": paper["title"]})
    package = made.entity(
        "#paper_repro",
        "SoftwareApplication",
        {"name": "paper_repro", "softwareVersion": citation["version"]},
    )
    runs_folder = folder / "runs"
    for path in files:
        made.file(path)
    listed = runs(read_params(results.profile))
    for key, found in results.inputs.items():
        training = read_circumstances(listed[key], "train")
        evaluation = read_circumstances(listed[key], "evaluate")
        place = runs_folder / key
        recipe = made.entity(
            f"#recipe-{key}",
            "PropertyValue",
            {
                "name": f"recipe of {key}",
                "value": json.dumps(found.parameters, ensure_ascii=False),
            },
        )
        for number, start in enumerate(training["starts"] if training else [], 1):
            began = datetime.fromisoformat(start["started"])
            made.crate.add_action(
                made.software(start),
                identifier=f"#train-{key}-{number}",
                object=[*made.data(found, "training"), recipe],
                result=[made.file(place / name) for name in TRAINED],
                properties={
                    "name": f"training of {key}, start {number}, {start['device']}",
                    "startTime": began.isoformat(),
                    "endTime": (began + timedelta(seconds=int(start["seconds"]))).isoformat(),
                    "agent": root["author"],
                },
            )
        if evaluation:
            made.crate.add_action(
                made.software(evaluation),
                identifier=f"#evaluate-{key}",
                object=[*made.data(found, "evaluation"), recipe],
                result=[made.file(place / name) for name in EVALUATED],
                properties={"name": f"evaluation of {key}", "agent": root["author"]},
            )
        drawn = [path for path in files if path.parent == place and path.name not in RECORDED]
        made.crate.add_action(
            package,
            identifier=f"#describe-{key}",
            object=[*made.data(found, "description"), made.file(place / "training.json")],
            result=[made.file(path) for path in drawn],
            properties={"name": f"figures and measures of {key}", "agent": root["author"]},
        )
    made.crate.add_action(
        package,
        identifier="#report",
        object=[made.file(path) for path in files if runs_folder in path.parents],
        result=[made.file(path) for path in files if runs_folder not in path.parents],
        properties={"name": "the report", "agent": root["author"]},
    )
    described: dict[str, Any] = made.crate.metadata.generate()
    return described
