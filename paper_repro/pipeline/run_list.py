"""``paper_repro runs``: a profile's runs as DVC takes them, and its copy of the pipeline.

A profile's ``seeds`` lists runs, a line an experiment. DVC needs them spelled out.
"""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_text, write_text
from paper_repro.core.measure import Measure
from paper_repro.core.params import PAPER, Params, profiles, read_params
from paper_repro.core.recipe import family_in
from paper_repro.core.records import write_record
from paper_repro.core.runs import (
    measure_key,
    model_path,
    pipeline_path,
    runs,
    walk_path,
    weights_path,
)
from paper_repro.core.titles import TITLES
from paper_repro.pipeline.presentation import ABLATIONS, checked_runs, presentation

# What a stage that opens a run depends on.
OPENED = ("dataset", "measure", "model", "weights", "record")
NO_RELEASE: dict[str, Any] = {"version": "none", "commit": None, "runs": []}


def run_list_path(profile: str) -> Path:
    """Return where DVC finds a profile's runs, beside its pipeline."""
    return pipeline_path(profile).with_name("runs.yaml")


def _require_effect(params: Params, datasets: set[str]) -> None:
    """Raise a `UserError` for an entry that nothing would ever read."""
    experiments = {name for file in params.files for name in file.values.get("experiments", {})}
    known = {
        ("data",): datasets,
        ("measure",): datasets | experiments,
        ("presentation", "protocol"): experiments,
    }
    for keys, names in known.items():
        entries = params.own.at(keys) if params.own.has(keys) else {}
        for name in entries if isinstance(entries, dict) else ():
            if name not in names:
                raise UserError(
                    f"{params.own.path}: {'.'.join(keys)}.{name}: nothing reads this; possible "
                    f"are {', '.join(sorted(names))}"
                )


def run_list(params: Params) -> str:
    """Return a profile's list of runs as DVC's pipeline takes it (`UserError` as `runs`).

    Written out, because DVC can't look anything up: the base of a variant, the data set, the
    measure's entry, the model that a run starts from, the code of its family.
    """
    profile, own, listed = params.profile, params.own, runs(params)
    used = {run.dataset for run in listed.values()}
    _require_effect(params, used | set(TITLES))
    shown = presentation(params)
    families = {key: family_in(params, run.experiment) for key, run in listed.items()}
    walked = [
        key
        for key, run in listed.items()
        if params.parse(Measure, "measure", measure_key(params, run)).walk
    ]
    entries: dict[str, dict[str, str]] = {}
    for key, run in listed.items():
        family = families[key]
        entries[key] = {
            "experiment": run.experiment,
            "base": params.base(run.experiment),
            "dataset": run.dataset,
            "measure": measure_key(params, run),
            "training": family.training,
            "start": str(run.stacked_on or family.more),
            "model": family.model,
            "weights": str(weights_path(run) if key in shown.published else model_path(key)),
            "record": str(walk_path(run) if key in walked else run.folder / "training.json"),
        }
        if not own.has(("data", run.dataset)):
            raise UserError(f"{own.path}: data.{run.dataset}: no such key, but {key} is of it")
        for name in (run.experiment, entries[key]["base"]):
            if not own.has(("experiments", name)):
                raise UserError(
                    f"{own.path}: experiments.{name}: no such key, but {key} is listed; "
                    "add it, if need be as {}, so that DVC sees what changes there"
                )

    def opened(key: str) -> dict[str, str]:
        return {name: entries[key][name] for name in OPENED}  # anew: YAML would alias a shared one

    first = {run.experiment: key for key, run in reversed(listed.items())}
    for group in ("diagnosed", "checked", "mixing"):
        for name in getattr(shown, group):
            if name not in first:
                raise UserError(f"{own.path}: presentation.{group}: no run of {name} is listed")
    for name in shown.step_sizes:  # not all need be run
        params.group("experiments", name)
    for key in shown.published:
        if key not in listed:
            raise UserError(f"{own.path}: presentation.published: {key} is not listed")
    if shown.published and not own.has(("presentation", "protocol")):
        raise UserError(
            f"{own.path}: presentation.protocol: no such key, but runs are published; add "
            "it, if need be as {}, so that DVC sees what changes there"
        )
    studied = profile == ABLATIONS
    content = {
        "profile": profile,
        "root": "." if profile == PAPER else "../..",
        "own_params": str(own.path),
        "run_list": str(run_list_path(profile)),
        "reports": [] if studied else [profile],
        "studies": [profile] if studied else [],
        "prepare": {
            f"{profile}-{name}": {
                "dataset": name,
                "raw": f"data/{'stand-in' if params.group('data', name).get('stand_in') else 'raw'}"
                f"/{name}",
            }
            for name in params.group("data")
            if name in used
        },
        "runs": entries,
        "independent": {  # a study's page shows one run of each experiment
            key: opened(key)
            for key, run in listed.items()
            if families[key].independent and not (studied and key != first[run.experiment])
        },
        "diagnosed": {first[name]: opened(first[name]) for name in shown.diagnosed},
        "checked": {key: opened(key) for key in checked_runs(shown, listed)},
        "sheets": {first[name]: opened(first[name]) for name in shown.checked},
        "walked": {key: opened(key) for key in walked},
        "published": {key: opened(key) for key in shown.published},
        "mixed": {first[name]: opened(first[name]) for name in shown.mixing},
        "explored": {profile: {"run": shown.published[0]}} if shown.published else {},
    }
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None  # a line a run
    yaml.width = 1000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(content, stream)
    return f"# Written by `paper_repro runs` from {own.path}.\n{stream.getvalue()}"


def _written(profile: str) -> dict[Path, tuple[str, Path]]:
    """Return what `write_run_lists` writes for DVC, by path, and what each is written from."""
    params, source = read_params(profile), pipeline_path(PAPER)
    found = {run_list_path(profile): (run_list(params), params.own.path)}
    if profile != PAPER:  # a copy: DVC reads a link in a commit as the text that git keeps of it
        found[pipeline_path(profile)] = read_text(source), source
    return found


def require_current_lists() -> None:
    """Raise a `UserError` if a list of runs, or a copy of the pipeline, is not what it should be.

    DVC would leave out a seed that is only in the parameters, without a word.
    """
    for profile in profiles():
        for path, (now, source) in _written(profile).items():
            if not path.is_file() or read_text(path) != now:
                raise UserError(f"{path}: is not what {source} says; run `paper_repro runs`")


def write_run_lists() -> None:
    """Write every profile's list of runs and copy of the pipeline (`UserError` as `run_list`).

    With it, for a new profile, the two files that its report takes as given: a person's notes and
    the published release. Both are empty at first.
    """
    for profile in profiles():
        notes, release = (Path("reports", profile, name) for name in ("notes.md", "release.json"))
        if not notes.exists():
            write_text(notes, "")
        if not release.exists():
            write_record(release, NO_RELEASE)
        for path, (now, _) in _written(profile).items():
            write_text(path, now)
            print(f"runs: {path}")
