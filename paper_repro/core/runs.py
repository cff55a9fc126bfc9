"""The training runs of a profile: an experiment with one seed each.

A profile's ``seeds`` lists them, a line an experiment. DVC needs them spelled out: ``runs.yaml``,
which is written from there.
"""

import io
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt
from ruamel.yaml import YAML

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_text, write_text
from paper_repro.core.params import (
    OWN,
    PAPER,
    PROFILES,
    Count,
    Model,
    Params,
    params_path,
    parse,
    profiles,
    read_params,
)
from paper_repro.core.recipe import family_in
from paper_repro.core.titles import TITLES

# What records say that a run starts from if it is stacked on no other: it stands in the header of
# every model file made so far, so that it stays, whatever lies in that place.
RANDOM = "paper_repro/models/random_weights.txt"
GROUPS = {*OWN, "experiments", "theory", "parzen_audit", "mixing"}  # of a params file
PIPELINE = Path("dvc.yaml")
ABLATIONS = "ablations"  # a study with a page of its own, not a report beside the paper
OPENED = ("dataset", "measure", "model", "weights")  # what a stage that opens a run depends on
NO_RELEASE = '{"version": "none", "commit": null, "runs": []}\n'
NAME = r"^[a-z0-9_]+$"  # of an experiment: it becomes part of files' names


class Run(Model):
    """One training run: a profile's experiment with one seed."""

    profile: str
    experiment: Annotated[str, Field(pattern=NAME)]
    dataset: str
    seed: NonNegativeInt
    start: str  # what the first weights come from: RANDOM, or the model of another run

    @property
    def key(self) -> str:
        """The run's name in stages and files."""
        return run_key(self.profile, self.experiment, self.seed)

    @property
    def folder(self) -> Path:
        """Where the run's small results lie."""
        return Path("reports", self.profile, "runs", self.key)

    @property
    def stacked_on(self) -> Path | None:
        """The model whose layers the run continues; None if all its weights are random."""
        return None if self.start == RANDOM else Path(self.start)


def model_path(key: str) -> Path:
    """Return where a run's model lies."""
    return Path("models", f"{key}.safetensors")


def weights_path(run: Run) -> Path:
    """Return where a run's published generator lies."""
    return run.folder / "generator.safetensors"


def run_key(profile: str, experiment: str, seed: int) -> str:
    """Return a run's name."""
    return f"{profile}-{experiment}-{seed}"


class _Seeds(Model):
    seeds: dict[Annotated[str, Field(pattern=NAME)], tuple[NonNegativeInt, ...]]


def _runs(params: Params, experiment: str, seeds: tuple[int, ...]) -> list[Run]:
    recipe, places = params.recipe(experiment)
    found, below = [], recipe.get("pretrained")
    for seed in seeds:
        start = model_path(run_key(params.profile, below, seed)).as_posix() if below else RANDOM
        values: dict[str, Any] = {
            "profile": params.profile,
            "experiment": experiment,
            "dataset": recipe.get("dataset"),
            "seed": seed,
            "start": start,
        }
        found.append(parse(Run, places, values))
    return found


def runs(params: Params) -> dict[str, Run]:
    """Return a profile's runs by key, in the order of its file.

    Raises
    ------
    UserError
        If a seed is listed twice or is none, or if an experiment has no recipe.
    """
    place = params.own
    listed = parse(_Seeds, [place], {"seeds": params.group("seeds")})
    found: dict[str, Run] = {}
    for experiment, seeds in listed.seeds.items():
        if len(set(seeds)) < len(seeds):
            raise UserError(f"{place.path}: seeds.{experiment}: a seed is listed twice")
        found |= {run.key: run for run in _runs(params, experiment, seeds)}
    for key, run in found.items():
        below = run.stacked_on
        if below is not None and below.stem not in found:
            raise UserError(
                f"{place.path}: seeds.{run.experiment}: {key} is stacked on {below.stem}, which "
                "is not listed; add its seed"
            )
    return found


def read_run(key: str) -> tuple[Params, Run]:
    """Return a listed run by its key, and its profile's parameters.

    Raises
    ------
    UserError
        If the parameters are bad or no such run is listed.
    """
    profile = key.rsplit("-", 2)[0]
    params = read_params(profile)
    listed = runs(params)
    if key not in listed:
        known = ", ".join(listed)
        raise UserError(f"{params.own.path}: seeds: no run {key} (there: {known})")
    return params, listed[key]


class Protocol(Model):
    """Which runs of an experiment are judged; see ``reports/paper/protocol.md``."""

    epochs: Count
    seeds: tuple[NonNegativeInt, ...]


class Presentation(Model):
    """What is looked at closely and published; it changes no training, but `protocol` a verdict."""

    diagnosed: tuple[str, ...] = ()  # experiments whose first seed's samples are looked at closely
    checked: tuple[str, ...] = ()  # and those of which they are only compared with training images
    published: tuple[str, ...] = ()  # runs whose weights are in git
    mixing: tuple[str, ...] = ()  # experiments whose first seed's samples are followed in order
    # By experiment: the runs that are judged, fixed before they were trained.
    protocol: dict[str, Protocol] = Field(default_factory=dict)

    def judges(self, run: Run, epochs: int) -> bool:
        """Return whether a run, if it has that length, is one of those that are judged."""
        named = self.protocol.get(run.experiment)
        return named is not None and run.seed in named.seeds and epochs == named.epochs


def presentation(params: Params) -> Presentation:
    """Return what a profile says of its presentation (`UserError` as `Params.parse`)."""
    return params.parse(Presentation, "presentation")


def measure_key(params: Params, run: Run) -> str:
    """Return whose entry in `measure` a run is measured by: its own, its base's or its data's."""
    entries = params.group("measure")
    own = (run.experiment, params.base(run.experiment))
    return next((name for name in own if name in entries), run.dataset)


