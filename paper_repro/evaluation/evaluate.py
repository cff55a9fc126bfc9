"""Stage ``evaluate@<run>``: the Parzen-window log-likelihood of the test set (Table 1)."""

import time
from typing import Any

import torch

from paper_repro import config, provenance
from paper_repro.data.dataset import read_dataset
from paper_repro.evaluation import parzen
from paper_repro.evaluation.sampler import Sampler
from paper_repro.evaluation.trained import load_sampler, read_run_record
from paper_repro.files import write_json


def measure(
    sampler: Sampler,
    settings: config.Parzen,
    seed: int,
    valid: torch.Tensor,
    test: torch.Tensor,
) -> dict[str, Any]:
    """Return the estimate as the authors' script makes it, in nats.

    Parameters
    ----------
    valid : (v, d) validation images; σ is chosen on the first `settings.sigma_images`.
    test : (m, d) test images, used for the mean and its standard error and for nothing else.
    """
    samples = sampler.sample(settings.samples, seed, "evaluation")
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
        "samples": settings.samples,
        "valid_mean_by_sigma": {
            f"{sigma:.4f}": float(row.mean()) for sigma, row in zip(sigmas, on_valid, strict=True)
        },
    }


def evaluate(key: str) -> None:
    """Measure a trained run, or write that it was not run (`UserError` on bad inputs)."""
    params = config.read_params()
    run = config.run(params, key)
    experiment = config.experiment(params, run.profile, run.experiment)
    record = read_run_record(run)
    if record["status"] != "ok":
        write_json(run.folder / "metrics.json", {"status": record["status"]})
        write_json(run.folder / "evaluation.json", record)
        print(f"{key}: not run: {record['reason']}")
        return
    started = time.monotonic()
    dataset = read_dataset(run.profile, run.dataset)
    valid, test = dataset.load("valid"), dataset.load("test")
    by_epoch = {
        epoch: measure(
            load_sampler(run, experiment, epoch), experiment.parzen, run.seed, valid, test
        )
        for epoch in {record["selected"], "last"}  # one and the same without a selection
    }
    selected, last = by_epoch[record["selected"]], by_epoch["last"]
    write_json(
        run.folder / "metrics.json",
        {
            "status": "ok",
            "test_mean": selected["test_mean"],
            "test_se": selected["test_se"],
            "valid_mean": selected["valid_mean"],
            "sigma": selected["sigma"],
            "best_epoch": record["best_epoch"],
            "epochs": record["epochs"],
            "last_test_mean": last["test_mean"],
            "last_test_se": last["test_se"],
            "last_sigma": last["sigma"],
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
