"""How well a chain of samples mixes: the row "sampling" of table 2, in numbers.

Draws are (chains, draws, d) in the order of drawing; a generator's, which are independent, go
through the same code.
"""

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field

from paper_repro.baselines.chain import Directions, efficiency, functionals
from paper_repro.core.params import Count, Model
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.records import Closed
from paper_repro.core.sampler import Sampler
from paper_repro.diagnostics.digit_classifier import CLASSES, Classifier

WINDOWS = (10, 50, 100, 500)  # draws within which digits are counted
AGREE = 1.1  # R̂ of chains from images and chains from noise, below which they are alike


class Digits(Closed):
    """How chains move between digits."""

    changes: float  # share of steps at which the digit changes
    dwell: float  # mean length of a stretch of one digit, in draws
    distinct: dict[str, float]  # by window, the mean number of digits within so many draws
    total_variation: float  # of the digits' shares from those of the data


class MixingSettings(Model):
    """How the chains of a run are looked at."""

    chains: Annotated[int, Field(ge=2, le=1000)]
    draws: Annotated[int, Field(ge=10, le=10**6)]  # consecutive steps of each chain
    thinning: Annotated[tuple[Count, ...], Field(min_length=1)]  # steps from draw to draw
    ensemble: Annotated[int, Field(ge=8, le=10**5)]  # chains from images, and as many from noise
    steps: Count  # within which these must become alike; and the burn-in of all else


def grid(largest: int) -> list[int]:
    """Return steps or lags up to the largest, ever farther apart."""
    decades = (factor * 10**power for power in range(10) for factor in (1, 2, 3, 5, 7))
    return [0, *itertools.takewhile(lambda step: step <= largest, decades)]


def autocorrelation(draws: torch.Tensor, largest: int) -> torch.Tensor:
    """Return ρ(k), k = 0 … `largest`, of whole images, (largest + 1,).

    ρ(k) = E[(x_t − μ)·(x_{t+k} − μ)] / E‖x_t − μ‖², μ the mean over all chains.
    """
    chains, count, _ = draws.shape
    mean = draws.double().mean((0, 1))
    products = torch.zeros(largest + 1, dtype=torch.float64)
    for chain in draws:  # one at a time, to bound the memory
        spectrum = torch.fft.rfft(chain.double() - mean, 2 * count, dim=0)
        power = spectrum.abs().square().sum(1)
        products += torch.fft.irfft(power, 2 * count)[: largest + 1]
    pairs = chains * (count - torch.arange(largest + 1))
    covariance = products / pairs
    return covariance / covariance[0]


def visited(labels: torch.Tensor, shares: Sequence[float]) -> Digits:
    """Return how chains visit digits.

    Parameters
    ----------
    labels : (chains, draws) the digit that the classifier calls each draw.
    shares : of each digit among the data.
    """
    changed = labels[:, 1:] != labels[:, :-1]
    stretches = int(changed.sum()) + len(labels)
    one_hot = torch.nn.functional.one_hot(labels, len(shares))
    distinct = {
        str(window): float(
            one_hot[:, : labels.shape[1] // window * window]
            .reshape(len(labels), -1, window, len(shares))
            .amax(2)
            .sum(-1)
            .double()
            .mean()
        )
        for window in WINDOWS
        if window <= labels.shape[1]
    }
    found = one_hot.double().mean((0, 1))
    return {
        "changes": float(changed.double().mean()),
        "dwell": labels.numel() / stretches,
        "distinct": distinct,
        "total_variation": float((found - torch.tensor(shares)).abs().sum() / 2),
    }


def numbers(
    draws: torch.Tensor, directions: Directions, classifier: Classifier
) -> dict[str, torch.Tensor]:
    """Return numbers of each draw, (chains, draws), of which mixing is told.

    Where it lies (`functionals`), and the classifier's probability of each digit.
    """
    chains, count, d = draws.shape
    digits = classifier.probabilities(draws.reshape(-1, d)).reshape(chains, count, CLASSES)
    return functionals(draws, directions) | {
        f"digit {digit}": digits[..., digit] for digit in range(CLASSES)
    }


def burn_in(
    sampler: Sampler,
    directions: Directions,
    classifier: Classifier,
    settings: MixingSettings,
    seed: int,
) -> int | None:
    """Return after how many steps chains from noise can't be told from chains from images.

    From then on R̂ is below `AGREE`, of two ensembles of chains at the same step, each taken as one
    sequence of independent draws. None if that takes longer than `settings.steps`.
    """
    shape = settings.ensemble, len(directions.mean)
    noise = torch.rand(shape, generator=stream_rng(seed, "mixing/noise"))
    ensembles = (
        sampler.chains(settings.ensemble, seed, "mixing/from images"),
        sampler.chains(settings.ensemble, seed, "mixing/from noise", noise),
    )
    looked_at, agreed = grid(settings.steps)[1:], None
    for step, states in enumerate(zip(*ensembles, strict=True), start=1):
        if step in looked_at:
            found = efficiency(numbers(torch.stack(states), directions, classifier))
            if found["rhat"] is None or found["rhat"] >= AGREE:
                agreed = None
            elif agreed is None:
                agreed = step
        if step >= looked_at[-1]:
            break
    return agreed


def walked(
    sampler: Sampler, settings: MixingSettings, samples: int, seed: int
) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Return consecutive draws of chains, and the same chains thinned; both after a burn-in.

    They are (chains, draws, d), and by thinning (chains, samples // chains, d). Without a burn-in,
    chains that begin at training images would at first hand these back.
    """
    each = samples // settings.chains
    consecutive = []
    apart: dict[int, list[torch.Tensor]] = {every: [] for every in settings.thinning}
    states = sampler.chains(settings.chains, seed, "mixing")
    for _ in range(settings.steps):
        next(states)
    for step in range(1, max(settings.draws, each * max(settings.thinning)) + 1):
        state = next(states)
        if step <= settings.draws:
            consecutive.append(state)
        for every, kept in apart.items():
            if step % every == 0 and len(kept) < each:
                kept.append(state)
    return torch.stack(consecutive, dim=1), {
        every: torch.stack(kept, dim=1) for every, kept in apart.items()
    }
