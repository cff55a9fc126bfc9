"""A profile's parameters, as frozen, strictly typed objects.

``params.yaml`` is the paper. Another profile is ``profiles/<profile>/params.yaml``: its recipes and
settings are laid over the paper's; its data, measure, seeds and presentation are its own.
Both are read as DVC reads them (YAML 1.2). An unknown key, a missing key or a value out of its
range is an error that names the file and the key.
"""

import functools
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from paper_repro.core.errors import UserError
from paper_repro.core.files import read_text

PAPER = "paper"
PARAMS = Path("params.yaml")
PROFILES = Path("profiles")
DEEPEST = 20  # levels of a file of parameters

M = TypeVar("M", bound="Model")

LARGEST = 10**9  # of anything that is counted: what is larger is a slip
Count = Annotated[int, Field(gt=0, le=LARGEST)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=1e6)]


class Model(BaseModel):
    """Strict: no conversions, no unknown keys, no changes after reading."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


@dataclass(frozen=True)
class Place:
    """Where values come from: a file and a dotted key in it."""

    path: Path
    key: str
    values: Any

    def at(self, path: tuple[str | int, ...]) -> Any:
        """Return the value under the keys and indices of `path`."""
        found = self.values
        for key in path:
            found = found[key]
        return found

    def has(self, path: tuple[str | int, ...]) -> bool:
        """Return whether there is such a value."""
        try:
            self.at(path)
        except (LookupError, TypeError):
            return False
        return True


def params_path(profile: str) -> Path:
    """Return the file of what is a profile's own."""
    return PARAMS if profile == PAPER else PROFILES / profile / PARAMS.name


def profiles() -> list[str]:
    """Return the profiles, the paper's first (`UserError` if a folder's name can't be one)."""
    found = sorted(path.parent.name for path in PROFILES.glob(f"*/{PARAMS.name}"))
    for name in found:  # it becomes part of files, stages and commands
        if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]*", name) or name in (PAPER, "benchmarks"):
            raise UserError(
                f"{PROFILES}: {name!r}: a profile's name may hold a to z, 0 to 9, _ and -, not "
                f"begin with -, and not be {PAPER} or benchmarks; rename it"
            )
    return [PAPER, *found]


def _require_plain(text: str) -> None:
    """Raise a `ValueError` for YAML that is deeper than any parameter, or has aliases.

    The parser in C overruns the stack on deep ones. With an alias two keys share a value, so that
    ``dvc exp run -S`` on one of them changes both or none.
    """
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels deep")
        if getattr(event, "anchor", None):
            raise ValueError(f"anchors and aliases (here {event.anchor}) are not allowed")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of parameters into plain values (`UserError` if it is no mapping)."""
    try:
        text = read_text(path)
        _require_plain(text)
        content = YAML(typ="safe").load(text)
        json.dumps(content)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file in {Path.cwd()}; run from the repository's root"
        ) from None
    except TypeError:  # a date, a set
        raise UserError(
            f"{path}: holds a value that is no number, text, list or mapping; put it in quotes"
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a huge number
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold a mapping of parameter groups")
    return content


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; only mappings merge, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(old, value) if both else value  # type: ignore[arg-type]
    return merged


OWN = ("data", "measure", "seeds", "presentation")  # groups that a profile shares with none
GROUPS = (*OWN, "experiments", "theory", "parzen_audit", "mixing")


@dataclass(frozen=True)
class Params:
    """What a profile's files hold, the profile's own first."""

    profile: str
    files: tuple[Place, ...]

    @property
    def own(self) -> Place:
        """The profile's own file."""
        return self.files[0]

    def places(self, *keys: str) -> list[Place]:
        """Return the mappings under a dotted key, the strongest first (`UserError` if none)."""
        key = ".".join(keys)
        files = self.files[:1] if keys[0] in OWN else self.files
        found = [Place(file.path, key, file.at(keys)) for file in files if file.has(keys)]
        for place in found:
            if not isinstance(place.values, dict):
                raise UserError(f"{place.path}: {key}: must be a mapping, not {place.values!r}")
        if not found:
            above = files[-1].at(keys[:-1]) if files[-1].has(keys[:-1]) else {}
            known = ", ".join(map(str, above))
            raise UserError(f"{files[-1].path}: {key}: no such key (there: {known})")
        return found

    def group(self, *keys: str) -> dict[str, Any]:
        """Return the values under a dotted key (`UserError` if there are none)."""
        return merged(self.places(*keys))

    def parse(self, model: type[M], *keys: str) -> M:
        """Return the values under a dotted key as a model (`UserError` as `parse`)."""
        return parse(model, self.places(*keys))

    def base(self, name: str) -> str:
        """Return the experiment that another is a variant of; of one that is none, itself."""
        return str(self.group("experiments", name).get("base", name))

    def recipe(self, name: str) -> tuple[dict[str, Any], list[Place]]:
        """Return an experiment's recipe, and the places it is laid out of, the strongest first.

        What a profile changes in a base it changes in its variants. A `UserError` if there is no
        such experiment, or its base is a variant.
        """
        places, base = self.places("experiments", name), self.base(name)
        if base != name:
            if self.base(base) != base:
                raise UserError(
                    f"{places[-1].path}: experiments.{name}.base: {base} has a base itself; name "
                    "that one"
                )
            places = places + self.places("experiments", base)
        values = merged(places)
        values.pop("base", None)
        return values, places

    def where(self, name: str) -> str:
        """Return what errors call an experiment's recipe: file and dotted key."""
        return f"{self.places('experiments', name)[-1].path}: experiments.{name}"


