"""Stage ``parzen_audit@<run>``: how much the Parzen estimate can be trusted.

What it says of things that are no trained model: training images as "samples", k-means centroids, a
Gaussian and a mixture of Gaussians; the estimate over the number of samples; a finer grid of σ;
repeated draws (Theis et al. 2015, arXiv:1511.01844).
"""

import functools
import itertools
import warnings
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import Count, Model
from paper_repro.core.random_streams import stream_rng, stream_seed
from paper_repro.core.records import Closed, Sealed, or_not_run, write_record
from paper_repro.evaluation.trained_run import open_shown
from paper_repro.gan.model.sampler import generator_of
from paper_repro.parzen.bandwidth import estimate

RIDGE = 1e-3  # added to variances: many pixels are always black


class Estimate(Closed):
    """The Parzen estimate of the test images at the σ best on validation images."""

    sigma: float
    test_mean: float
    test_se: float


class AuditRow(Estimate):
    """The estimate of `n` samples on the default grid of σ and, as `fine`, on a finer one."""

    samples: str
    n: int
    fine: Estimate


class AuditPoint(Estimate):
    """The estimate of `n` samples of our generator."""

    n: int


class Audit(Sealed):
    """What the measure says of samples that no trained model made, and of more or other samples."""

    status: Literal["ok"]
    run: str
    stand_in: str | None
    rows: list[AuditRow]
    curve: list[AuditPoint]
    draws: list[Estimate]
    sigma_grid: list[float]
    settings: dict[str, Any]


AUDIT = or_not_run(Audit)


class AuditSettings(Model):
    """How far the audit goes: the group ``parzen_audit`` of the parameters."""

    samples: Annotated[tuple[Count, ...], Field(min_length=1)]  # of the curve
    draws: Annotated[int, Field(ge=2)]  # repeated sets of samples
    fine_sigma_points: Count  # between the ends of the default grid
    kmeans_centroids: Count
    kmeans_iterations: Count
    mixture_components: Count
    mixture_iterations: Count


def references(
    train: torch.Tensor, n: int, chosen: AuditSettings, seed: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield samples of what is no model of ours, (n, d) each, by name; `train` are (m, d)."""
    # Imported here, because who reads an audit's record should not wait for it.
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    order = torch.randperm(len(train), generator=stream_rng(seed, "audit/images"))
    yield "training images", train[order[:n]]
    images, state = train.numpy(), stream_seed(seed, "audit/fits") % 2**32
    clusters = KMeans(
        min(chosen.kmeans_centroids, len(train)),
        init=images[order[: chosen.kmeans_centroids].numpy()],
        n_init=1,
        max_iter=chosen.kmeans_iterations,
        tol=0,
    ).fit(images)
    yield "k-means centroids", torch.from_numpy(clusters.cluster_centers_).float()
    draw = np.random.default_rng(state)
    covariance = np.cov(images, rowvar=False) + RIDGE * np.eye(images.shape[1])
    root = np.linalg.cholesky(covariance)
    normal = draw.standard_normal((n, images.shape[1]))
    yield "a Gaussian", torch.from_numpy(images.mean(0) + normal @ root.T).float()
    mixture = GaussianMixture(
        min(chosen.mixture_components, len(train)),
        covariance_type="diag",
        init_params="random_from_data",
        max_iter=chosen.mixture_iterations,
        tol=0,
        reg_covar=RIDGE,
        random_state=state,
    )
    with warnings.catch_warnings():  # a fixed number of steps, as with the centroids
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(images)
    yield "a mixture of Gaussians", torch.from_numpy(mixture.sample(n)[0]).float()


@fast_float32()
def parzen_audit(key: str) -> None:
    """Audit the measure on a run, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_shown(key, "parzen_audit.json")
    if trained is None:
        return
    run, dataset = trained.run, trained.dataset()
    chosen = trained.params.parse(AuditSettings, "parzen_audit")
    train, valid, test = (dataset.load(part) for part in ("train", *dataset.folds[0]))
    parameters, seed = trained.measure(), run.seed
    sampler, sigmas = generator_of(trained.sampler(), key), parameters.sigmas()
    fine = parameters.model_copy(update={"sigma_points": chosen.fine_sigma_points}).sigmas()
    n, valid = parameters.samples, valid[: parameters.sigma_images]

    def of(samples: torch.Tensor, grid: list[float]) -> dict[str, float]:
        return estimate(lambda: samples, grid, valid, test).numbers()

    def curve_point(count: int) -> dict[str, float]:
        drawn = functools.partial(sampler.blocks, count, seed, "audit/curve")
        return estimate(drawn, fine, valid, test).numbers()

    first = ("ours", sampler.sample(n, seed, "evaluation"))
    rows: list[dict[str, Any]] = [
        {"samples": name, "n": len(samples), **of(samples, sigmas), "fine": of(samples, fine)}
        for name, samples in itertools.chain([first], references(train, n, chosen, seed))
    ]
    curve = [{"n": count, **curve_point(count)} for count in chosen.samples]
    draws = [
        of(sampler.sample(n, seed, f"audit/draw/{index}"), sigmas) for index in range(chosen.draws)
    ]
    trained.write_circumstances("parzen_audit", __name__)
    record = {
        "status": "ok",
        "run": run.key,
        "stand_in": dataset.stand_in,
        "rows": rows,
        "curve": curve,
        "draws": draws,
        "sigma_grid": sigmas,
        "settings": chosen.model_dump(mode="json"),
    }
    write_record(run.folder / "parzen_audit.json", record)
    for row in rows:
        print(f"{key}: {row['samples']}: {row['test_mean']:.1f} nats")
