"""Stage ``mixing@<run>``: how a run's samples follow each other, in numbers and in pictures."""

from typing import Any, Literal

import torch

from paper_repro.baselines.chain import Efficiency, efficiency, principal_directions
from paper_repro.core.errors import UserError
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.records import Closed, Sealed, or_not_run, write_record
from paper_repro.diagnostics.digit_classifier import CLASSES, train_classifier
from paper_repro.diagnostics.mixing import (
    Digits,
    MixingSettings,
    autocorrelation,
    burn_in,
    grid,
    numbers,
    visited,
    walked,
)
from paper_repro.evaluation.trained_run import open_shown
from paper_repro.figures.canvas import save_note
from paper_repro.figures.strips import draw_strips
from paper_repro.parzen.bandwidth import estimate

HELD_OUT = 0.1  # share of the training images on which the classifier's accuracy is measured
STRIP = 20  # images a row
LAGS = 10  # draws to a lag: the longest is so much shorter than a chain


class ThinnedBy(Closed):
    """The estimate of chains' draws that lie so many steps apart."""

    every: int
    sigma: float
    test_mean: float
    test_se: float


class Mixing(Sealed):
    """``mixing.json``: how a run's samples follow each other; `autocorrelation` is by lag."""

    status: Literal["ok"]
    epoch: int
    stand_in: str | None
    efficiency: Efficiency
    autocorrelation: dict[str, float]
    digits: Digits
    burn_in: int | None
    thinning: list[ThinnedBy]
    classifier_accuracy: float
    settings: dict[str, Any]


MIXING = or_not_run(Mixing)


@fast_float32()
def mixing(key: str) -> None:
    """Measure how a trained run's samples mix, or write that it was not run.

    Raises
    ------
    UserError
        On bad inputs.
    """
    trained = open_shown(key, "mixing.json", "mixing.png", draw_note=save_note)
    if trained is None:
        return
    run, dataset = trained.run, trained.dataset()
    settings, measure = trained.params.parse(MixingSettings, "mixing"), trained.measure()
    if measure.samples % settings.chains:
        raise UserError(
            f"{trained.params.own.path}: mixing.chains: {settings.chains} chains can't share "
            f"{measure.samples} samples alike; set it to a divisor of that"
        )
    train, valid, test = (dataset.load(part) for part in ("train", *dataset.folds[0]))
    labels, held_out = dataset.load_labels(), int(HELD_OUT * len(train))
    classifier = train_classifier(train[held_out:], labels[held_out:], run.seed)
    directions, sampler = principal_directions(train), trained.sampler()
    consecutive, apart = walked(sampler, settings, measure.samples, run.seed)

    def by(every: int) -> ThinnedBy:
        samples = apart[every].flatten(0, 1)
        found = estimate(
            lambda: samples, measure.sigmas(), valid[: measure.sigma_images], test
        ).numbers()
        return {"every": every, **found}  # type: ignore[typeddict-item]

    lags = grid(consecutive.shape[1] // LAGS)
    told = numbers(consecutive, directions, classifier)
    found = efficiency(told)
    called = torch.stack([told[f"digit {digit}"] for digit in range(CLASSES)]).argmax(0)
    shares = torch.bincount(labels, minlength=CLASSES) / len(labels)
    record: Mixing = {
        "status": "ok",
        "epoch": trained.epoch,
        "stand_in": dataset.stand_in,
        "efficiency": found,
        "autocorrelation": {
            str(lag): float(rho)
            for lag, rho in zip(
                lags,
                autocorrelation(consecutive, lags[-1])[lags],
                strict=True,
            )
        },
        "digits": visited(called, shares.tolist()),
        "burn_in": burn_in(sampler, directions, classifier, settings, run.seed),
        "thinning": [by(every) for every in settings.thinning],
        "classifier_accuracy": classifier.accuracy(train[:held_out], labels[:held_out]),
        "settings": settings.model_dump(mode="json"),
    }
    rows = [consecutive[0, :STRIP], apart[max(settings.thinning)][0, :STRIP]]
    draw_strips(rows, dataset.shape, run.folder / "mixing.png")
    trained.write_circumstances("mixing", __name__)
    write_record(run.folder / "mixing.json", record, run.folder / "mixing.png")
    print(f"{key}: {found['draws']:,} draws are worth {found['ess_least']:,.0f} independent ones")
