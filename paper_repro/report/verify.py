"""``paper_repro verify``: recompute the published numbers from the published weights, untrained."""

import math
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process

import numpy as np
import pandas as pd
import torch

from paper_repro.core.dataset import processed_folder, read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.records import read_record
from paper_repro.core.runs import Run, read_run, repro, weights_path
from paper_repro.data.catalogue import SOURCES
from paper_repro.data.fetch import fetch_sources
from paper_repro.data.prepare import prepare
from paper_repro.diagnostics.sample_sets import DEFAULT_GRID, SAMPLE_SETS, SampleSets, measured_sets
from paper_repro.evaluation.trained_run import TrainedRun, open_published
from paper_repro.pipeline.presentation import presentation
from paper_repro.report.release import SAME
from paper_repro.report.run_files import require_own_weights


def _require_data(run: Run) -> None:
    """Fetch and prepare a run's data if they are not there (`UserError` if they can't be had)."""
    there = (processed_folder(run.profile, run.dataset) / "dataset.json").is_file()
    # What an earlier run could not have, this one may.
    if not there or not read_dataset(run.profile, run.dataset).ok:
        fetch_sources({run.dataset: SOURCES[run.dataset]})
        prepare(run.profile, run.dataset)
    dataset = read_dataset(run.profile, run.dataset)
    if not dataset.ok:
        raise UserError(f"{run.dataset}: {dataset.reason}; {dataset.todo}")


def _opened(key: str) -> tuple[TrainedRun, SampleSets]:
    """Return a published run and what was measured of it (`UserError` as `verify`)."""
    params, run = read_run(key)
    listed = presentation(params).published
    if key not in listed and not weights_path(run).is_file():
        raise UserError(f"{key}: weights are published of {', '.join(listed) or 'no run'} only")
    require_own_weights(run)
    trained, path = open_published(key), run.folder / "sample_sets.json"
    again = repro(run.profile, f"sample_sets@{key}")
    found = read_record(path, SAMPLE_SETS, again)
    if trained is None or found["status"] != "ok":
        raise UserError(f"{key}: was not trained; there is nothing to verify")
    if trained.measure().recorded() != found["measure"]:
        raise UserError(
            f"{params.own.path}: measure: is not what {path} was measured with; restore it with git"
        )
    return trained, found


@fast_float32()
def _compared(key: str, indices: range) -> tuple[str, str | None]:
    """Return the table of a run's sets, drawn and measured anew, and what is wrong with it."""
    trained, stated = _opened(key)
    grid = {DEFAULT_GRID: stated["grids"][DEFAULT_GRID]}
    measured = measured_sets(trained, trained.dataset(), indices, grid, all_images=False)
    ours, theirs = (
        pd.DataFrame([one[DEFAULT_GRID]["first_images"] for one in side])
        for side in (measured, [stated["sets"][index] for index in indices])
    )
    means = ["test_mean", "test_se", "valid_mean"]
    worst = float((ours[means] - theirs[means]).abs().to_numpy().max())  # NaN if any is
    if math.isnan(worst) or not np.isclose(ours.sigma, theirs.sigma, rtol=1e-6, atol=0).all():
        worst = math.inf
    lines = {
        "set": list(indices),
        "recomputed": ours.test_mean,
        "published": theirs.test_mean,
        "difference": ours.test_mean - theirs.test_mean,
        "σ": ours.sigma,
    }
    table = pd.DataFrame(lines).to_string(index=False, float_format="%.4f")
    said = f"{key}: sets of {stated['samples']} samples, nats\n{table}"
    if worst <= SAME:
        return f"{said}\nverified: within {worst:.4f} nats", None
    run = trained.run
    return said, (
        f"{weights_path(run)}: differs from {run.folder / 'sample_sets.json'} by {worst:.3f} "
        f"nats, more than {SAME}, or in σ (inf); restore both with git, or run "
        f"`{repro(run.profile, f'weights@{key}', f'sample_sets@{key}')}`"
    )


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began this one ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _all_compared(sets: dict[str, range]) -> Iterator[tuple[str, str | None]]:
    """Yield what `_compared` says of each run: of several by a process on each core."""
    if len(sets) == 1 or torch.get_num_threads() == 1:
        yield from (_compared(key, indices) for key, indices in sets.items())
        return
    processes, others = min(len(sets), torch.get_num_threads()), active_children()
    with ProcessPoolExecutor(processes, get_context("spawn"), _alone) as pool:
        try:
            # The walks of chains, listed last, take longest: they begin first.
            found = {key: pool.submit(_compared, key, sets[key]) for key in reversed(sets)}
            yield from (found[key].result() for key in sets)
        except BrokenProcessPool:
            raise UserError(
                "verify: one of its processes was ended from outside, perhaps for lack of memory; "
                "verify one run at a time"
            ) from None
        except BaseException:
            for child in active_children():  # else they are awaited
                if child not in others:
                    child.terminate()
            raise


def verify(key: str | None = None, *, every_set: bool = False) -> None:
    """Draw samples anew on the CPU, measure them and compare with ``sample_sets.json``.

    Without a key, of every run of the paper whose generator is published, a run on each core.
    Fetches and prepares the data first if they are not there.

    Parameters
    ----------
    every_set : all sets of samples, not the first alone.

    Raises
    ------
    UserError
        If a number differs by more than `SAME`, or data, weights or records are absent.
    """
    keys = [key] if key is not None else presentation(paper := read_params()).published
    if not keys:
        raise UserError(f"{paper.own.path}: presentation.published: names no run to verify")
    sets = {}
    for each in keys:
        trained, stated = _opened(each)
        _require_data(trained.run)
        sets[each] = range(len(stated["sets"]) if every_set else 1)
    wrong = []
    for said, fault in _all_compared(sets):
        print(said, flush=True)
        wrong += [fault] if fault else []
    if wrong:
        raise UserError("; ".join(wrong))
