"""``params.yaml`` as frozen, strictly typed objects.

The file is read as DVC reads it (YAML 1.2). An unknown key, a missing key or a value of the wrong
type is an error that names the file and the key. An experiment is its entry under ``experiments``
with the entry of the same name under ``profiles.<profile>.experiments`` laid over it.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from paper_repro.errors import UserError

PARAMS = Path("params.yaml")
OWN_COPIES = Path("data/incoming")  # where they may be absent
# The `start` of a run that is stacked on no other. DVC wants a path there: this one holds a note.
RANDOM = "paper_repro/models/random_weights.txt"

M = TypeVar("M", bound="Model")

Probability = Annotated[float, Field(gt=0, le=1)]


class Model(BaseModel):
    """Strict: no conversions, no unknown keys, no changes after reading."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


class UniformInit(Model):
    """Weights from U(−uniform, uniform)."""

    uniform: PositiveFloat


class SparseInit(Model):
    """In each column `sparse` weights from N(0, 1), the others 0."""

    sparse: PositiveInt


# he_normal: N(0, 2 / inputs); pretrained: the weights and biases of the experiment's `pretrained`.
Init = UniformInit | SparseInit | Literal["he_normal", "pretrained"]


class Layer(Model):
    """What every layer has: dropout applies to its *inputs*."""

    init: Init
    bias: float | Literal["logit_of_marginals"] = 0.0
    keep: Probability = 1.0  # probability that an input is kept
    scale: PositiveFloat = 1.0  # factor on the inputs that are kept


class FullyConnected(Layer):
    """xW + b, and what its activation makes of it."""

    units: PositiveInt


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
    pieces: PositiveInt


class MaxoutConvolution(Layer):
    """Cross-correlation, one bias a channel, maximum over pieces, then spatial maximum pooling.

    Windows of the pooling may hang over the edge.
    """

    layer: Literal["maxout_convolution"]
    channels: PositiveInt
    pieces: PositiveInt
    kernel: PositiveInt
    pad: NonNegativeInt
    pool: PositiveInt
    pool_stride: PositiveInt


class TransposedConvolution(Layer):
    """Linear; the inputs are read as (rows, columns, channels), one bias an output position."""

    layer: Literal["transposed_convolution"]
    reads: tuple[PositiveInt, PositiveInt, PositiveInt]
    channels: PositiveInt
    kernel: PositiveInt
    stride: PositiveInt


AnyLayer = Annotated[
    Relu | Sigmoid | Linear | Maxout | MaxoutConvolution | TransposedConvolution,
    Field(discriminator="layer"),
]
LAYERS = ("relu", "sigmoid", "linear", "maxout", "maxout_convolution", "transposed_convolution")
Layers = Annotated[tuple[AnyLayer, ...], Field(min_length=1)]


class Momentum(Model):
    """Linear from `start` in epoch 1 to `end` in epoch `saturate_epoch`, then constant."""

    start: Annotated[float, Field(ge=0, lt=1)]
    end: Annotated[float, Field(ge=0, lt=1)]
    saturate_epoch: Annotated[int, Field(ge=2)]


class Sgd(Model):
    """Stochastic gradient descent with classical momentum and its schedules."""

    learning_rate: PositiveFloat
    learning_rate_decay: Annotated[float, Field(ge=1)]  # divisor, once an update
    learning_rate_min: PositiveFloat
    momentum: Momentum
    max_column_norm: PositiveFloat | None  # of every weight matrix of both players


class Adam(Model):
    """Adam (Kingma and Ba 2014), with its usual names."""

    learning_rate: PositiveFloat
    beta1: Annotated[float, Field(ge=0, lt=1)]
    beta2: Annotated[float, Field(ge=0, lt=1)]
    epsilon: PositiveFloat


