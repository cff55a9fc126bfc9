"""The recipe of an experiment: networks, objectives, update, schedules.

Recipes are the entries under ``experiments`` in ``params.yaml``, those of the released
configuration files, and what a profile changes in them.
"""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from paper_repro.core.params import (
    LARGEST,
    Count,
    CountOrZero,
    Model,
    Params,
    Positive,
    parse,
    require_order,
)
from paper_repro.core.recipe import Recipe, Share

Probability = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=10)]


class UniformInit(Model):
    """Weights from U(−uniform, uniform)."""

    uniform: Positive


class SparseInit(Model):
    """In each column `sparse` weights from N(0, 1), the others 0."""

    sparse: Count


# he_normal: N(0, 2 / inputs); pretrained: the weights and biases of the experiment's `pretrained`.
Init = UniformInit | SparseInit | Literal["he_normal", "pretrained"]


class Layer(Model):
    """What every layer has: dropout applies to its *inputs*."""

    init: Init
    bias: float | Literal["logit_of_marginals"] = 0.0
    keep: Probability = 1.0  # probability that an input is kept
    scale: Positive = 1.0  # factor on the inputs that are kept


class FullyConnected(Layer):
    """xW + b, and what its activation makes of it."""

    units: Count


class Relu(FullyConnected):
    """max(0, xW + b)."""

    layer: Literal["relu"]


class Sigmoid(FullyConnected):
    """1 / (1 + exp(−(xW + b)))."""

    layer: Literal["sigmoid"]


class Linear(FullyConnected):
    """Nothing but xW + b."""

    layer: Literal["linear"]


class Maxout(FullyConnected):
    """Unit j is the maximum over the contiguous columns j·pieces … j·pieces + pieces − 1."""

    layer: Literal["maxout"]
    pieces: Count


class MaxoutConvolution(Layer):
    """Cross-correlation, one bias a channel, maximum over pieces, then spatial maximum pooling.

    Windows of the pooling may hang over the edge.
    """

    layer: Literal["maxout_convolution"]
    channels: Count
    pieces: Count
    kernel: Count
    pad: CountOrZero
    pool: Count
    pool_stride: Count


class TransposedConvolution(Layer):
    """Linear; the inputs are read as (rows, columns, channels), one bias an output position."""

    layer: Literal["transposed_convolution"]
    reads: tuple[Count, Count, Count]
    channels: Count
    kernel: Count
    stride: Count


AnyLayer = Annotated[
    Relu | Sigmoid | Linear | Maxout | MaxoutConvolution | TransposedConvolution,
    Field(discriminator="layer"),
]
LAYERS = ("relu", "sigmoid", "linear", "maxout", "maxout_convolution", "transposed_convolution")
Layers = Annotated[tuple[AnyLayer, ...], Field(min_length=1)]


class Momentum(Model):
    """Linear from `start` in epoch 1 to `end` in epoch `saturate_epoch`, then constant."""

    start: Share
    end: Share
    saturate_epoch: Annotated[int, Field(ge=2, le=LARGEST)]


class Sgd(Model):
    """Stochastic gradient descent with classical momentum and its schedules."""

    learning_rate: Rate
    learning_rate_decay: Annotated[float, Field(ge=1, le=2)]  # divisor, once an update
    learning_rate_min: Rate
    momentum: Momentum
    max_column_norm: Positive | None  # of every weight matrix of both players

    @model_validator(mode="after")
    def _check(self) -> Self:
        require_order(self, "learning_rate_min", "learning_rate")
        return self


class Adam(Model):
    """Adam (Kingma and Ba 2014), with its usual names."""

    learning_rate: Rate
    beta1: Share
    beta2: Share
    epsilon: Positive


class GradientNorms(Model):
    """When the norm of the generator's gradient is logged under both of its losses."""

    epochs: CountOrZero  # in the first so many epochs,
    every: Count  # at every so-manieth update


class Experiment(Recipe):
    """One experiment of the paper, complete: networks, objectives, update, schedules."""

    UNNAMED: ClassVar = (*LAYERS, "UniformInit", "SparseInit", "float")

    noise: Literal["uniform", "uniform_one", "gaussian"]
    noise_dimension: Count
    pretrained: str | None = None  # the experiment whose generator makes up the last layers
    generator: Layers
    discriminator: Layers
    discriminator_loss: Literal["half_sum", "sum"]
    generator_loss: Literal["non_saturating", "minimax"]
    update: Literal["simultaneous", "alternating"]
    k: Count
    sgd: Sgd | None = None  # one of sgd
    adam: Adam | None = None  # and adam
    selection: Literal["best_validation", "last"]
    gradient_norms: GradientNorms
    precision: Literal["float32"]  # of the products; records of older runs name it

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.update == "simultaneous" and self.k != 1:
            raise ValueError(f"k ({self.k}) other than 1 needs `update: alternating`")
        if (self.sgd is None) == (self.adam is None):
            raise ValueError("one of the optimizers `sgd` and `adam` is needed, and only one")
        last = self.discriminator[-1]
        if last.layer != "sigmoid" or last.units != 1:
            raise ValueError("the discriminator must end in one sigmoid unit")
        if any(layer.keep != 1 or layer.scale != 1 for layer in self.generator):
            raise ValueError("dropout belongs to the discriminator only")
        if any(layer.bias == "logit_of_marginals" for layer in self.discriminator) or any(
            layer.bias == "logit_of_marginals" for layer in self.generator[:-1]
        ):
            raise ValueError("bias `logit_of_marginals` belongs to the generator's last layer")
        self._check_pretrained()
        convolutions = {"maxout_convolution", "transposed_convolution"}
        layers = {layer.layer for layer in (*self.generator, *self.discriminator)}
        if layers & convolutions:
            if self.sgd is not None and self.sgd.max_column_norm is not None:
                raise ValueError("sgd.max_column_norm is defined for fully connected layers only")
            if any(
                isinstance(layer.init, SparseInit) and layer.layer in convolutions
                for layer in (*self.generator, *self.discriminator)
            ):
                raise ValueError("init `sparse` is defined for fully connected layers only")
        return self

    def _check_pretrained(self) -> None:
        taken = [layer.init == "pretrained" for layer in self.generator]
        if any(layer.init == "pretrained" for layer in self.discriminator):
            raise ValueError("init `pretrained` belongs to the generator")
        if taken != sorted(taken):
            raise ValueError("the layers with init `pretrained` must be the generator's last ones")
        if any(taken) != (self.pretrained is not None):
            raise ValueError(
                "`pretrained` names the experiment whose layers those with init `pretrained` are; "
                "neither goes without the other"
            )

    @property
    def new_layers(self) -> int:
        """How many of the generator's layers are drawn anew; the others are pretrained."""
        return sum(layer.init != "pretrained" for layer in self.generator)

    def updates_per_epoch(self, n_train: int) -> int:
        """Return how many updates one pass over the training set takes: k batches each."""
        return math.ceil(math.ceil(n_train / self.batch_size) / self.k)

    def trial(self) -> Self:
        """Return the recipe with random weights in place of those of another run."""
        some = UniformInit(uniform=0.05)
        layers = tuple(
            layer.model_copy(update={"init": some}) if layer.init == "pretrained" else layer
            for layer in self.generator
        )
        return self.model_copy(update={"generator": layers})


def experiment(params: Params, name: str) -> Experiment:
    """Return the recipe of a generator (`UserError` as `paper_repro.core.recipe.recipe_of`)."""
    values, places = params.recipe(name)
    return parse(Experiment, places, values, Experiment.UNNAMED)
