"""The training runs of a profile: an experiment with one seed each, as its ``seeds`` lists them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt

from paper_repro.core.errors import UserError
from paper_repro.core.params import PAPER, Model, Params, params_path, parse, read_params

# What records say that a run starts from if it is stacked on no other: it stands in the header of
# every model file made so far, so that it stays, whatever lies in that place.
RANDOM = "paper_repro/models/random_weights.txt"
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


def walk_path(run: Run) -> Path:
    """Return where a run's choice of its walk lies, if it is a walk's."""
    return run.folder / "walk.json"


def run_key(profile: str, experiment: str, seed: int) -> str:
    """Return a run's name."""
    return f"{profile}-{experiment}-{seed}"


class _Seeds(Model):
    seeds: dict[Annotated[str, Field(pattern=NAME)], tuple[NonNegativeInt, ...]]


def runs(params: Params) -> dict[str, Run]:
    """Return a profile's runs by key, in the order of its file.

    A `UserError` if a seed is bad or listed twice, an experiment has no recipe, or a run is stacked
    on one that is not listed.
    """
    profile, place = params.profile, params.own
    listed = parse(_Seeds, [place], {"seeds": params.group("seeds")})
    found: dict[str, Run] = {}
    for experiment, seeds in listed.seeds.items():
        if len(set(seeds)) < len(seeds):
            raise UserError(f"{place.path}: seeds.{experiment}: a seed is listed twice")
        recipe, places = params.recipe(experiment)
        below = recipe.get("pretrained")
        for seed in seeds:
            values = {
                "profile": profile,
                "experiment": experiment,
                "dataset": recipe.get("dataset"),
                "seed": seed,
                "start": str(model_path(run_key(profile, below, seed))) if below else RANDOM,
            }
            found[run_key(profile, experiment, seed)] = parse(Run, places, values)
    for key, run in found.items():
        if run.stacked_on and run.stacked_on.stem not in found:
            raise UserError(
                f"{place.path}: seeds.{run.experiment}: {key} is stacked on {run.stacked_on.stem}, "
                "which is not listed; add its seed"
            )
    return found


def read_run(key: str) -> tuple[Params, Run]:
    """Return a run by its key, with its profile's parameters (`UserError` if it is not listed)."""
    params = read_params(key.rsplit("-", 2)[0])
    listed = runs(params)
    if key not in listed:
        known = ", ".join(listed)
        raise UserError(f"{params.own.path}: seeds: no run {key} (there: {known})")
    return params, listed[key]


def measure_key(params: Params, run: Run) -> str:
    """Return whose entry in `measure` a run is measured by: its own, its base's or its data's."""
    entries = params.group("measure")
    own, base = run.experiment, params.base(run.experiment)
    alike = params.recipe(base)[0].get("dataset") == run.dataset  # else a base's is of other data
    return next((name for name in (own, base)[: 1 + alike] if name in entries), run.dataset)


def pipeline_path(profile: str) -> Path:
    """Return where DVC finds a profile's pipeline, beside its parameters."""
    return params_path(profile).with_name("dvc.yaml")


def stage_address(profile: str, stage: str) -> str:
    """Return what DVC calls a stage of a profile, from the repository's root."""
    return stage if profile == PAPER else f"{pipeline_path(profile)}:{stage}"


def repro(profile: str, *stages: str, alone: bool = False) -> str:
    """Return the command that runs stages of a profile; `alone`: anew, without those before."""
    command = "dvc repro -s -f" if alone else "dvc repro"
    return " ".join([command, *(stage_address(profile, stage) for stage in stages)])
