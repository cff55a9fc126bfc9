"""Families of models: where the code of each lies.

A family has a recipe, a training and a sampler; nothing else in the package asks which one a run is
of. Its modules are imported by name when a run of it is met, so that a run's stages depend on its
own family only: ``runs.yaml`` names the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from paper_repro.core.errors import UserError


@dataclass(frozen=True)
class Family:
    """A family's files or folders, as DVC's pipeline lists them."""

    model: str  # recipe and sampler
    training: str
    more: str  # what else its training runs; DVC wants a file there, so a GAN names one of its own
    independent: bool = False  # its samples; those of a chain are drawn by stage mixing

    def model_module(self) -> Any:
        """Return what has the recipe and the sampler: a `paper_repro.core.recipe.ModelModule`."""
        return import_module(module(self.model))

    def training_module(self) -> Any:
        """Return what has the training: a `paper_repro.training.family.TrainingModule`."""
        return import_module(module(self.training))


def module(place: str) -> str:
    """Return the name of a file's module, or of the one called `family` in a folder."""
    name = place.removesuffix(".py").replace("/", ".")
    return name if place.endswith(".py") else f"{name}.family"


def _chain(name: str) -> Family:
    return Family(
        f"paper_repro/baselines/model/{name}.py",
        f"paper_repro/baselines/{name}.py",
        "paper_repro/baselines/chain.py",
    )


GAN = "gan"  # of a recipe that names no family
FAMILIES = {
    GAN: Family(
        "paper_repro/gan/model",
        "paper_repro/gan",
        "paper_repro/gan/model/layer.py",
        independent=True,
    ),
    **{name: _chain(name) for name in ("dbn", "stacked_cae", "deep_gsn")},
}


def family_of(values: Mapping[str, Any], where: str) -> Family:
    """Return the family that a recipe's values name.

    Parameters
    ----------
    where : the values stand, for errors.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    name = values.get("family", GAN)
    if not isinstance(name, str) or name not in FAMILIES:
        raise UserError(f"{where}.family: no family {name!r} (there: {', '.join(FAMILIES)})")
    return FAMILIES[name]
