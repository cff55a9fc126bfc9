"""A reproducibility package for "Generative Adversarial Networks" (arXiv:1406.2661).

As a library, `load` opens a published model and `score` measures samples of any model; README has
an example. They are imported when they are first used, so that ``import paper_repro`` is quick.
"""

import importlib
from typing import TYPE_CHECKING

__all__ = ["Generator", "Score", "UserError", "load", "score"]

if TYPE_CHECKING:
    from paper_repro.api import Generator, Score, load, score
    from paper_repro.core.errors import UserError
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module("paper_repro.api"), name)
