"""Stage ``evaluate@<run>``: the Parzen-window log-likelihood of the test set (Table 1)."""

import math
import statistics
import time
from typing import Any

import torch

from paper_repro import config, provenance
from paper_repro.data.dataset import Dataset
from paper_repro.evaluation import parzen
from paper_repro.evaluation.sampler import Sampler
from paper_repro.evaluation.trained import read_trained_run
from paper_repro.files import write_json
from paper_repro.products import fast_float32


def measure(
    samples: torch.Tensor, settings: config.Parzen, valid: torch.Tensor, test: torch.Tensor
) -> dict[str, Any]:
    """Return the estimate as the authors' script makes it, in nats.

    Parameters
    ----------
    samples : (n, d)
    valid : (v, d) validation images; σ is chosen on the first `settings.sigma_images`.
    test : (m, d) test images, used for the mean and its standard error and for nothing else.
    """
    sigmas = settings.sigmas()
    on_valid = parzen.log_likelihoods(valid[: settings.sigma_images], samples, sigmas)
    best = parzen.best_bandwidth(on_valid)
    on_test = parzen.log_likelihoods(test, samples, [sigmas[best]])[0]
    mean, error = parzen.mean_and_standard_error(on_test)
    return {
        "sigma": sigmas[best],
        "valid_mean": float(on_valid[best].mean()),
        "test_mean": mean,
        "test_se": error,
        "test_images": len(test),
        "samples": len(samples),
        "valid_mean_by_sigma": {
            f"{sigma:.4f}": float(row.mean()) for sigma, row in zip(sigmas, on_valid, strict=True)
        },
    }


def over_folds(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over folds and its standard error, as Table 1 gives them for TFD.

    The paper does not say by which standard deviation: the error is given for that of a sample
    (divisor folds − 1) and, as ``test_se_population``, for the population's (divisor folds).

    Parameters
    ----------
    folds : what `measure` returns, on one set of samples, for each fold.
    """
    means = [fold["test_mean"] for fold in folds]
    root = math.sqrt(len(folds))
    return {
        "valid_mean": statistics.fmean(fold["valid_mean"] for fold in folds),
        "test_mean": statistics.fmean(means),
        "test_se": statistics.stdev(means) / root,
        "test_se_population": statistics.pstdev(means) / root,
        "folds": folds,
    }


def _measure_dataset(
    sampler: Sampler, settings: config.Parzen, seed: int, dataset: Dataset
) -> dict[str, Any]:
    samples = sampler.sample(settings.samples, seed, "evaluation")  # one set serves all folds
    folds = [
        measure(samples, settings, dataset.load(valid), dataset.load(test))
        for valid, test in dataset.folds
    ]
    return folds[0] if len(folds) == 1 else over_folds(folds)


def _short(measured: dict[str, Any], *names: str, prefix: str = "") -> dict[str, float]:
    """Return the few numbers that `dvc metrics` shows: those named, and each fold's."""
    found = {f"{prefix}{name}": measured[name] for name in names if name in measured}
    folds = measured.get("folds", [])
    return found | {
        f"{prefix}fold{index}_test_mean": fold["test_mean"] for index, fold in enumerate(folds, 1)
    }


@fast_float32()
def evaluate(key: str) -> None:
    """Measure a trained run, or write that it was not run (`UserError` on bad inputs)."""
    trained = read_trained_run(key)
    run, record = trained.run, trained.record
    if not trained.ok:
        write_json(run.folder / "metrics.json", {"status": record["status"]})
        write_json(run.folder / "evaluation.json", record)
        print(f"{key}: {trained.why_not}")
        return
    started = time.monotonic()
    dataset, settings = trained.dataset(), trained.experiment.parzen
    by_epoch = {
        epoch: _measure_dataset(trained.sampler(epoch), settings, run.seed, dataset)
        for epoch in {record["selected"], "last"}  # one and the same without a selection
    }
    selected, last = by_epoch[record["selected"]], by_epoch["last"]
    write_json(
        run.folder / "metrics.json",
        {
            "status": "ok",
            **_short(selected, "test_mean", "test_se", "valid_mean", "sigma"),
            "best_epoch": record["best_epoch"],
            "epochs": record["epochs"],
            **_short(last, "test_mean", "test_se", "sigma", prefix="last_"),
        },
    )
    write_json(
        run.folder / "evaluation.json",
        {
            "status": "ok",
            "selected": selected,
            "last": last,
            "provenance": provenance.environment(__name__, torch.device("cpu")),
            "seconds": time.monotonic() - started,
        },
    )
    print(f"{key}: test {selected['test_mean']:.1f} ± {selected['test_se']:.1f} nats")