def require_order(model: Model, low: str, high: str) -> None:
    """Raise a `ValueError` if the field named `low` is above the one named `high`."""
    smaller, larger = getattr(model, low), getattr(model, high)
    if smaller > larger:
        raise ValueError(f"{low} ({smaller:g}) must not be above {high} ({larger:g})")


def merged(places: list[Place]) -> dict[str, Any]:
    """Return the values of several places, the first over the others."""
    return functools.reduce(overlay, (place.values for place in reversed(places)), {})


def parse(
    model: type[M],
    places: list[Place],
    values: Mapping[str, Any] | None = None,
    unnamed: tuple[str, ...] = (),
) -> M:
    """Return values as a model.

    A `UserError` that names file and key if a key is missing or unknown, or a value of the wrong
    type or out of its range.

    Parameters
    ----------
    places : where they come from, the strongest first.
    values : if they are not just what the places hold.
    unnamed : what pydantic puts into the path of an error and no file has: names of alternatives.
    """
    try:
        # By way of JSON, where pydantic's strict mode takes a list for a tuple.
        return model.model_validate_json(json.dumps(merged(places) if values is None else values))
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise UserError(f"{places[-1].path}: {places[-1].key}: {error}") from None
        first = error.errors()[0]
        path = tuple(part for part in first["loc"] if part not in unnamed)
        # A list comes whole from the strongest place that has it.
        keys = tuple(itertools.takewhile(lambda part: isinstance(part, str), path))
        place = next((place for place in places if place.has(keys)), places[-1])
        key = ".".join(str(part) for part in (place.key, *path) if part != "")
        shown = first["input"]
        got = "" if isinstance(shown, dict | list | tuple) else f" (got {shown!r})"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(f"{place.path}: {key}: {first['msg']}{got}{more}") from None


def read_params(profile: str = PAPER) -> Params:
    """Return a profile's parameters (`UserError` if there are none, or a file is damaged)."""
    if profile not in profiles():
        known = ", ".join(profiles())
        raise UserError(f"{PROFILES}: no profile {profile!r} (there: {known})")
    paths = dict.fromkeys((params_path(profile), PARAMS))
    found = tuple(Place(path, "", read_yaml(path)) for path in paths)
    for place in found:
        for key, value in place.values.items():
            if key not in GROUPS:
                raise UserError(
                    f"{place.path}: {key}: nothing reads this; possible are {', '.join(GROUPS)}"
                )
            if not isinstance(value, dict):
                raise UserError(f"{place.path}: {key}: must be a mapping, not {value!r}")
    return Params(profile, found)
