import os

import pytest
import torch

from paper_repro.core import float32_matmul as products
from paper_repro.core.circumstances import TRAINING, read_circumstances
from paper_repro.training.train import train


@pytest.fixture
def settings():
    found = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(found, "fp32_precision"):
        pytest.skip("this torch has no such setting")
    return found


def relative_error():
    a, b = torch.rand(300, 500), torch.rand(500, 200)
    exact = a.double() @ b.double()
    return float(((a @ b) - exact).abs().max() / exact.max())


def test_products_keep_float32_and_the_setting_ends_with_the_block(settings):
    before = settings.fp32_precision
    with products.fast_float32() as fast:
        assert relative_error() < products.LARGEST_ERROR
        assert (products.library() == "oneDNN") == fast
    assert settings.fp32_precision == before


def test_the_setting_ends_with_an_error_too(settings):
    before = settings.fp32_precision
    with pytest.raises(ZeroDivisionError), products.fast_float32():
        raise ZeroDivisionError
    assert settings.fp32_precision == before


def test_a_gpu_rounds_nothing_and_chooses_alike_within_the_block(monkeypatch):
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    settings = ((cuda, "allow_tf32"), (cudnn, "allow_tf32"), (cudnn, "benchmark"))
    before = [getattr(*setting) for setting in settings]
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    try:
        for where, name in settings:
            setattr(where, name, True)
        with products.fast_float32():
            assert "NVIDIA_TF32_OVERRIDE" not in os.environ
            assert [getattr(*setting) for setting in settings] == [False] * 3
            assert cudnn.deterministic
        assert [getattr(*setting) for setting in settings] == [True] * 3
        assert not cudnn.deterministic
    finally:
        for (where, name), value in zip(settings, before, strict=True):
            setattr(where, name, value)


def test_a_processor_that_rounds_the_factors_keeps_the_default(settings, monkeypatch):
    # As with matrix units: while the setting is on, products are bfloat16's.
    product = torch.Tensor.__matmul__

    def rounding(a, b):
        if a.dtype == torch.float32 and settings.fp32_precision == products.FAST:
            return product(a.bfloat16(), b.bfloat16()).float()
        return product(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
    before = settings.fp32_precision
    with products.fast_float32() as fast:
        assert not fast
        assert settings.fp32_precision == before
        assert relative_error() < products.LARGEST_ERROR


def test_a_run_records_which_library_made_its_products(settings, workspace):
    train(workspace.key)
    with products.fast_float32():
        expected = products.library()
    starts = read_circumstances(workspace.run, "train", TRAINING)["starts"]
    assert [start["float32_products"] for start in starts] == [expected]
