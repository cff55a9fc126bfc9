"""Whether a run is the released recipe: only then does its number stand beside the paper's."""

from typing import Any

from paper_repro.report.content import content


def _differences(released: Any, ours: Any, place: str) -> list[str]:
    """Return the dotted keys under which two values differ."""
    if isinstance(released, list) and isinstance(ours, list) and len(released) == len(ours):
        released, ours = dict(enumerate(released)), dict(enumerate(ours))
    if isinstance(released, dict) and isinstance(ours, dict):
        return [
            found
            for key in released | ours
            for found in _differences(released.get(key), ours.get(key), f"{place}.{key}")
        ]
    return [] if released == ours else [place.removeprefix(".")]


def released_recipe(name: str, base: str) -> dict[str, Any] | None:
    """Return the released recipe of an experiment, else of its base; None if there is neither."""
    recipes = content("released.yaml")
    found: dict[str, Any] | None = recipes.get(name) or recipes.get(base)
    return found


def varied(original: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    """Return the dotted keys in which a variant's parameters differ, but for its length."""
    length = {"epochs": None, "validate_every": None}
    return _differences(original | length, parameters | length, "")


def changes(
    released: dict[str, Any], parameters: dict[str, Any], counts: dict[str, int]
) -> list[str]:
    """Return the dotted keys in which a run differs from a released recipe.

    Parameters
    ----------
    parameters : the experiment's parameters, as the run's record holds them.
    counts : images of each part of the data; only the parts that the recipe names count.
    """
    counts = {part: counts.get(part, 0) for part in released["data"]}
    compared = {key: parameters.get(key) for key in released["parameters"]}
    return [
        *_differences(released["parameters"], compared, ""),
        *_differences(released["data"], counts, "data"),
    ]
