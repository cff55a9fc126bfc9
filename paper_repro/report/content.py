"""The texts and facts of the reports that are written by hand, in YAML."""

import functools
from importlib import resources
from typing import Any

from ruamel.yaml import YAML


@functools.cache
def content(name: str) -> Any:
    """Return one of the YAML files beside this module."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return YAML(typ="safe", pure=True).load(text)