class Parzen(Model):
    """The Parzen-window measure: `sigma_points` values, logarithmic between the two ends."""

    samples: PositiveInt
    sigma_images: PositiveInt | None  # σ is chosen on the first so many validation images, or all
    sigma_log10_min: float
    sigma_log10_max: float
    sigma_points: PositiveInt

    def sigmas(self) -> list[float]:
        """Return the grid of bandwidths, in pixels' units."""
        if self.sigma_points == 1:
            return [10**self.sigma_log10_min]
        step = (self.sigma_log10_max - self.sigma_log10_min) / (self.sigma_points - 1)
        return [10 ** (self.sigma_log10_min + i * step) for i in range(self.sigma_points)]


class GradientNorms(Model):
    """When the norm of the generator's gradient is logged under both of its losses."""

    epochs: NonNegativeInt  # in the first so many epochs,
    every: PositiveInt  # at every so-manieth update


class Experiment(Model):
    """One experiment of the paper, complete: networks, objectives, update, schedules, measure."""

    dataset: str
    noise: Literal["uniform", "uniform_one", "gaussian"]
    noise_dimension: PositiveInt
    pretrained: str | None = None  # the experiment whose generator makes up the last layers
    generator: Layers
    discriminator: Layers
    discriminator_loss: Literal["half_sum", "sum"]
    generator_loss: Literal["non_saturating", "minimax"]
    update: Literal["simultaneous", "alternating"]
    k: PositiveInt
    sgd: Sgd | None = None  # one of sgd
    adam: Adam | None = None  # and adam
    batch_size: PositiveInt
    epochs: PositiveInt
    validate_every: PositiveInt
    selection: Literal["best_validation", "last"]
    parzen: Parzen
    gradient_norms: GradientNorms
    precision: Literal["float32", "bfloat16"]
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.epochs % self.validate_every:
            raise ValueError(
                f"epochs ({self.epochs}) must be a multiple of validate_every "
                f"({self.validate_every}), so that the last epoch is measured"
            )
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


class DataSize(Model):
    """How many images of each part a profile uses, and what replaces a data set that is absent."""

    train: PositiveInt | None  # null: all there are
    valid: PositiveInt | None
    test: PositiveInt | None
    fallback: Literal["digits", "photographs", "faces"] | None = None
    stand_in: bool = False  # use what PAPER_REPRO_STAND_IN declares, and never the data set itself


class OwnCopies(Model):
    """Files of data sets that can't be downloaded and that the user brings."""

    tfd: str


class Run(Model):
    """One training run: a profile's experiment with one seed."""

    profile: str
    experiment: str
    dataset: str
    seed: NonNegativeInt
    start: str  # what the first weights come from: RANDOM, or the model of another run

    @property
    def key(self) -> str:
        """The run's name in stages and files."""
        return f"{self.profile}-{self.experiment}-{self.seed}"

    @property
    def folder(self) -> Path:
        """Where the run's small results lie."""
        return Path("reports", self.profile, "runs", self.key)


def read_params(path: Path = PARAMS) -> dict[str, Any]:
    """Read the parameter file into plain values.

    Raises
    ------
    UserError
        If the file is absent, no YAML, or no mapping.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file in {Path.cwd()}; run from the repository's root"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold a mapping of parameter groups")
    return content


def group(params: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return the mapping under a dotted key (`UserError` if there is none)."""
    value: Any = params
    for depth, key in enumerate(keys):
        if not isinstance(value, Mapping) or key not in value:
            known = ", ".join(map(str, value)) if isinstance(value, Mapping) else "no mapping"
            raise UserError(
                f"{PARAMS}: {'.'.join(keys[: depth + 1])}: no such key (there: {known})"
            )
        value = value[key]
    if not isinstance(value, dict):
        raise UserError(f"{PARAMS}: {'.'.join(keys)}: must be a mapping, not {value!r}")
    return value


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; only mappings merge, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _has(mapping: Any, path: tuple[str | int, ...]) -> bool:
    for key in path:
        if isinstance(mapping, Mapping) and key in mapping:
            mapping = mapping[key]
        elif isinstance(mapping, list) and isinstance(key, int) and key < len(mapping):
            mapping = mapping[key]
        else:
            return False
    return True


