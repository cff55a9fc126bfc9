"""Which library makes float32 matrix products on the CPU.

torch leaves them to MKL, which on processors of other makes than Intel's uses half of the vectors'
width, and brings oneDNN too, which uses all of it. torch offers oneDNN only under the name of a
lower precision, "bf16": the factors *may* be rounded. oneDNN does that where a processor has matrix
units for it, and elsewhere computes in float32. So it is asked for, and kept only if products turn
out to be float32's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# The rows, inner sizes and columns that are tried: of the size of the networks' own.
TRIED = ((100, 1200, 1200), (1200, 100, 1200), (200, 784, 1200), (8, 8, 8))
FAST = "bf16"  # torch's name for "oneDNN, and round the factors where that is faster"
LARGEST_ERROR = 1e-5  # float32 makes about 1e-6 of it, factors rounded to bfloat16 about 1e-3


@contextmanager
def fast_float32() -> Iterator[bool]:
    """Use oneDNN for the products of the block, if it is there and keeps float32; say whether."""
    settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(settings, "fp32_precision", None)
    if before is None:  # a torch before 2.9
        yield False
        return
    settings.fp32_precision = FAST
    try:
        exact = _are_exact()
        if not exact:
            settings.fp32_precision = before
        yield exact
    finally:
        settings.fp32_precision = before


def library() -> str:
    """Return what makes float32 products at present."""
    settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
    return "oneDNN" if getattr(settings, "fp32_precision", None) == FAST else "torch's default"


def _are_exact() -> bool:
    """Return whether products have float32's precision: none of their factors is rounded."""
    draw = torch.Generator().manual_seed(0)
    for rows, inner, columns in TRIED:
        a = torch.rand(rows, inner, generator=draw, dtype=torch.float32)
        b = torch.rand(inner, columns, generator=draw, dtype=torch.float32)
        exact = a.double() @ b.double()
        if float(((a @ b) - exact).abs().max() / exact.max()) > LARGEST_ERROR:
            return False
    return True
