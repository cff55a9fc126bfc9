"""The Parzen estimate against scikit-learn, the direct computation and its own matrix product."""

import math
import time
from typing import Any

import torch
from sklearn.neighbors import KernelDensity

from paper_repro.benchmarks.sampling import random_sampler
from paper_repro.benchmarks.timing import Call, by_turns, ratio, spread
from paper_repro.benchmarks.trial import EXPERIMENT
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.params import read_params
from paper_repro.core.provenance import peak_memory
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.recipe import recipe_of
from paper_repro.evaluation.evaluate import measure
from paper_repro.parzen.likelihood import log_likelihoods

N, D = 10_000, 784  # images and samples; pixels
SLICE = 20  # images of which the slow ones are timed; their time is in proportion to the images
BROADCAST_BATCH = 10  # images at a time, as in the authors' script
MANY = 1_000_000
ROUNDS = 5
CPU = torch.device("cpu")


def _pictures(seed: int = 0) -> torch.Tensor:
    """Return random images, (N, D), a fifth of whose pixels are not black."""
    draw = stream_rng(seed, "benchmark")
    lit = torch.rand(N, D, generator=draw) > 0.8
    return torch.rand(N, D, generator=draw) * lit


def broadcast(images: torch.Tensor, samples: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return log-likelihoods, (m,), as the authors' script computes them: all differences at once.

    Parameters
    ----------
    images, samples : (m, d) and (n, d), of which a batch makes an array of batch × n × d.
    """
    found = []
    for batch in images.split(BROADCAST_BATCH):
        scaled = (batch[:, None] - samples[None]) / sigma
        found.append(torch.logsumexp(-0.5 * scaled.square().sum(2), 1))
    n, d = samples.shape
    return torch.cat(found) - math.log(n) - d * math.log(sigma * math.sqrt(2 * math.pi))


def _bare_product(images: int) -> Call:
    """Return a call that makes the products of images and N samples in blocks, and nothing else."""
    x, s, out = torch.rand(500, D), torch.rand(1000, D), torch.empty(500, 1000)
    blocks = math.ceil(images / 500) * math.ceil(N / 1000)

    def call() -> None:
        for _ in range(blocks):
            torch.mm(x, s.T, out=out)

    return call


@fast_float32()
def bench_parzen() -> dict[str, Any]:
    """Return the times of the estimate on the CPU, and their ratios."""
    settings = recipe_of(read_params(), EXPERIMENT).parzen
    samples, valid, test = (_pictures(seed) for seed in range(3))
    sigma = settings.sigmas()[2]
    density = KernelDensity(kernel="gaussian", bandwidth=sigma).fit(samples.numpy())
    few = test[:SLICE]
    exact = log_likelihoods(few.double(), samples.double(), settings.sigmas())
    errors = {
        "float32": log_likelihoods(few, samples, settings.sigmas()) - exact,
        "kernel_density": torch.from_numpy(density.score_samples(few.numpy())) - exact[2],
        "broadcast": broadcast(few, samples, sigma) - exact[2],
    }
    calls: dict[str, Call] = {
        # The whole measure: all σ on the first thousand validation images, the best on all of test.
        "measure": lambda: measure(samples, settings, valid, test),
        "measure_product": _bare_product((settings.sigma_images or N) + N),
        "one_sigma": lambda: log_likelihoods(test, samples, [sigma]),
        "one_sigma_kernel_density": lambda: density.score_samples(few.numpy()),
        "one_sigma_broadcast": lambda: broadcast(few, samples, sigma),
    }
    times = by_turns(calls, CPU, rounds=ROUNDS, seconds=0.0)
    for name in ("one_sigma_kernel_density", "one_sigma_broadcast"):
        times[name] = [seconds * N / SLICE for seconds in times[name]]
    return {
        "images": N,
        "samples": N,
        "pixels": D,
        "sigmas": settings.sigma_points,
        "sigma_images": settings.sigma_images,
        "slice": SLICE,
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": {
            "parzen_gemm_fraction": ratio(times, "measure_product", "measure"),
            "parzen_vs_kde": ratio(times, "one_sigma_kernel_density", "one_sigma"),
            "parzen_vs_broadcast": ratio(times, "one_sigma_broadcast", "one_sigma"),
        },
        "largest_error_nats": {name: float(e.abs().max()) for name, e in errors.items()},
    }


@fast_float32()
def bench_many_samples() -> dict[str, Any]:
    """Return time and peak memory of a million samples of an MNIST generator against test images.

    The samples are made block by block, and no two blocks are there at a time.
    """
    sampler, images = random_sampler(EXPERIMENT), _pictures()
    sigma = recipe_of(read_params(), EXPERIMENT).parzen.sigmas()[2]
    started = time.perf_counter()
    log_likelihoods(images, sampler.blocks(MANY, 0, "benchmark"), [sigma])
    seconds = time.perf_counter() - started
    return {
        "images": N,
        "samples": MANY,
        "pixels": D,
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(CPU),
    }
