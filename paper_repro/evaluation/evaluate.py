"""Stage ``evaluate@<run>``: the Parzen-window log-likelihood of the test set (Table 1)."""

import math
import statistics
from typing import Annotated, Any, Literal, NotRequired, cast

import torch
from pydantic import Field

from paper_repro.core.dataset import Dataset
from paper_repro.core.files import write_json
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.measure import ParzenSettings, sigma_name
from paper_repro.core.records import Closed, Sealed, Trained, or_not_run, write_record
from paper_repro.core.sampler import thinned
from paper_repro.evaluation.trained_run import open_run
from paper_repro.parzen.bandwidth import estimate


class Measured(Closed):
    """The estimate of one set of test images."""

    sigma: float
    valid_mean: float
    test_mean: float
    test_se: float
    test_images: int
    samples: int
    valid_mean_by_sigma: Annotated[dict[str, float], Field(min_length=1)]


class OverFolds(Closed):
    """The mean over folds; the errors are by divisor n − 1 and n."""

    valid_mean: float
    test_mean: float
    test_se: float
    test_se_population: float
    folds: Annotated[list[Measured], Field(min_length=1)]


class Evaluation(Sealed):
    """``evaluation.json`` of a run that has a model.

    `thinned` is a Markov chain's, of the selected epoch, by draws that lie apart.
    """

    status: Literal["ok"]
    selected: Measured | OverFolds
    last: Measured | OverFolds
    thinned: NotRequired[Measured | OverFolds]
    measure: NotRequired[dict[str, Any]]


EVALUATION = or_not_run(Evaluation)


def metrics(training: Trained, evaluation: Evaluation) -> dict[str, Any]:
    """Return what ``metrics.json`` holds for ``dvc metrics``: a few numbers of both records."""

    def short(measured: Measured | OverFolds, *names: str, prefix: str = "") -> dict[str, Any]:
        found = {f"{prefix}{name}": measured[name] for name in names if name in measured}  # type: ignore[literal-required]
        folds = cast("list[Measured]", measured.get("folds", []))
        return found | {
            f"{prefix}fold{index}_test_mean": fold["test_mean"]
            for index, fold in enumerate(folds, 1)
        }

    return {
        "status": "ok",
        **short(evaluation["selected"], "test_mean", "test_se", "valid_mean", "sigma"),
        "best_epoch": training["best_epoch"],
        "epochs": training["epochs"],
        **short(evaluation["last"], "test_mean", "test_se", "sigma", prefix="last_"),
    }


def measure(
    samples: torch.Tensor, settings: ParzenSettings, valid: torch.Tensor, test: torch.Tensor
) -> Measured:
    """Return the estimate as the authors' script makes it, in nats.

    Parameters
    ----------
    samples : (n, d)
    valid : (v, d) validation images; σ is chosen on the first `settings.sigma_images`.
    test : (m, d) test images, used for the mean and its standard error and for nothing else.
    """
    found = estimate(lambda: samples, settings.sigmas(), valid[: settings.sigma_images], test)
    return {
        "sigma": found.bandwidth.sigma,
        "valid_mean": float(found.bandwidth.likelihoods.mean()),
        "test_mean": found.mean,
        "test_se": found.se,
        "test_images": len(test),
        "samples": len(samples),
        "valid_mean_by_sigma": {
            sigma_name(sigma): mean for sigma, mean in found.bandwidth.mean_by_sigma.items()
        },
    }


def over_folds(folds: list[Measured]) -> OverFolds:
    """Return the mean over folds and its standard error, as Table 1 gives them for TFD.

    The paper does not say by which standard deviation: the error is given for that of a sample
    (divisor folds − 1) and, as ``test_se_population``, for the population's (divisor folds).
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
    samples: torch.Tensor, settings: ParzenSettings, dataset: Dataset
) -> Measured | OverFolds:
    folds = [  # one set of samples serves all
        measure(samples, settings, dataset.load(valid), dataset.load(test))
        for valid, test in dataset.folds
    ]
    return folds[0] if len(folds) == 1 else over_folds(folds)


@fast_float32()
def evaluate(key: str) -> None:
    """Measure a trained run, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_run(key, "metrics.json", "evaluation.json")
    if trained is None:
        return
    run, record = trained.run, trained.record
    dataset, settings = trained.dataset(), trained.measure()
    count, seed = settings.samples, run.seed
    by_epoch = {  # one and the same without a selection
        epoch: _measure_dataset(
            trained.sampler(epoch).sample(count, seed, "evaluation"), settings, dataset
        )
        for epoch in {record["selected"], "last"}
    }
    selected = by_epoch[record["selected"]]
    evaluation: Evaluation = {
        "status": "ok",
        "selected": selected,
        "last": by_epoch["last"],
        "measure": settings.recorded(),
    }
    if settings.thinned:
        draws = thinned(trained.sampler(), settings.thinned, count, seed, "evaluation/thinned")
        evaluation["thinned"] = _measure_dataset(draws.flatten(0, 1), settings, dataset)
    trained.write_circumstances("evaluate", __name__)
    write_json(run.folder / "metrics.json", metrics(record, evaluation))
    write_record(run.folder / "evaluation.json", evaluation)
    print(f"{key}: test {selected['test_mean']:.1f} ± {selected['test_se']:.1f} nats")
