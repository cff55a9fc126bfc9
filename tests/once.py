"""What tests would do again and again on the same input, done once.

A small run trains in a tenth of a second; reading its code and its parameters takes ten times that.
Each function is remembered by all that its result is made of, so that a test that changes a file
sees the change.
"""

import functools
import pickle

import torch

from paper_repro.core import float32_matmul, params, provenance


def remembered(function, made_of):
    """Return `function` with its results kept by what `made_of` says of the arguments."""
    kept = {}

    @functools.wraps(function)
    def found(*arguments):
        key = (arguments, made_of(*arguments))
        if key not in kept:
            kept[key] = pickle.dumps(function(*arguments))
        return pickle.loads(kept[key])

    return found


def sources(module):
    """All that a stage's code can be."""
    paths = sorted(provenance.PACKAGE.rglob("*.py"))
    return provenance.ROOT, tuple((path, path.read_bytes()) for path in paths)


def text(path):
    return path.read_bytes() if path.is_file() else None


def product(*_):
    settings = getattr(torch.backends.mkldnn, "matmul", None)
    return torch.Tensor.__matmul__, getattr(settings, "fp32_precision", None)


def remember():
    provenance.import_closure = remembered(provenance.import_closure, sources)
    provenance.code_digest = remembered(provenance.code_digest, sources)
    provenance.versions = functools.cache(provenance.versions)
    params.read_yaml = remembered(params.read_yaml, text)
    float32_matmul._are_exact = remembered(float32_matmul._are_exact, product)
