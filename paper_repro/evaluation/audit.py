"""How much the Parzen estimate can be trusted: what it says of things that are no trained model.

Training images as "samples", k-means centroids, a Gaussian and a mixture of Gaussians; the estimate
over the number of samples; a finer grid of σ; repeated draws (Theis et al. 2015, arXiv:1511.01844).
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, PositiveInt
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from paper_repro import config
from paper_repro.evaluation import parzen
from paper_repro.evaluation.sampler import GeneratorSampler
from paper_repro.randomness import generator as seeded
from paper_repro.randomness import stream_seed

RIDGE = 1e-3  # added to variances: many pixels are always black


class Settings(config.Model):
    """How far the audit goes."""

    samples: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # of the curve
    draws: Annotated[int, Field(ge=2)]  # repeated sets of samples
    fine_sigma_points: PositiveInt  # between the ends of the paper's grid
    kmeans_centroids: PositiveInt
    kmeans_iterations: PositiveInt
    mixture_components: PositiveInt
    mixture_iterations: PositiveInt


def settings(params: Mapping[str, Any], profile: str) -> Settings:
    """Return the settings as a profile uses them (`UserError` on a bad key or value)."""
    below = config.group(params, "audit")
    above = config.group(params, "profiles", profile).get("audit", {})
    return config.parse(
        Settings,
        config.overlay(below, above),
        (f"profiles.{profile}.audit", above),
        ("audit", below),
    )


def estimate(
    drawn: Callable[[], torch.Tensor | Iterable[torch.Tensor]],
    sigmas: list[float],
    valid: torch.Tensor,
    test: torch.Tensor,
) -> dict[str, float]:
    """Return σ, chosen on validation images, and mean and error on test images, in nats.

    Parameters
    ----------
    drawn : gives the same samples at each of its two calls, as `parzen.log_likelihoods` takes them.
    valid, test : (…, d) images.
    """
    best = parzen.best_bandwidth(parzen.log_likelihoods(valid, drawn(), sigmas))
    found = parzen.log_likelihoods(test, drawn(), [sigmas[best]])[0]
    mean, error = parzen.mean_and_standard_error(found)
    return {"sigma": sigmas[best], "test_mean": mean, "test_se": error}


def references(
    train: torch.Tensor, n: int, chosen: Settings, seed: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield samples of what is no model of ours, (n, d) each, by name.

    Parameters
    ----------
    train : (m, d) training images.
    """
    order = torch.randperm(len(train), generator=seeded(seed, "audit/images"))
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


def measure(
    sampler: GeneratorSampler,
    train: torch.Tensor,
    valid: torch.Tensor,
    test: torch.Tensor,
    chosen: Settings,
    seed: int,
) -> dict[str, Any]:
    """Return all of the audit's numbers, in nats.

    Parameters
    ----------
    train, valid, test : (…, d) images.
    """
    experiment = sampler.experiment
    parameters = experiment.parzen
    n, sigmas = parameters.samples, parameters.sigmas()
    fine = parameters.model_copy(update={"sigma_points": chosen.fine_sigma_points}).sigmas()
    valid = valid[: parameters.sigma_images]

    def of(samples: torch.Tensor, grid: list[float]) -> dict[str, float]:
        return estimate(lambda: samples, grid, valid, test)

    first = sampler.sample(n, seed, "evaluation")
    rows = [{"samples": "ours", "n": n, **of(first, sigmas), "fine": of(first, fine)}]
    for name, samples in references(train, n, chosen, seed):
        rows.append(
            {"samples": name, "n": len(samples), **of(samples, sigmas), "fine": of(samples, fine)}
        )

    def curve_point(count: int) -> dict[str, float]:
        return estimate(lambda: sampler.blocks(count, seed, "audit/curve"), fine, valid, test)

    return {
        "rows": rows,
        "curve": [{"n": count, **curve_point(count)} for count in chosen.samples],
        "draws": [
            of(sampler.sample(n, seed, f"audit/draw/{index}"), sigmas)
            for index in range(chosen.draws)
        ],
        "sigma_grid": sigmas,
    }
