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

from paper_repro.core.circumstances import (
    MEASUREMENT,
    TRAINING,
    Environment,
    read_circumstances,
)
from paper_repro.core.files import digest, sha256_file
from paper_repro.core.params import read_params
from paper_repro.core.runs import Run, runs
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

    def entity(self, identifier: str, kind: str, **properties: Any) -> Entity:
        """Return the entity of that identifier, made at its first mention."""
        return self.crate.get(identifier) or self.crate.add(
            ContextEntity(self.crate, identifier, {"@type": kind} | properties)
        )

    def file(self, path: Path) -> Entity:
        """Return a file of the folder."""
        place = path.relative_to(self.folder).as_posix()
        return self.crate.get(place) or self.crate.add_file(
            path,
            place,
            properties={
                "name": path.name,
                "encodingFormat": TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0],
                "contentSize": str(path.stat().st_size),
                "sha256": sha256_file(path),
            },
        )

    def software(self, made: Environment) -> Entity:
        """Return the code of a stage, as a start or an evaluation recorded it."""
        commit = f"commit {made['commit'] or made.get('git', 'not recorded')}"
        commit += " with uncommitted changes" if made["uncommitted_changes"] else ""
        needs = [
            self.entity(
                f"#{name}-{version}", "SoftwareApplication", name=name, softwareVersion=version
            )
            for name, version in made["versions"].items()
            if name not in ("paper_repro", "platform")
        ]
        # One code on two machines, or with two versions of torch, is two of these.
        stated = digest([made["versions"], made["uncommitted_changes"]])[:12]
        return self.entity(
            f"#code-{made['code_sha256']}-{made['commit']}-{stated}",
            "SoftwareApplication",
            name="paper_repro",
            softwareVersion=commit,
            sha256=made["code_sha256"],
            softwareRequirements=needs,
        )

    def data(self, found: Inputs, purpose: str) -> list[Entity]:
        """Return the parts of a run's data set that serve a purpose, of those in `PARTS`."""
        data = found.data
        return [
            self.entity(
                f"#data-{sha256}",
                "CreativeWork",
                name=f"{data['stand_in'] or data['name']}, {part}",
                description="stand-in" if data["stand_in"] else data["name"],
                sha256=sha256,
            )
            for part, sha256 in data["sha256"].items()
            if part.startswith(PARTS[purpose])
        ]

    def action(
        self,
        identifier: str,
        name: str,
        software: Entity,
        inputs: list[Entity],
        results: list[Path],
        **times: str,
    ) -> None:
        """Add what `software` made of its inputs, by the authors."""
        self.crate.add_action(
            software,
            identifier=identifier,
            object=inputs,
            result=[self.file(path) for path in results],
            properties={"name": name, **times, "agent": self.crate.root_dataset["author"]},
        )

    def run(self, key: str, run: Run, found: Inputs) -> None:
        """Add the trainings and the evaluation of a run."""
        training = read_circumstances(run, "train", TRAINING)
        evaluation = read_circumstances(run, "evaluate", MEASUREMENT)
        folder, value = self.folder / "runs" / key, json.dumps(found.parameters, ensure_ascii=False)
        recipe = self.entity(
            f"#recipe-{key}", "PropertyValue", name=f"recipe of {key}", value=value
        )
        for number, start in enumerate(training["starts"] if training else [], 1):
            began = datetime.fromisoformat(start["started"])
            self.action(
                f"#train-{key}-{number}",
                f"training of {key}, start {number}, {start['device']}",
                self.software(start),
                [*self.data(found, "training"), recipe],
                [folder / name for name in TRAINED],
                startTime=began.isoformat(),
                endTime=(began + timedelta(seconds=int(start["seconds"]))).isoformat(),
            )
        if evaluation:
            self.action(
                f"#evaluate-{key}",
                f"evaluation of {key}",
                self.software(evaluation),
                [*self.data(found, "evaluation"), recipe],
                [folder / name for name in EVALUATED],
            )


def crate(results: Results, folder: Path, files: list[Path]) -> dict[str, Any]:
    """Return the description of a profile's folder.

    Parameters
    ----------
    files : those of `folder` that the profile's stages wrote.
    """
    citation, made = read_citation(), _Crate(folder)
    paper, licence, root = citation["paper"], citation["license"], made.crate.root_dataset
    root["name"] = f"{citation['title']}: {results.profile} profile"
    root["description"] = "Results, figures and tables beside the paper's, and how they were made"
    if results.profile != "paper":
        root["description"] += "; not comparable with the paper"
    root["datePublished"] = citation["date-released"].isoformat()
    root["license"] = made.entity(
        f"https://spdx.org/licenses/{licence}", "CreativeWork", name=licence
    )
    root["conformsTo"] = made.entity(
        PROCESS_RUN, "CreativeWork", name="Process Run Crate", version="0.5"
    )
    authors = ", ".join(map(author_name, citation["authors"]))
    root["author"] = made.entity("#authors", "Organization", name=authors)
    root["citation"] = made.entity(paper["url"], "ScholarlyArticle", name=paper["title"])
    version = citation["version"]
    package = made.entity(
        "#paper_repro", "SoftwareApplication", name="paper_repro", softwareVersion=version
    )
    for path in files:
        made.file(path)
    listed = runs(read_params(results.profile))
    for key, found in results.inputs.items():
        made.run(key, listed[key], found)
        inputs = [*made.data(found, "description"), made.file(folder / "runs" / key / TRAINED[0])]
        drawn = [path for path in files if path.parent == folder / "runs" / key]
        drawn = [path for path in drawn if path.name not in (*TRAINED, *EVALUATED)]
        made.action(f"#describe-{key}", f"figures and measures of {key}", package, inputs, drawn)
    of_runs = [path for path in files if folder / "runs" in path.parents]
    page = [path for path in files if path not in of_runs]
    made.action("#report", "the report", package, [made.file(path) for path in of_runs], page)
    described: dict[str, Any] = made.crate.metadata.generate()
    return described
