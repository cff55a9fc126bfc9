"""The joint update of the MNIST networks against the plain loop and its own matrix products."""

from collections.abc import Callable
from typing import Any

import torch

from paper_repro.benchmarks.plain_loop import PlainLoop
from paper_repro.benchmarks.timing import by_turns, ratio, spread
from paper_repro.benchmarks.trial import RATE, trial_trainer
from paper_repro.core.float32_matmul import FAST, fast_float32
from paper_repro.core.params import read_params
from paper_repro.gan.model import recipe
from paper_repro.gan.update import Trainer

ROUNDS = 15
SECONDS = 0.5  # of each call in a round
SHAPE = (28, 28)


def bare_products(
    experiment: recipe.Experiment, d: int, device: torch.device
) -> tuple[Callable[[], None], int]:
    """Return a call that makes an update's matrix products and nothing else, and its FLOP.

    Both networks forward, the gradients of all weight matrices, and of the inputs where something
    comes before them: of D's first layer for the samples alone. Orientations are those of
    `joint_update`.
    """
    n = experiment.batch_size
    factors = []

    def new(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=device)

    for layers, inputs, examples in (
        (experiment.generator, experiment.noise_dimension, n),
        (experiment.discriminator, d, 2 * n),
    ):
        for index, layer in enumerate(layers):
            if not isinstance(layer, recipe.FullyConnected):
                raise ValueError(f"{layer.layer} is no fully connected layer")
            columns = layer.units * (layer.pieces if isinstance(layer, recipe.Maxout) else 1)
            weight, h, a = new(inputs, columns), new(inputs, examples), new(columns, examples)
            factors += [(weight.T, h), (h, a.T)]
            if index:
                factors.append((weight, a))
            elif layers is experiment.discriminator:
                factors.append((weight, a[:, :n]))
            inputs = layer.units
    outs = [torch.empty(a.shape[0], b.shape[1], device=device) for a, b in factors]
    flop = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in factors)

    def call() -> None:
        for (a, b), out in zip(factors, outs, strict=True):
            torch.mm(a, b, out=out)

    return call, flop


def _with_onednn(call: Callable[[], object]) -> Callable[[], object]:
    """Return the call with the products of `fast_float32`, which need no second check here."""
    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]

    def wrapped() -> None:
        before = settings.fp32_precision
        settings.fp32_precision = FAST
        try:
            call()
        finally:
            settings.fp32_precision = before

    return wrapped


def bench_update(device: torch.device) -> dict[str, Any]:
    """Return the times of an update of the MNIST networks, and their ratios.

    Everything is timed with torch's own choice of what makes float32 products; and, where
    `fast_float32` finds another, with that too, which is what training uses.
    """
    experiment = recipe.experiment(read_params(), "mnist")
    trainer, x = trial_trainer(experiment, SHAPE, device)
    other, _ = trial_trainer(experiment, SHAPE, device)
    twin = Trainer(experiment, other.gan, other.draws, plain=True)
    loop = PlainLoop(experiment, x.shape[1], device)
    bare, flop = bare_products(experiment, x.shape[1], device)
    calls: dict[str, Callable[[], object]] = {
        "float32_default": lambda: trainer.update(x, RATE, 0.5),
        "float32_default_products": bare,
        "twin_default": lambda: twin.update(x, RATE, 0.5),
        "plain_default": lambda: loop.update(x),
    }
    with fast_float32() as there:
        fast = there and device.type == "cpu"
    names = {name: name.replace("_default", "") for name in calls}
    if fast:
        calls |= {names[name]: _with_onednn(calls[name]) for name in names}
    times = by_turns(calls, device, rounds=ROUNDS, seconds=SECONDS)
    if not fast:
        times |= {names[name]: times[name] for name in names}
    return {
        "batch_size": experiment.batch_size,
        "gflop": flop / 1e9,
        "products": {"default": "torch's default", "ours": "oneDNN" if fast else "the same"},
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": {
            "float32_update_gemm_fraction": ratio(
                times, "float32_default_products", "float32_default"
            ),
            "float32_update_gemm_fraction_as_trained": ratio(times, "float32_products", "float32"),
            "float32_update_vs_plain": ratio(times, "plain_default", "float32"),
            "float32_update_vs_plain_same_products": ratio(
                times, "plain_default", "float32_default"
            ),
            "float32_update_vs_plain_as_trained": ratio(times, "plain", "float32"),
            "float32_update_vs_twin": ratio(times, "twin_default", "float32"),
        },
    }
