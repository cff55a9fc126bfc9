"""Stage ``sample_sets@<run>``: ten sets of samples of a published model, by several grids of σ.

What ``reports/paper/protocol.md`` asks for. A set of samples moves the number by about a nat, the
grid of σ, which the paper does not state, by several. The generator is the published one, in half
precision: whoever has the repository can measure it again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from paper_repro.core.dataset import Dataset
from paper_repro.core.errors import UserError
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.measure import ParzenSettings
from paper_repro.core.records import Closed, Sealed, or_not_run, write_record
from paper_repro.evaluation.trained_run import TrainedRun, open_published
from paper_repro.parzen.likelihood import log_likelihoods, mean_and_standard_error

SETS = 10


class OneSet(Closed):
    """The estimate of one set of samples, σ from one grid and chosen on some validation images."""

    sigma: float
    valid_mean: float
    test_mean: float
    test_se: float


class ByImages(Closed):
    """Estimates by the validation images on which σ was chosen."""

    first_images: OneSet  # those of the measure
    all_images: OneSet


SampleSet = dict[str, ByImages]  # by grid of σ; `grids` has all
DEFAULT_GRID, FINE_GRID, GSN_GRID = "default", "log_91", "sigma_0.2"
AUTHORS_GRIDS = (DEFAULT_GRID, "log_15", "linear_10")  # that their script has had
PROTOCOL_GRIDS = (*AUTHORS_GRIDS, FINE_GRID)  # that reports/paper/protocol.md names


@dataclass(frozen=True)
class Grid:
    """A grid of σ: what it is, a few words for a picture, and its values by the measure's ends."""

    what: str
    short: str
    sigmas: Callable[[ParzenSettings], list[float]]


def _logarithmic(points: int) -> Callable[[ParzenSettings], list[float]]:
    return lambda settings: settings.model_copy(update={"sigma_points": points}).sigmas()


# The default one of the released ``parzen_ll.py``; two that earlier versions of it had (in the
# authors' development repository, 30 and 31 May 2014); a fine one; and the one bandwidth by which
# deep GSN's authors measured theirs (`yaoli/GSN`).
GRIDS = {
    DEFAULT_GRID: Grid(
        "10 values, logarithmic, 0.1 to 1: the released script's default",
        "10 values, default",
        ParzenSettings.sigmas,
    ),
    "log_15": Grid(
        "15 values, logarithmic, 0.1 to 1: an earlier version of it",
        "15 values",
        _logarithmic(15),
    ),
    "linear_10": Grid(
        "10 values, evenly spaced, 0.001 to 1: its first version",
        "10 values, linear",
        lambda _: torch.linspace(0.001, 1, 10, dtype=torch.float64).tolist(),
    ),
    FINE_GRID: Grid("91 values, logarithmic, 0.1 to 1: fine", "91 values", _logarithmic(91)),
    GSN_GRID: Grid("σ = 0.2 alone: deep GSN's", "σ = 0.2", lambda _: [0.2]),
}


class SampleSets(Sealed):
    """``sample_sets.json``: a published generator on several sets of samples."""

    status: Literal["ok"]
    sets: Annotated[list[SampleSet], Field(min_length=1)]
    samples: int
    grids: dict[str, list[float]]
    measure: dict[str, Any]
    data: dict[str, str]


SAMPLE_SETS = or_not_run(SampleSets)


def grids(settings: ParzenSettings) -> dict[str, list[float]]:
    """Return the grids of σ by name, in pixels' units."""
    return {name: grid.sigmas(settings) for name, grid in GRIDS.items()}


def stream(index: int) -> str:
    """Return the name of a set's random draws; the first is that of the stage `evaluate`."""
    return "evaluation" if index == 0 else f"evaluation/{index}"


def measure(
    samples: torch.Tensor,
    by_grid: dict[str, list[float]],
    valid: torch.Tensor,
    test: torch.Tensor,
    first: int | None,
) -> SampleSet:
    """Return the estimates of one set of samples, in nats, for every grid.

    Parameters
    ----------
    samples : (n, d)
    valid : (v, d) validation images; σ is chosen on the first `first` of them, and on all.
    test : (m, d) test images, used for the mean and its error and nothing else.
    """
    sigmas = sorted({sigma for grid in by_grid.values() for sigma in grid})
    on_valid = dict(zip(sigmas, log_likelihoods(valid, samples, sigmas), strict=True))

    def best(grid: list[float], count: int | None) -> tuple[float, float]:
        means = [float(on_valid[sigma][:count].mean()) for sigma in grid]
        return grid[means.index(max(means))], max(means)  # the first of equals

    chosen = {name: (best(grid, first), best(grid, None)) for name, grid in by_grid.items()}
    needed = sorted({sigma for pair in chosen.values() for sigma, _ in pair})
    on_test = dict(zip(needed, log_likelihoods(test, samples, needed), strict=True))

    def found(sigma: float, valid_mean: float) -> OneSet:
        mean, error = mean_and_standard_error(on_test[sigma])
        return {"sigma": sigma, "valid_mean": valid_mean, "test_mean": mean, "test_se": error}

    return {
        name: {"first_images": found(*on_first), "all_images": found(*on_all)}
        for name, (on_first, on_all) in chosen.items()
    }


def measured_sets(
    trained: TrainedRun,
    dataset: Dataset,
    indices: Iterable[int],
    by_grid: dict[str, list[float]],
    *,
    all_images: bool = True,
) -> list[SampleSet]:
    """Return the estimates of a published run's sets of samples (`UserError` on data with folds).

    Parameters
    ----------
    indices : of the sets.
    by_grid : as in `measure`.
    all_images : whether σ is chosen on all validation images, too; else only on the first ones.
    """
    if len(dataset.folds) != 1:
        raise UserError(f"{dataset.name}: sets of samples are measured on data without folds only")
    settings, sampler = trained.measure(), trained.sampler()
    valid, test = (dataset.load(part) for part in dataset.folds[0])
    if not all_images:
        valid = valid[: settings.sigma_images]
    return [
        measure(
            sampler.sample(settings.samples, trained.run.seed, stream(index)),
            by_grid,
            valid,
            test,
            settings.sigma_images,
        )
        for index in indices
    ]


@fast_float32()
def sample_sets(key: str) -> None:
    """Measure a published run, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_published(key, "sample_sets.json")
    if trained is None:
        return
    dataset, settings = trained.dataset(), trained.measure()
    by_grid = grids(settings)
    found: SampleSets = {
        "status": "ok",
        "sets": measured_sets(trained, dataset, range(SETS), by_grid),
        "samples": settings.samples,
        "grids": by_grid,
        "measure": settings.recorded(),
        "data": {part: dataset.sha256[part] for part in dataset.counts},
    }
    trained.write_circumstances("sample_sets", __name__)
    write_record(trained.run.folder / "sample_sets.json", found)
    mean = sum(one[DEFAULT_GRID]["first_images"]["test_mean"] for one in found["sets"]) / SETS
    print(f"{key}: {SETS} sets of samples: {mean:.1f} nats")