def stage_address(profile: str, stage: str) -> str:
    """Return what DVC calls a stage of a profile, from the repository's root."""
    return stage if profile == PAPER else f"{PROFILES}/{profile}/dvc.yaml:{stage}"


def report_stage(profile: str) -> str:
    """Return the stage that writes a profile's page."""
    return f"{'study' if profile == ABLATIONS else 'report'}@{profile}"


def repro(profile: str, *stages: str, alone: bool = False) -> str:
    """Return the command that runs stages of a profile, as errors and pages name it.

    Parameters
    ----------
    alone : again, and without the stages before them.
    """
    command = "dvc repro -s -f" if alone else "dvc repro"
    return " ".join([command, *(stage_address(profile, stage) for stage in stages)])


def run_list_path(profile: str) -> Path:
    """Return where DVC finds a profile's runs, beside its pipeline."""
    return params_path(profile).with_name("runs.yaml")


def _require_effect(params: Params) -> None:
    """Raise a `UserError` for a group or an entry that nothing would ever read."""
    experiments = {name for file in params.files for name in file.values.get("experiments") or {}}
    known = {
        "": GROUPS,
        "data": set(TITLES),
        "measure": set(TITLES) | experiments,
        "presentation.protocol": experiments,
    }
    for key, names in known.items():
        values: Any = params.own.values
        for part in filter(None, key.split(".")):
            values = values.get(part) or {}
        for name in values if isinstance(values, dict) else ():
            if name not in names:
                dotted = f"{key}.{name}".lstrip(".")
                raise UserError(
                    f"{params.own.path}: {dotted}: nothing reads this; possible are "
                    f"{', '.join(sorted(names))}"
                )


def run_list(params: Params) -> str:
    """Return a profile's list of runs as DVC's pipeline takes it (`UserError` as `runs`).

    Written out, because DVC can't look anything up: the base of a variant, the data set, the
    measure's entry, the model that a run starts from, the code of its family.
    """
    _require_effect(params)
    profile, shown, listed = params.profile, presentation(params), runs(params)
    entries: dict[str, dict[str, str]] = {}
    for key, run in listed.items():
        family = family_in(params, run.experiment)
        entries[key] = {
            "experiment": run.experiment,
            "base": params.base(run.experiment),
            "dataset": run.dataset,
            "measure": measure_key(params, run),
            "training": family.training,
            "start": (run.stacked_on or Path(family.more)).as_posix(),
            "model": family.model,
            "weights": (
                weights_path(run) if key in shown.published else model_path(key)
            ).as_posix(),
        }
        for name in (run.experiment, entries[key]["base"]):
            if not params.own.has(("experiments", name)):
                raise UserError(
                    f"{params.own.path}: experiments.{name}: no such key, but {key} is listed; "
                    "add it, if need be as {}, so that DVC sees what changes there"
                )

    def opened(key: str) -> dict[str, str]:
        return {name: entries[key][name] for name in OPENED}  # anew: YAML would alias a shared one

    first = {run.experiment: key for key, run in reversed(listed.items())}
    for group in ("diagnosed", "checked", "mixing"):
        for name in getattr(shown, group):
            if name not in first:
                raise UserError(
                    f"{params.own.path}: presentation.{group}: no run of {name} is listed"
                )
    for key in shown.published:
        if key not in listed:
            raise UserError(f"{params.own.path}: presentation.published: {key} is not listed")
    if shown.published and not params.own.has(("presentation", "protocol")):
        raise UserError(
            f"{params.own.path}: presentation.protocol: no such key, but runs are published; add "
            "it, if need be as {}, so that DVC sees what changes there"
        )
    own = params_path(profile)
    studied = profile == ABLATIONS
    content = {
        "profile": profile,
        "root": "." if profile == PAPER else "../..",
        "own_params": own.as_posix(),
        "run_list": run_list_path(profile).as_posix(),
        "reports": [] if studied else [profile],
        "studies": [profile] if studied else [],
        "prepare": {
            f"{profile}-{name}": {
                "dataset": name,
                "raw": f"data/{'stand-in' if size.get('stand_in') else 'raw'}/{name}",
            }
            for name, size in params.group("data").items()
            if name in {run.dataset for run in listed.values()}
        },
        "runs": entries,
        "independent": {
            key: opened(key)
            for key, run in listed.items()
            if family_in(params, run.experiment).independent
        },
        "diagnosed": {first[name]: opened(first[name]) for name in shown.diagnosed},
        "checked": {
            first[name]: opened(first[name])
            for name in dict.fromkeys((*shown.diagnosed, *shown.checked))
        },
        "sheets": {first[name]: opened(first[name]) for name in shown.checked},
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
    return f"# Written by `paper_repro runs` from {own.as_posix()}.\n{stream.getvalue()}"


def _written(profile: str) -> dict[Path, tuple[str, Path]]:
    """Return what `write_run_lists` writes for DVC, by path, and what each is written from."""
    path = run_list_path(profile)
    found = {path: (run_list(read_params(profile)), params_path(profile))}
    if profile != PAPER:  # a copy: DVC reads a link in a commit as the text that git keeps of it
        found[path.with_name(PIPELINE.name)] = read_text(PIPELINE), PIPELINE
    return found


def require_current_lists() -> None:
    """Raise a `UserError` if a list of runs is not what its profile's parameters say.

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
        for name, first in (("notes.md", ""), ("release.json", NO_RELEASE)):
            path = Path("reports", profile, name)
            if not path.exists():
                write_text(path, first)
        for path, (now, _) in _written(profile).items():
            write_text(path, now)
            print(f"runs: {path}")
