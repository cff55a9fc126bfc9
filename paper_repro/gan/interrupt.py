"""Stopping at a clean point when a signal asks for it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stop:
    """Whether a signal has asked for an end."""

    requested: bool = False


@contextmanager
def on_signals() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a request; a second SIGINT interrupts at once."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.requested = True

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
