import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan.model import recipe
from paper_repro.parzen.bandwidth import estimate
from paper_repro.parzen.likelihood import log_likelihoods, mean_and_standard_error
from tests import reference

SIGMAS = [0.1, 0.2, 0.5, 1.0]


def mixture(n, d=30, seed=0):
    """Images in [0, 1] in three clusters, float32."""
    draw = stream_rng(seed, "mixture")
    centres = torch.rand(3, d, generator=stream_rng(0, "centres"))
    chosen = torch.randint(3, (n,), generator=draw)
    return (centres[chosen] + 0.1 * torch.randn(n, d, generator=draw)).clamp(0, 1)


def test_it_is_scikit_learn_s_kernel_density():
    images, samples = mixture(50), mixture(200, seed=1)
    ours = log_likelihoods(images, samples, SIGMAS)
    for row, sigma in zip(ours, SIGMAS, strict=True):
        density = KernelDensity(kernel="gaussian", bandwidth=sigma, rtol=0).fit(samples.double())
        assert row.numpy() == pytest.approx(density.score_samples(images.double()), abs=0.01)


def test_it_is_the_direct_computation():
    images, samples = mixture(20), mixture(60, seed=1)
    ours = log_likelihoods(images.double(), samples.double(), SIGMAS)
    for row, sigma in zip(ours, SIGMAS, strict=True):
        expected = reference.parzen(images.double().numpy(), samples.double().numpy(), sigma)
        assert row.numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("chunks", [(1, 1), (7, 13), (1000, 10), (3, 5000)])
def test_chunks_change_the_result_by_rounding_only(chunks):
    images, samples = mixture(20), mixture(40, seed=1)
    whole = log_likelihoods(images, samples, SIGMAS)
    parts = log_likelihoods(images, samples, SIGMAS, image_chunk=chunks[0], sample_chunk=chunks[1])
    assert parts.numpy() == pytest.approx(whole.numpy(), abs=2e-3)


@pytest.mark.slow
def test_float32_at_full_width_is_within_a_hundredth_of_a_nat(params):
    # Binary-like images of 784 pixels with samples close by: the case of the smallest sigma.
    sigmas = recipe.experiment(params, "mnist").parzen.sigmas()
    images = (mixture(40, d=784) > 0.5).float()
    samples = torch.cat(
        [
            images + 0.02 * torch.randn(40, 784, generator=stream_rng(0, "near")),
            (mixture(2000, d=784, seed=1) > 0.5).float(),
        ]
    )
    ours = log_likelihoods(images, samples, sigmas)
    exact = torch.cdist(images.double(), samples.double()).square()
    for row, sigma in zip(ours, sigmas, strict=True):
        expected = (
            torch.logsumexp(-exact / (2 * sigma**2), 1)
            - math.log(len(samples))
            - 784 * math.log(sigma * math.sqrt(2 * math.pi))
        )
        assert row.numpy() == pytest.approx(expected.numpy(), abs=0.01)


def test_far_images_are_finite():
    samples = torch.zeros(5, 784)
    images = torch.ones(2, 784)
    row = log_likelihoods(images, samples, [0.01])[0]
    expected = -784 / (2 * 0.01**2) - 784 * math.log(0.01 * math.sqrt(2 * math.pi))
    assert row.numpy() == pytest.approx(expected, rel=1e-6)


def test_the_estimate_chooses_on_validation_and_measures_on_test():
    valid, test, samples = mixture(20), mixture(30, seed=2), mixture(40, seed=1)
    grid = [0.1, 0.3, 0.9]
    found = estimate(lambda: samples, grid, valid, test)
    means = log_likelihoods(valid, samples, grid).mean(1)
    best = grid[int(means.argmax())]
    assert found.bandwidth.sigma == best
    assert found.bandwidth.mean_by_sigma == dict(zip(grid, means.tolist(), strict=True))
    on_test = log_likelihoods(test, samples, [best])[0]
    assert (found.mean, found.se) == mean_and_standard_error(on_test)
    in_blocks = estimate(lambda: iter(samples.split(7)), grid, valid, test)
    assert in_blocks.mean == pytest.approx(found.mean, abs=1e-3)


def test_the_grid_of_sigmas_is_the_one_that_was_published(params):
    published = [0.1, 0.1292, 0.1668, 0.2154, 0.2783, 0.3594, 0.4642, 0.5995, 0.7743, 1]
    found = recipe.experiment(params, "mnist").parzen.sigmas()
    assert found == pytest.approx(published, abs=5e-5)


def test_the_error_is_the_population_s_over_root_n():
    values = torch.tensor([1.0, 2, 3, 6], dtype=torch.float64)
    mean, error = mean_and_standard_error(values)
    assert mean == 3
    assert error == pytest.approx(np.std([1, 2, 3, 6]) / 2)
