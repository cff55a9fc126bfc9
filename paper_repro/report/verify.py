"""``paper_repro verify``: recompute a published number from the published weights, untrained."""

import math
from typing import Any

import pandas as pd

from paper_repro import config
from paper_repro.data.catalogue import SOURCES
from paper_repro.data.dataset import processed_folder, read_dataset
from paper_repro.data.fetch import fetch_sources
from paper_repro.data.prepare import prepare
from paper_repro.errors import UserError
from paper_repro.evaluation.evaluate import measure
from paper_repro.evaluation.sampler import GeneratorSampler
from paper_repro.evaluation.trained import load_generator
from paper_repro.files import read_json
from paper_repro.models.storage import read_record
from paper_repro.products import fast_float32
from paper_repro.report.results import WEIGHTS, results_path
from paper_repro.report.weights import weights_path

TOLERANCE = 0.05  # nats; machines round differently
COMPARED = ("test_mean", "test_se", "valid_mean")


MEASURE = ("noise", "noise_dimension", "generator", "parzen")  # what a recomputed number rests on


def _published(run: config.Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a run's numbers and its provenance from ``results.json``."""
    path = results_path(run.profile)
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `dvc repro report@{run.profile}`")
    results = read_json(path)
    for row in results.get("rows", []):
        for seed in row["seeds"]:
            if seed["run"] == run.key:
                return dict(seed), dict(results["provenance"][run.key])
    raise UserError(f"{path}: holds no result of {run.key}; run `dvc repro report@{run.profile}`")


def _require_same_measure(
    run: config.Run, experiment: config.Experiment, data: dict[str, str], made: dict[str, Any]
) -> None:
    """Raise a `UserError` unless data and settings are those of the published number."""
    now = experiment.model_dump(mode="json")
    for name in MEASURE:
        if now[name] != made["parameters"][name]:
            raise UserError(
                f"{config.PARAMS}: experiments.{run.experiment}.{name}: is not what "
                f"{results_path(run.profile)} was measured with; restore it with git"
            )
    if data != made["data"]["sha256"]:
        raise UserError(
            f"{processed_folder(run.profile, run.dataset)}: other images than "
            f"{results_path(run.profile)} was measured on; run `dvc repro "
            f"prepare@{run.profile}-{run.dataset}`"
        )


@fast_float32()
def verify(key: str = WEIGHTS) -> None:
    """Draw the samples anew on the CPU, measure them and compare with ``results.json``.

    Brings and prepares the data first if it is not there.

    Raises
    ------
    UserError
        If a number differs by more than `TOLERANCE`, or data, weights or results are absent.
    """
    params = config.read_params()
    run = config.run(params, key)
    experiment = config.experiment(params, run.profile, run.experiment)
    (published, made), path = _published(run), weights_path(run)
    if not path.is_file():
        raise UserError(f"{path}: no such file; weights are published of {WEIGHTS} only")
    record = read_record(path)
    there = (processed_folder(run.profile, run.dataset) / "dataset.json").is_file()
    # What an earlier run could not have, this one may.
    if not there or not read_dataset(run.profile, run.dataset).ok:
        fetch_sources({run.dataset: SOURCES[run.dataset]}, config.own_copies(params))
        prepare(run.profile, run.dataset)
    dataset = read_dataset(run.profile, run.dataset)
    if not dataset.ok:
        raise UserError(f"{run.dataset}: {dataset.reason}; {dataset.todo}")
    if len(dataset.folds) != 1:
        raise UserError(f"{run.dataset}: verify measures data sets without folds only")
    _require_same_measure(run, experiment, dataset.record()["sha256"], made)
    network = load_generator(path, "", run, experiment)
    samples = GeneratorSampler(network, experiment).sample(
        experiment.parzen.samples, run.seed, "evaluation"
    )
    valid, test = (dataset.load(part) for part in dataset.folds[0])
    found = measure(samples, experiment.parzen, valid, test)
    table = pd.DataFrame(
        {
            "recomputed": {name: found[name] for name in (*COMPARED, "sigma")},
            "published": {
                **{name: published[name] for name in COMPARED},
                "sigma": published["sigma"][0],
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
            f"{TOLERANCE}, or in σ; restore both with git, or run `dvc repro "
            f"report@{run.profile} weights@{key}`"
        )
    print(f"verified: within {worst:.4f} nats")
