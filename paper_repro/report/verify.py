"""``paper_repro verify``: recompute a published number from the published weights, untrained."""

import math
from typing import Any

import pandas as pd

from paper_repro.core.dataset import processed_folder, read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.files import sha256_file
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import Params, read_params
from paper_repro.core.records import read_record
from paper_repro.core.runs import Run, presentation, read_run, repro, weights_path
from paper_repro.core.tensor_file import read_metadata
from paper_repro.data.catalogue import SOURCES
from paper_repro.data.fetch import fetch_sources
from paper_repro.data.prepare import prepare
from paper_repro.data.settings import own_copies
from paper_repro.evaluation.evaluate import measure
from paper_repro.evaluation.trained_run import load_generator, measure_of
from paper_repro.gan.model import recipe
from paper_repro.gan.model.recipe import ParzenSettings
from paper_repro.gan.model.sampler import GeneratorSampler
from paper_repro.report.results import results_path
from paper_repro.report.schema import RESULTS

TOLERANCE = 0.05  # nats; machines round differently
COMPARED = ("test_mean", "test_se", "valid_mean")


def _published(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a run's numbers and its provenance from ``results.json``."""
    path, again = results_path(run.profile), repro(run.profile, f"report@{run.profile}")
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `{again}`")
    results = read_record(path, RESULTS, again)
    for row in results["rows"]:
        for seed in row["seeds"]:
            if seed["run"] == run.key:
                return dict(seed), dict(results["provenance"][run.key])
    raise UserError(f"{path}: holds no result of {run.key}; run `{again}`")


def _require_same_measure(
    run: Run, params: Params, data: dict[str, str], made: dict[str, Any]
) -> ParzenSettings:
    """Return how to measure (`UserError` unless data and settings are the published number's)."""
    now = measure_of(params, run)
    if now.model_dump(mode="json") != made["parameters"]["parzen"]:
        raise UserError(
            f"{params.own.path}: measure: is not what {results_path(run.profile)} was measured "
            "with; restore it with git"
        )
    if data != made["data"]["sha256"]:
        raise UserError(
            f"{processed_folder(run.profile, run.dataset)}: other images than "
            f"{results_path(run.profile)} was measured on; run "
            f"`{repro(run.profile, f'prepare@{run.profile}-{run.dataset}')}`"
        )
    return now


@fast_float32()
def verify(key: str | None = None) -> None:
    """Draw the samples anew on the CPU, measure them and compare with ``results.json``.

    Without a key, of every run of the paper whose generator is published.

    Brings and prepares the data first if it is not there.

    Raises
    ------
    UserError
        If a number differs by more than `TOLERANCE`, or data, weights or results are absent.
    """
    if key is None:
        paper = read_params()
        shared = presentation(paper).published
        if not shared:
            raise UserError(f"{paper.own.path}: presentation.published: names no run to verify")
        for published in shared:
            verify(published)
        return
    params, run = read_run(key)
    (numbers, made), path = _published(run), weights_path(run)
    experiment = recipe.recorded(made["parameters"], results_path(run.profile))
    if not path.is_file():
        listed = ", ".join(presentation(params).published) or "no run"
        raise UserError(f"{path}: no such file; weights are published of {listed} only")
    if sha256_file(path) != numbers["weights_sha256"]:
        raise UserError(
            f"{path}: damaged, or not the weights that {results_path(run.profile)} tells of; "
            "restore both with git"
        )
    record = read_metadata(path)
    there = (processed_folder(run.profile, run.dataset) / "dataset.json").is_file()
    # What an earlier run could not have, this one may.
    if not there or not read_dataset(run.profile, run.dataset).ok:
        fetch_sources({run.dataset: SOURCES[run.dataset]}, own_copies(params))
        prepare(run.profile, run.dataset)
    dataset = read_dataset(run.profile, run.dataset)
    if not dataset.ok:
        raise UserError(f"{run.dataset}: {dataset.reason}; {dataset.todo}")
    if len(dataset.folds) != 1:
        raise UserError(f"{run.dataset}: verify measures data sets without folds only")
    settings = _require_same_measure(run, params, dataset.record()["sha256"], made)
    network = load_generator(path, "", experiment)
    samples = GeneratorSampler(network, experiment).sample(settings.samples, run.seed, "evaluation")
    valid, test = (dataset.load(part) for part in dataset.folds[0])
    found = measure(samples, settings, valid, test)
    table = pd.DataFrame(
        {
            "recomputed": {name: dict(found)[name] for name in (*COMPARED, "sigma")},
            "published": {
                **{name: numbers[name] for name in COMPARED},
                "sigma": numbers["sigma"][0],
            },
        }
    )
    print(f"{key}, epoch {record['best_epoch']} of {record['epochs']}, {len(samples)} samples")
    print(table.to_string(float_format="%.4f"))
    nats = table.loc[list(COMPARED)]
    worst = float((nats.recomputed - nats.published).abs().max(skipna=False))
    if not worst <= TOLERANCE or not math.isclose(*table.loc["sigma"], rel_tol=1e-6):
        raise UserError(
            f"{path}: differs from {results_path(run.profile)} by {worst:.3f} nats, more than "
            f"{TOLERANCE}, or in σ; restore both with git, or run "
            f"`{repro(run.profile, f'report@{run.profile}', f'weights@{key}')}`"
        )
    print(f"verified: within {worst:.4f} nats")
