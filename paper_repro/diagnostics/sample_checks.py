"""Stage ``sample_checks@<run>``: whether samples are copies, and joined without jumps.

What the paper says of its samples (sections 1, 5 and 6, figures 2 and 3), as numbers.
"""

import math
from typing import Any, Literal, NotRequired

import numpy as np
import torch
from scipy.stats import mannwhitneyu

from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.records import Closed, Sealed, or_not_run, write_record
from paper_repro.diagnostics.nearest import nearest_distances
from paper_repro.evaluation.trained_run import open_shown
from paper_repro.gan.model.noise import draw_noise
from paper_repro.gan.model.sampler import GeneratorSampler, generator_of

FILE = "sample_checks.json"
COPY_QUANTILE = 0.01  # nearer than so few of the held-out images: a copy
SAME = 0.01  # of the held-out images' median distance: an image and its copy, whatever the rounding
LINES = 200  # straight lines in z
STEPS = {"coarse": 10, "fine": 100, "finest": 1000}  # on each of them
AT_ONCE = 20  # lines, to bound the memory


class Memorisation(Closed):
    """Samples' distances to their nearest training images, beside those of held-out images."""

    samples_median: float
    held_out_median: float
    nearer_probability: float
    p_value: float
    copy_distance: float
    copies: float
    copies_allowed: float


class Interpolation(Closed):
    """Largest steps along lines in z, and by how much finer ones are smaller."""

    lines: int
    steps: dict[str, int]
    coarse: float | None
    fine: float | None
    finest: float | None
    shrinks: float | None
    shrinks_finer: float | None


class SampleChecks(Sealed):
    """``sample_checks.json``."""

    status: Literal["ok"]
    samples: int
    memorisation: Memorisation
    interpolation: NotRequired[Interpolation]  # of diagnosed experiments


SAMPLE_CHECKS = or_not_run(SampleChecks)


def memorisation(
    samples: torch.Tensor, train: torch.Tensor, held_out: torch.Tensor
) -> dict[str, float]:
    """Compare the samples' distances to their nearest training images with held-out images'.

    Medians of both; the probability that a sample is nearer than a held-out image, with the p-value
    of the Mann–Whitney test; and the share of samples no farther than that `COPY_QUANTILE` of the
    held-out images, with that distance, beside the share that chance allows (three standard
    deviations above). All images are (…, d).
    """
    ours, theirs = (nearest_distances(x, train).numpy() for x in (samples, held_out))
    test = mannwhitneyu(ours, theirs)
    # Held-out images that are training images themselves must not hide copies.
    bound = max(np.quantile(theirs, COPY_QUANTILE), SAME * np.median(theirs))
    chance = 3 * math.sqrt(COPY_QUANTILE * (1 - COPY_QUANTILE) * (1 / len(ours) + 1 / len(theirs)))
    return {
        "samples_median": float(np.median(ours)),
        "held_out_median": float(np.median(theirs)),
        "nearer_probability": 1 - float(test.statistic) / (len(ours) * len(theirs)),
        "p_value": float(test.pvalue),
        "copy_distance": float(bound),
        "copies": float((ours <= bound).mean()),
        "copies_allowed": COPY_QUANTILE + chance,
    }


@torch.no_grad()
def interpolation(sampler: GeneratorSampler, seed: int) -> dict[str, float | None]:
    """Return the largest step along straight lines between draws of z, at three finenesses.

    Mean over lines, in units of the mean distance of a line's two end images. A generator
    without jumps makes small steps smaller in proportion; one that jumps does not. None where the
    samples are all alike.
    """
    settings = sampler.experiment
    z = draw_noise(
        2 * LINES, settings.noise_dimension, settings.noise, stream_rng(seed, "interpolation")
    )
    found: dict[str, float | None] = {}
    for name, steps in STEPS.items():
        part = torch.linspace(0, 1, steps + 1)[:, None, None]
        largest, whole = [], []
        for start, end in zip(z[:LINES].split(AT_ONCE), z[LINES:].split(AT_ONCE), strict=True):
            line = (1 - part) * start + part * end
            images = torch.stack([sampler.network(points) for points in line])
            largest.append(torch.linalg.vector_norm(images.diff(dim=0), dim=2).amax(0))
            whole.append(torch.linalg.vector_norm(images[-1] - images[0], dim=1))
        mean = torch.cat(largest).mean() / torch.cat(whole).mean()
        found[name] = float(mean) if mean.isfinite() else None
    return found | {
        "shrinks": _ratio(found["coarse"], found["fine"]),
        "shrinks_finer": _ratio(found["fine"], found["finest"]),
    }


def _ratio(larger: float | None, smaller: float | None) -> float | None:
    return None if larger is None or not smaller else larger / smaller


@fast_float32()
def sample_checks(key: str) -> None:
    """Measure a trained run's samples, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_shown(key, FILE)
    if trained is None:
        return
    seed, dataset = trained.run.seed, trained.dataset()
    sampler = generator_of(trained.sampler(), key)
    held_out = dataset.load(dataset.folds[0][1])
    drawn = sampler.sample(len(held_out), seed, "samples")
    measured: dict[str, Any] = {
        "status": "ok",
        "samples": len(drawn),
        "memorisation": memorisation(drawn, dataset.load("train"), held_out),
    }
    if trained.run.experiment in trained.params.group("presentation").get("diagnosed", ()):
        lines = interpolation(sampler, seed)
        measured["interpolation"] = {"lines": LINES, "steps": STEPS} | lines
    trained.write_circumstances("sample_checks", __name__)
    write_record(trained.run.folder / FILE, measured)
    copies = measured["memorisation"]
    print(f"{key}: {copies['copies']:.2%} of the samples are nearer than 99 % of held-out images")
