"""The joint update of the MNIST networks against the plain loop and its own matrix products."""

from collections.abc import Callable
from typing import Any

import torch

from paper_repro import config
from paper_repro.benchmarks.plain_loop import PlainLoop
from paper_repro.benchmarks.timing import by_turns, ratio, spread
from paper_repro.training.estimate import RATE, trial_trainer
from paper_repro.training.update import Trainer

ROUNDS = 15
SECONDS = 1.0  # of each call in a round
SHAPE = (28, 28)


def bare_products(
    experiment: config.Experiment, d: int, dtype: torch.dtype, device: torch.device
) -> tuple[Callable[[], None], int]:
    """Return a call that makes an update's matrix products and nothing else, and its FLOP.

    Both networks forward, the gradients of all weight matrices, and of the inputs where something
    comes before them: of D's first layer for the samples alone. Orientations are those of `joint`.
    """
    n = experiment.batch_size
    sizes: list[tuple[int, int, int, int]] = []  # inputs, columns, examples, those sent back
    for layers, inputs, m in (
        (experiment.generator, experiment.noise_dimension, n),
        (experiment.discriminator, d, 2 * n),
    ):
        before = inputs
        for index, layer in enumerate(layers):
            if not isinstance(layer, config.FullyConnected):
                raise ValueError(f"{layer.layer} is no fully connected layer")
            columns = layer.units * (layer.pieces if isinstance(layer, config.Maxout) else 1)
            first_of_g = index == 0 and m == n
            back = 0 if first_of_g else n if index == 0 else m
            sizes.append((before, columns, m, back))
            before = layer.units
    factors = []

    def new(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=device).to(dtype)

    for inputs, columns, m, back in sizes:
        weight, h, a = new(inputs, columns), new(inputs, m), new(columns, m)
        factors += [(weight.T, h), (h, a.T)]
        if back:
            factors.append((weight, a[:, :back]))
    outs = [torch.empty(a.shape[0], b.shape[1], dtype=dtype, device=device) for a, b in factors]
    flop = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in factors)

    def call() -> None:
        for (a, b), out in zip(factors, outs, strict=True):
            torch.mm(a, b, out=out)

    return call, flop


def bench_update(device: torch.device) -> dict[str, Any]:
    """Return the times of an update of the MNIST networks, and their ratios."""
    experiment = config.experiment(config.read_params(), "paper", "mnist")
    half = experiment.model_copy(update={"precision": "bfloat16"})
    trainer, x = trial_trainer(experiment, SHAPE, device)
    half_trainer, _ = trial_trainer(half, SHAPE, device)
    twin = trial_trainer(experiment, SHAPE, device)[0]
    twin = Trainer(experiment, twin.gan, twin.draws, plain=True)
    loop = PlainLoop(experiment, x.shape[1], device)
    bare, flop = bare_products(experiment, x.shape[1], torch.float32, device)
    half_bare, _ = bare_products(experiment, x.shape[1], torch.bfloat16, device)
    times = by_turns(
        {
            "float32": lambda: trainer.update(x, RATE, 0.5),
            "float32_products": bare,
            "bfloat16": lambda: half_trainer.update(x, RATE, 0.5),
            "bfloat16_products": half_bare,
            "autograd_twin": lambda: twin.update(x, RATE, 0.5),
            "plain_loop": lambda: loop.update(x),
        },
        device,
        rounds=ROUNDS,
        seconds=SECONDS,
    )
    return {
        "batch_size": experiment.batch_size,
        "gflop": flop / 1e9,
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": {
            "float32_update_gemm_fraction": ratio(times, "float32_products", "float32"),
            "bfloat16_update_gemm_fraction": ratio(times, "bfloat16_products", "bfloat16"),
            "float32_update_vs_plain": ratio(times, "plain_loop", "float32"),
            "bfloat16_update_vs_plain": ratio(times, "plain_loop", "bfloat16"),
            "float32_update_vs_twin": ratio(times, "autograd_twin", "float32"),
            "bfloat16_update_vs_twin": ratio(times, "autograd_twin", "bfloat16"),
        },
    }
