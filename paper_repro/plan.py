"""What a repro of a profile's report will do, in one line, and about how long it takes here."""

from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from paper_repro import config
from paper_repro.data.catalogue import RAW, SOURCES, STAND_INS
from paper_repro.errors import UserError
from paper_repro.files import read_json


def _changed_stages(profile: str) -> set[str]:
    """Return the stages that DVC would run for the profile's report, but for those always run."""
    try:
        with Repo() as repo:
            status: dict[str, Any] = repo.status(targets=[f"report@{profile}"], with_deps=True)
    except DvcException as error:
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None
    return {stage for stage, changes in status.items() if changes != ["always changed"]}


def plan(profile: str) -> None:
    """Print one line: what will run for the profile's report, and about how long it takes.

    Raises
    ------
    UserError
        If the profile or a parameter is unknown, or the pipeline can't be read.
    """
    params = config.read_params()
    listed = config.runs(params, profile)
    if not listed:
        raise UserError(f"{config.PARAMS}: runs: no run of a profile {profile!r} is listed")
    changed = _changed_stages(profile)
    there = {run.dataset: _is_there(params, profile, run.dataset) for run in listed.values()}
    stale = [
        run
        for run in listed.values()
        if {f"train@{run.key}", f"prepare@{profile}-{run.dataset}"} & changed
    ]
    training = [
        run
        for run in listed.values()
        if (run in stale or _starts_from(run, stale)) and there[run.dataset] is not False
    ]
    absent = sorted(name for name, found in there.items() if found is False)
    if training:
        text = _training(params, training)
    elif changed:
        text = f"no training, {len(changed)} short stage(s); a minute or so."
    elif absent:
        text = f"look for {', '.join(absent)}, absent so far; train if there now, else nothing."
    else:
        text = "nothing to do but look at the data; all results are current."
    print(f"report@{profile}: {text}", flush=True)


def _starts_from(run: config.Run, others: list[config.Run]) -> bool:
    """Return whether a run starts from the model of one of the others."""
    return Path(run.start).stem in {other.key for other in others}


def _is_there(params: dict[str, Any], profile: str, dataset: str) -> bool | None:
    """Return whether there are images to train on; None if nothing has looked for them yet."""
    size = config.data_size(params, profile, dataset)
    path = (STAND_INS if size.stand_in else RAW) / dataset / "status.json"
    if size.fallback is not None:
        return True
    return read_json(path).get("status") == "ok" if path.is_file() else None


def _training(params: dict[str, Any], runs: list[config.Run]) -> str:
    # Imported here, because a repro with nothing to train should not wait for torch.
    from paper_repro import provenance
    from paper_repro.data.dataset import processed_folder
    from paper_repro.report.tables import duration
    from paper_repro.training import estimate
    from paper_repro.training.loop import resolve_device

    parts, seconds = [], 0.0
    for run in runs:
        experiment = config.experiment(params, run.profile, run.experiment)
        try:
            device = resolve_device(experiment.device)
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"{config.PARAMS}: experiments.{run.experiment}.device: {error}"
            ) from None
        size = config.data_size(params, run.profile, run.dataset)
        source = SOURCES[run.dataset]
        left, more = estimate.remaining(
            run,
            experiment,
            source.shape,
            size.train or source.train,
            device,
            afresh=_starts_from(run, runs),
        )
        seconds += more
        # A stand-in may have fewer images than the data set.
        prepared = (processed_folder(run.profile, run.dataset) / "dataset.json").is_file()
        count = f"{'' if prepared else 'up to '}{left:,}"
        parts.append(f"train {run.key} ({count} updates to epoch {experiment.epochs})")
    hardware = provenance.hardware(device)
    sure = all(_is_there(params, run.profile, run.dataset) for run in runs)
    return (
        f"{', '.join(parts)}, then measure, draw and report: about {duration(seconds + 60)} on "
        f"this {hardware['device']} ({hardware['threads']} threads)"
        f"{'' if sure else ', if the data can be had'}."
    )
