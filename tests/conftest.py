"""Shared fixtures. No test needs the network, a GPU or any file outside the repository."""

from pathlib import Path

import pytest
import torch

from paper_repro import config

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def params():
    return config.read_params(ROOT / "params.yaml")


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
