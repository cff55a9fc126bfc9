"""The joint update of the MNIST networks against the plain loop and its own matrix products."""

from typing import Any

import torch

from paper_repro.benchmarks.plain_loop import PlainLoop
from paper_repro.benchmarks.timing import Call, by_turns, ratio, spread
from paper_repro.benchmarks.trial import RATE, trial_trainer
from paper_repro.core.float32_matmul import FAST, fast_float32
from paper_repro.gan.model.networks import Gan
from paper_repro.gan.update import Trainer

ROUNDS = 15
SECONDS = 0.5  # of each call in a round
DEFAULT = {  # what each way is called where torch chooses what makes float32 products
    "float32": "float32_default",
    "float32_products": "float32_default_products",
    "twin": "twin_default",
    "plain": "plain_default",
}
RATIOS = {
    "float32_update_gemm_fraction": ("float32_default_products", "float32_default"),
    "float32_update_gemm_fraction_as_trained": ("float32_products", "float32"),
    "float32_update_vs_plain": ("plain_default", "float32"),
    "float32_update_vs_plain_same_products": ("plain_default", "float32_default"),
    "float32_update_vs_plain_as_trained": ("plain", "float32"),
    "float32_update_vs_twin": ("twin_default", "float32"),
}


def bare_products(gan: Gan, n: int) -> tuple[Call, int]:
    """Return a call that makes an update's matrix products and nothing else, and its FLOP.

    Both networks forward, the gradients of all weight matrices, and of the inputs where something
    comes before them: of D's first layer for the samples alone. Orientations are those of
    `joint_update`.

    Parameters
    ----------
    gan : of fully connected layers.
    n : images of a batch.
    """
    factors = []
    for network, examples in ((gan.generator, n), (gan.discriminator, 2 * n)):
        for index, layer in enumerate(network.stack):
            weight = layer.weight.detach()  # (inputs, columns)
            h, a = (torch.randn(rows, examples, device=weight.device) for rows in weight.shape)
            factors += [(weight.T, h), (h, a.T)]
            if index:
                factors.append((weight, a))
            elif network is gan.discriminator:
                factors.append((weight, a[:, :n]))
    outs = [torch.empty(a.shape[0], b.shape[1], device=a.device) for a, b in factors]
    flop = sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in factors)

    def call() -> None:
        for (a, b), out in zip(factors, outs, strict=True):
            torch.mm(a, b, out=out)

    return call, flop


def ways(trainer: Trainer, x: torch.Tensor) -> tuple[dict[str, Call], int]:
    """Return the ways to make an update on images, (n, d), by name, and its products' FLOP."""
    twin = Trainer(trainer.experiment, trainer.gan, trainer.draws, plain=True)
    loop = PlainLoop(trainer.experiment, x.shape[1], x.device)
    products, flop = bare_products(trainer.gan, len(x))
    calls: dict[str, Call] = {
        "float32": lambda: trainer.update(x, RATE, 0.5),
        "float32_products": products,
        "twin": lambda: twin.update(x, RATE, 0.5),
        "plain": lambda: loop.update(x),
    }
    return calls, flop


def _with_onednn(call: Call) -> Call:
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
    trainer, x = trial_trainer(device)
    made, flop = ways(trainer, x)
    calls = {DEFAULT[name]: call for name, call in made.items()}
    with fast_float32() as there:
        fast = there and device.type == "cpu"
    if fast:
        calls |= {name: _with_onednn(call) for name, call in made.items()}
    times = by_turns(calls, device, rounds=ROUNDS, seconds=SECONDS)
    if not fast:
        times |= {name: times[default] for name, default in DEFAULT.items()}
    return {
        "batch_size": len(x),
        "gflop": flop / 1e9,
        "products": {"default": "torch's default", "ours": "oneDNN" if fast else "the same"},
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": {name: ratio(times, *parts) for name, parts in RATIOS.items()},
    }
