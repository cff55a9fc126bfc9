"""Stopping at a clean point when a signal asks for it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class StopNow(BaseException):
    """A signal came while nothing had to be finished; only `on_signals` raises it."""


@dataclass
class Stop:
    """Whether a signal has asked for an end."""

    requested: bool = False
    may_raise: bool = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end the block where it stands, with `StopNow`: nothing in it is lost."""
        self.may_raise = True
        try:
            if self.requested:
                raise StopNow
            yield
        finally:
            self.may_raise = False


def endings() -> list[signal.Signals]:
    """Return the signals beside SIGINT that ask for an end: not SIGHUP where `nohup` ignores it."""
    hung_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGHUP] if hung_up else [signal.SIGTERM]


@contextmanager
def on_signals() -> Iterator[Stop]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request; a second SIGINT interrupts at once."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.requested = True
        if stop.may_raise:
            raise StopNow

    numbers = [signal.SIGINT, *endings()]
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
