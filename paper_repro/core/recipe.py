"""A recipe: an entry of ``experiments``, as its family of models types it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator

from paper_repro.core.families import Family, family_of
from paper_repro.core.measure import ParzenSettings
from paper_repro.core.params import Count, Model, Params, Place, parse
from paper_repro.core.titles import NORMALISED

if TYPE_CHECKING:  # torch takes seconds, and who asks for a recipe may need none
    import torch

    from paper_repro.core.sampler import Sampler

Share = Annotated[float, Field(ge=0, lt=1)]


def _in_unit_interval(dataset: str) -> str:
    if dataset in NORMALISED:
        raise ValueError("its pixels are contrast-normalised, and this family takes [0, 1] only")
    return dataset


InUnitInterval = Annotated[str, AfterValidator(_in_unit_interval)]  # a data set of such pixels


class Recipe(Model):
    """What the recipe of every family has."""

    UNNAMED: ClassVar[tuple[str, ...]] = ()  # as `paper_repro.core.params.parse` takes them

    dataset: str
    batch_size: Count
    epochs: Count
    validate_every: Count
    selection: Literal["best_validation", "last"] = "last"
    parzen: ParzenSettings  # of the validation images, in training
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.epochs % self.validate_every:
            raise ValueError(
                f"epochs ({self.epochs}) must be a multiple of validate_every "
                f"({self.validate_every}), so that the last epoch is measured"
            )
        return self

    @property
    def passes(self) -> int:
        """How often training passes over the images: its epochs, of all layers together."""
        return self.epochs

    def updates_per_epoch(self, n_train: int) -> int:
        """Return how many updates one pass over the training set takes; short batches are kept."""
        return -(-n_train // self.batch_size)

    def trial(self) -> Self:
        """Return the recipe as its speed is measured: without what is another run's."""
        return self

    def course(self) -> dict[str, Any]:
        """Return what decides the course of training, to name checkpoints by.

        Without `epochs`, where a longer training goes on from a shorter one, and without what
        stands at its default: a key added later leaves finished runs alone. How often it is
        validated decides only which epoch is the best.
        """
        excluded = {"epochs", "device"}
        if self.selection == "last":
            excluded.add("validate_every")
        return self.model_dump(exclude=excluded, exclude_defaults=True)


class Layerwise(Recipe):
    """What the recipe of a model has that is trained layer by layer; `epochs` are those of each."""

    dataset: InUnitInterval
    hidden: Annotated[tuple[Count, ...], Field(min_length=1)]

    @property
    def passes(self) -> int:
        """How often training passes over the images, over all layers."""
        return self.epochs * len(self.hidden)

    def course(self) -> dict[str, Any]:
        """Return what decides the course of training: `epochs`, too, where a layer ends."""
        return super().course() | {"epochs": self.epochs}


class ModelModule(Protocol):
    """What a family's module of the model has."""

    RECIPE: type[Recipe]

    def sampler(
        self,
        recipe: Recipe,
        tensors: "Mapping[str, torch.Tensor]",
        std: "float | torch.Tensor | None",
        images: "Callable[[], torch.Tensor]",
    ) -> "Sampler":
        """Return a trained model as a sampler; a `ValueError` if the tensors are not the recipe's.

        Parameters
        ----------
        tensors : what the model file calls ``generator.…``, without that.
        std : of the noise of its walk, where a `measure` has it chosen; or several, (w, 1, 1).
        images : gives the training images, (n, d).
        """


def family_in(params: Params, name: str) -> Family:
    """Return the family of an experiment (`UserError` if there is none of the name it gives)."""
    return family_of(params.recipe(name)[0], params.where(name))


def recipe_of(params: Params, name: str) -> Recipe:
    """Return an experiment's recipe as a profile runs it (`UserError` as `parse`)."""
    values, places = params.recipe(name)
    found: type[Recipe] = family_in(params, name).model_module().RECIPE
    return parse(found, places, values, found.UNNAMED)


def recorded(values: Mapping[str, Any], path: Path) -> Recipe:
    """Return the recipe that a run's record, read from `path`, holds (`UserError` if none)."""
    place = Place(path, "experiment_parameters", values)
    found: type[Recipe] = family_of(values, f"{path}: {place.key}").model_module().RECIPE
    return parse(found, [place], unnamed=found.UNNAMED)
