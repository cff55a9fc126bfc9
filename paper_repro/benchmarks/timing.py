"""Timing by turns: what is compared runs in the same minutes, so that drift hits all of it."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from paper_repro.forecast.duration import warm_ups

Call = Callable[[], object]
Times = dict[str, list[float]]  # seconds a call, one entry a round


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def by_turns(
    calls: Mapping[str, Call], device: torch.device, *, rounds: int, seconds: float
) -> Times:
    """Time each call once a round, in an order that turns round every time.

    Parameters
    ----------
    seconds : within a round a call is repeated until it has taken about so long.
    """
    repeats = {}
    for name, call in calls.items():
        for _ in range(warm_ups(device)):  # what the first calls set up is not timed
            call()
        repeats[name] = max(1, math.ceil(seconds / _time(call, 1, device)))
    times: Times = {name: [] for name in calls}
    for index in range(rounds):
        for name in list(calls)[:: -1 if index % 2 else 1]:
            times[name].append(_time(calls[name], repeats[name], device))
    return times


def _time(call: Call, repeats: int, device: torch.device) -> float:
    wait_for(device)
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    wait_for(device)
    return (time.perf_counter() - started) / repeats


def spread(values: list[float]) -> dict[str, Any]:
    """Return median, quartiles and number of values."""
    first, median, third = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return {"median": median, "quartiles": [first, third], "n": len(values)}


def ratio(times: Times, above: str, below: str) -> dict[str, Any]:
    """Return the spread of one call's time over another's, round by round."""
    return spread([a / b for a, b in zip(times[above], times[below], strict=True)])
