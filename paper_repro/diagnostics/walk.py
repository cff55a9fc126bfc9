"""Stage ``walk@<run>``: the width of a walk, chosen on validation images after training.

The authors of the contractive autoencoder state none. ``reports/paper/notes.md`` has the rule,
which is older than the runs that it rules. The numbers of a run come from other chains than these.
"""

import itertools
import statistics
from collections.abc import Sequence

import torch

from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.measure import ParzenSettings
from paper_repro.core.records import write_record
from paper_repro.core.runs import walk_path
from paper_repro.core.sampler import Sampler
from paper_repro.evaluation.trained_run import WalkChoice, Width, open_shown
from paper_repro.parzen.bandwidth import choose_bandwidth

COARSE = 1.5  # times as wide as the one before
TOGETHER = 6  # widths that walk at once, which bounds the memory


def choose(widths: Sequence[Width]) -> tuple[float, float, list[float]]:
    """Return the middle one of the widths that chains can't tell from the best, the best and all.

    They score no more than one standard error of the best one's chains below it; a score is the
    mean over chains. The best of a fine, noisy grid would be luck. Of two the narrower. Widths
    ascend.
    """
    scores = {width["std"]: statistics.fmean(width["valid_means"]) for width in widths}
    best = max(widths, key=lambda width: scores[width["std"]])
    chains = best["valid_means"]
    error = statistics.stdev(chains) / len(chains) ** 0.5
    alike = [std for std, score in scores.items() if score >= scores[best["std"]] - error]
    return alike[(len(alike) - 1) // 2], best["std"], alike


def is_coarse(stds: Sequence[float], best: float) -> bool:
    """Return whether a grid jumps by more than half beside its best value."""
    return any(
        wide > COARSE * narrow
        for narrow, wide in itertools.pairwise(stds)
        if best in (narrow, wide)
    )


def walked(sampler: Sampler, widths: int, chains: int, steps: int, seed: int) -> torch.Tensor:
    """Return what chains of several widths draw, (widths, chains, steps, d).

    From the same starting images, by the same random numbers for every width: together, because
    each step reads all weights.
    """
    states = sampler.chains(chains, seed, "walk")
    first = next(states)
    found = first.new_empty(widths, chains, steps, first.shape[-1])
    for step, state in enumerate(itertools.chain([first], states)):
        found[:, :, step] = state
        if step + 1 == steps:
            break
    return found


def score(std: float, chains: torch.Tensor, settings: ParzenSettings, valid: torch.Tensor) -> Width:
    """Return what chains of a width, (chains, steps, d), score on validation images, (v, d)."""
    found = [choose_bandwidth(valid, samples, settings.sigmas()) for samples in chains]
    return {
        "std": std,
        "sigmas": [bandwidth.sigma for bandwidth in found],
        "valid_means": [float(bandwidth.likelihoods.mean()) for bandwidth in found],
    }


@fast_float32()
def walk(key: str) -> None:
    """Choose the width of a walk, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_shown(key, "walk.json")
    if trained is None:
        return
    dataset, settings = trained.dataset(), trained.measure()
    assert settings.walk is not None  # by which the run is listed
    valid = dataset.load(dataset.folds[0][0])[: settings.sigma_images]
    stds, chains, widths = settings.walk.stds, settings.walk.chains, list[Width]()
    for some in torch.tensor(stds, dtype=torch.float64)[:, None, None].split(TOGETHER):
        sampler = trained.sampler(std=some)
        drawn = walked(sampler, len(some), chains, settings.samples, trained.run.seed)
        for std, samples in zip(some.flatten().tolist(), drawn, strict=True):
            widths.append(score(std, samples, settings, valid))
            print(f"{key}: std {std:g}: {statistics.fmean(widths[-1]['valid_means']):.1f} nats")
    std, best, alike = choose(widths)
    found: WalkChoice = {
        "status": "ok",
        "std": std,
        "best": best,
        "alike": alike,
        "at_end": best in (stds[0], stds[-1]),
        "coarse": is_coarse(stds, best),
        "widths": widths,
        "measure": settings.recorded(),
    }
    trained.write_circumstances("walk", __name__)
    write_record(walk_path(trained.run), found)
    print(f"{key}: the walk's standard deviation is {std:g}")
