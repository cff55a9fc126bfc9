"""How float32 matrix products are made: in float32, by the fastest library that keeps to it.

On an NVIDIA GPU the factors of products and convolutions may be rounded to ten bits ("tf32"), which
torch and two environment variables can ask for. That is switched off here, and `are_exact` tells
what a device then really does.

On the CPU torch leaves them to MKL, which on processors of other makes than Intel's uses half of
the vectors' width, and brings oneDNN too, which uses all of it. torch offers oneDNN only under the
name of a lower precision, "bf16": the factors *may* be rounded. oneDNN does that where a processor
has matrix units for it, and elsewhere computes in float32. So it is asked for, and kept only if
products turn out to be float32's.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch

# The rows, inner sizes and columns that are tried: of the size of the networks' own.
TRIED = ((100, 1200, 1200), (1200, 100, 1200), (200, 784, 1200), (8, 8, 8))
FAST = "bf16"  # torch's name for "oneDNN, and round the factors where that is faster"
LARGEST_ERROR = 1e-5  # float32 makes about 1e-6 of it, factors rounded to bfloat16 about 1e-3


@contextmanager
def _set(settings: Any, name: str, value: object) -> Iterator[None]:
    before = None
    with suppress(RuntimeError):  # torch refuses to tell, where someone mixed its two names for it
        before = getattr(settings, name)
    setattr(settings, name, value)
    try:
        yield
    finally:
        if before is not None:
            setattr(settings, name, before)


@contextmanager
def fast_float32() -> Iterator[bool]:
    """Make the block's products in float32; on the CPU by oneDNN, if it keeps to that: say whether.

    On a GPU nothing is rounded to tf32, and cuDNN chooses among convolutions that give the same
    bytes at every start.
    """
    # NVIDIA's libraries read it at their first product, and then heed torch no more.
    os.environ.pop("NVIDIA_TF32_OVERRIDE", None)
    cudnn = torch.backends.cudnn
    with ExitStack() as gpu:
        gpu.enter_context(_set(torch.backends.cuda.matmul, "allow_tf32", value=False))
        gpu.enter_context(_set(cudnn, "allow_tf32", value=False))
        gpu.enter_context(_set(cudnn, "deterministic", value=True))
        gpu.enter_context(_set(cudnn, "benchmark", value=False))
        yield gpu.enter_context(_fast_on_the_cpu())


@contextmanager
def _fast_on_the_cpu() -> Iterator[bool]:
    settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(settings, "fp32_precision", None)
    if before is None:  # a torch before 2.9
        yield False
        return
    with _set(settings, "fp32_precision", FAST):
        exact = are_exact()
        if not exact:
            settings.fp32_precision = before
        yield exact


def library() -> str:
    """Return what makes float32 products at present."""
    settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
    return "oneDNN" if getattr(settings, "fp32_precision", None) == FAST else "torch's default"


def are_exact(device: torch.device | str = "cpu") -> bool:
    """Return whether a device's products have float32's precision: no factor is rounded."""
    draw = torch.Generator().manual_seed(0)
    for rows, inner, columns in TRIED:
        a = torch.rand(rows, inner, generator=draw, dtype=torch.float32)
        b = torch.rand(inner, columns, generator=draw, dtype=torch.float32)
        exact = a.double() @ b.double()
        found = (a.to(device) @ b.to(device)).cpu()
        if float((found - exact).abs().max() / exact.max()) > LARGEST_ERROR:
            return False
    return True
