"""What a repro of a profile's report will do, in one line, and about how long it takes here."""

import sys

from paper_repro.core.params import PAPER, Params, read_params
from paper_repro.core.records import read_record
from paper_repro.core.runs import Run, runs, stage_address
from paper_repro.data.raw import STATUS
from paper_repro.data.settings import RAW, STAND_INS, data_size
from paper_repro.forecast.stages import changed_stages, starts_from, trainings
from paper_repro.pipeline.presentation import report_stage
from paper_repro.pipeline.run_list import require_current_lists

TOGETHER = " Several small runs at once on a GPU are faster: see CLUSTER.md."


def plan(profile: str) -> dict[str, float]:
    """Print one line: what will run for the profile's report, and about how long it takes.

    What takes its seconds is told on stderr before.

    Returns
    -------
    dict
        The seconds that each stage trains, by its name.

    Raises
    ------
    UserError
        If the profile or a parameter is unknown, or the pipeline can't be read.
    """
    params = read_params(profile)
    require_current_lists()
    listed = runs(params)
    _tell("asking DVC what is to be done")
    changed = changed_stages(stage_address(profile, report_stage(profile)))
    there = {run.dataset: _is_there(params, run.dataset) for run in listed.values()}
    training = [
        run for run in trainings(listed.values(), changed) if there[run.dataset] is not False
    ]
    absent = sorted(name for name, found in there.items() if found is False)
    seconds: dict[str, float] = {}
    if training:
        edited = {run.experiment for run in training if changed.get(f"train@{run.key}")}
        text, seconds = _training(params, training, edited)
    elif changed:
        text = f"no training, {len(changed)} short stage(s); a minute or so."
    elif absent:
        text = f"look for {', '.join(absent)}, absent so far; train if there now, else nothing."
    else:
        text = "nothing to do but look at the data; all results are current."
    print(f"{report_stage(profile)}: {text}", flush=True)
    return seconds


def _tell(what: str) -> None:
    print(f"plan: {what} …", file=sys.stderr, flush=True)


def _is_there(params: Params, dataset: str) -> bool | None:
    """Return whether there are images to train on; None if nothing has looked for them yet."""
    size = data_size(params, dataset)
    path = (STAND_INS if size.stand_in else RAW) / dataset / "status.json"
    if size.fallback is not None:
        return True
    if not path.exists():
        return None
    return read_record(path, STATUS, in_git=False)["status"] == "ok"


def _training(params: Params, runs: list[Run], edited: set[str]) -> tuple[str, dict[str, float]]:
    """Return what is to be trained and about how long it takes, in words and by stage.

    Parameters
    ----------
    edited : experiments whose released runs may be of another recipe.
    """
    # Imported here, because a repro with nothing to train should not wait for torch.
    from paper_repro.core import provenance
    from paper_repro.core.dataset import processed_folder, read_dataset
    from paper_repro.core.recipe import family_in, recipe_of
    from paper_repro.data.catalogue import SOURCES
    from paper_repro.forecast import duration
    from paper_repro.report.formatting import duration as shown
    from paper_repro.report.release import read_release
    from paper_repro.training.loop import resolve_device
    from paper_repro.training.train import stage_modules

    parts, seconds = [], dict[str, float]()
    # The paper's released runs were made on many machines, some in hours.
    release = read_release(params.profile) if params.profile != PAPER else None
    released = {run.experiment: run.seconds for run in reversed(release.runs if release else [])}
    rates: dict[str, float] = {}  # by experiment, of which runs differ by their seeds
    for run in runs:
        recipe, family = recipe_of(params, run.experiment), family_in(params, run.experiment)
        device = resolve_device(recipe.device, f"{params.where(run.experiment)}.device")
        shape = SOURCES[run.dataset].shape
        n_train = data_size(params, run.dataset).train or SOURCES[run.dataset].train
        prepared = (processed_folder(run.profile, run.dataset) / "dataset.json").is_file()
        dataset = read_dataset(run.profile, run.dataset) if prepared else None
        if dataset and not dataset.ok:
            dataset = None
        if dataset:
            shape, n_train = dataset.shape, dataset.counts["train"]
        left = all_updates = recipe.passes * recipe.updates_per_epoch(n_train)
        if dataset and not starts_from(run, runs):  # from a new model no checkpoint counts
            code = provenance.code_digest(*stage_modules(family))
            checkpoint = duration.present_checkpoint(run, recipe, dataset, device, code)
            left = max(left - checkpoint.updates(), 0)
        if left and run.experiment not in rates:
            took = released.get(run.experiment)
            if took is None or run.experiment in edited:
                _tell(f"timing a few updates of {run.experiment}")
                rates[run.experiment] = duration.seconds_per_update(recipe, family, shape, device)
            else:
                rates[run.experiment] = took / all_updates
        seconds[f"train@{run.key}"] = left * rates.get(run.experiment, 0.0)
        # A stand-in may have fewer images than the data set.
        count = f"{'' if dataset else 'up to '}{left:,}"
        parts.append(f"train {run.key} ({count} updates to epoch {recipe.passes})")
    hardware = provenance.hardware(device)
    sure = all(_is_there(params, run.dataset) for run in runs)
    about = shown(sum(seconds.values()) + 60)
    text = (
        f"{', '.join(parts)}, then measure, draw and report: about {about} on "
        f"this {hardware['device']} ({hardware['threads']} threads)"
        f"{'' if sure else ', if the data can be had'}."
        f"{TOGETHER if device.type == 'cuda' and len(runs) > 1 else ''}"
    )
    return text, seconds