def parse(model: type[M], value: Mapping[str, Any], *places: tuple[str, Any]) -> M:
    """Return `value` as a model; `places` are the dotted keys it came from, the strongest first.

    Raises
    ------
    UserError
        If a key is missing, unknown or of the wrong type; names file and key.
    """
    try:
        # By way of JSON, where pydantic's strict mode takes a list for a tuple.
        return model.model_validate_json(json.dumps(value))
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise UserError(f"{PARAMS}: {places[-1][0]}: {error}") from None
        first = error.errors()[0]
        path = tuple(part for part in first["loc"] if part not in LAYERS)
        place = next((name for name, part in places if _has(part, path)), places[-1][0])
        key = ".".join(str(part) for part in (place, *path))
        shown = first["input"]
        got = "" if isinstance(shown, dict | list | tuple) else f" (got {shown!r})"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(f"{PARAMS}: {key}: {first['msg']}{got}{more}") from None


def parse_experiment(value: Mapping[str, Any]) -> Experiment:
    """Return an experiment from plain values, complete (`UserError` as `experiment`)."""
    return parse(Experiment, value, ("experiment", value))


def experiment(params: Mapping[str, Any], profile: str, name: str) -> Experiment:
    """Return an experiment as a profile runs it.

    Raises
    ------
    UserError
        If a key is missing, unknown or of the wrong type; names file and key.
    """
    below = group(params, "experiments", name)
    above = group(params, "profiles", profile, "experiments", name)
    return parse(
        Experiment,
        overlay(below, above),
        (f"profiles.{profile}.experiments.{name}", above),
        (f"experiments.{name}", below),
    )


def data_size(params: Mapping[str, Any], profile: str, dataset: str) -> DataSize:
    """Return the part of a data set that a profile uses (`UserError` as `experiment`)."""
    value = group(params, "profiles", profile, "data", dataset)
    return parse(DataSize, value, (f"profiles.{profile}.data.{dataset}", value))


def own_copies(params: Mapping[str, Any]) -> dict[str, Path]:
    """Return, by data set, where the user's own copy of a file is looked for.

    Raises
    ------
    UserError
        If the file is absent and its place is not the usual one.
    """
    value = group(params, "own_copies")
    found = parse(OwnCopies, value, ("own_copies", value)).model_dump()
    for name, path in found.items():
        usual = OWN_COPIES in Path(path).parents
        if not usual and not Path(path).is_file():
            raise UserError(f"{PARAMS}: own_copies.{name}: {path}: no such file")
    return {name: Path(path) for name, path in found.items()}


def runs(params: Mapping[str, Any], profile: str | None = None) -> dict[str, Run]:
    """Return the listed runs by key, of one profile or of all, in the order of the file.

    Raises
    ------
    UserError
        If a run's key or data set disagrees with its profile, experiment and seed.
    """
    found = {}
    for key, value in group(params, "runs").items():
        entry = group(params, "runs", key)
        run = parse(Run, value, (f"runs.{key}", entry))
        if key != run.key:
            raise UserError(f"{PARAMS}: runs.{key}: by its entries it must be called {run.key}")
        settings = experiment(params, run.profile, run.experiment)
        if run.dataset != settings.dataset:
            raise UserError(
                f"{PARAMS}: runs.{key}.dataset: is {run.dataset!r}, but "
                f"experiments.{run.experiment}.dataset is {settings.dataset!r}"
            )
        start = RANDOM
        if settings.pretrained:
            start = f"models/{run.profile}-{settings.pretrained}-{run.seed}.safetensors"
        if run.start != start:
            raise UserError(f"{PARAMS}: runs.{key}.start: must be {start} (got {run.start!r})")
        if profile in (None, run.profile):
            found[key] = run
    return found


def run(params: Mapping[str, Any], key: str) -> Run:
    """Return one listed run.

    Raises
    ------
    UserError
        If no such run is listed.
    """
    listed = runs(params)
    if key not in listed:
        raise UserError(f"{PARAMS}: runs.{key}: no such run (there: {', '.join(listed)})")
    return listed[key]


def updates_per_epoch(experiment: Experiment, n_train: int) -> int:
    """Return how many updates one pass over the training set takes; short batches are kept."""
    return math.ceil(math.ceil(n_train / experiment.batch_size) / experiment.k)
