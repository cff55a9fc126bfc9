"""Families of models: where the code of each lies.

A family has a recipe, a training and a sampler; nothing else in the package asks which one a run is
of. Its name is that of its modules, which are imported when a run of it is met, so that a run's
stages depend on its own family only: ``runs.yaml`` names the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from paper_repro.core.errors import UserError

GAN = "gan"  # of a recipe that names no family
OTHERS = Path(__file__).resolve().parents[1] / "baselines" / "model"


@dataclass(frozen=True)
class Family:
    """A family by its name: ``gan/``, or a module of ``baselines/`` and one of its ``model/``."""

    name: str

    @property
    def independent(self) -> bool:
        """Whether its samples are; those of the others follow each other in a chain."""
        return self.name == GAN

    @property
    def model(self) -> str:
        """The file or folder of recipe and sampler, as DVC's pipeline lists it."""
        if self.name == GAN:
            return "paper_repro/gan/model"
        return f"paper_repro/baselines/model/{self.name}.py"

    @property
    def training(self) -> str:
        """That of the training."""
        return "paper_repro/gan" if self.name == GAN else f"paper_repro/baselines/{self.name}.py"

    @property
    def more(self) -> str:
        """What else a training runs; DVC wants a file there, so a GAN names one of its own."""
        if self.name == GAN:
            return "paper_repro/gan/model/layer.py"
        return "paper_repro/baselines/chain.py"

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


def families() -> list[str]:
    """Return the names that there are."""
    return [GAN, *sorted(path.stem for path in OTHERS.glob("[a-z]*.py"))]


def family_of(values: Mapping[str, Any], where: str) -> Family:
    """Return the family that a recipe's values name; a `UserError` that says `where` if none."""
    name, known = values.get("family", GAN), families()
    if name not in known:
        raise UserError(f"{where}.family: no family {name!r} (there: {', '.join(known)})")
    return Family(name)
