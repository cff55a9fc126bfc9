"""An update as a CUDA graph: its small kernels, a hundred or so, launched by one call.

On a GPU each of them takes a few millionths of a second, and launching them one by one from Python
takes longer than that. Any update can be recorded that neither waits for the device nor reads a
number from it. `PAPER_REPRO_RECORD=0` leaves each unrecorded.
"""

import functools
import os
import sys
from collections.abc import Callable

import torch

# What a library sets up at its first call can't be recorded, so that this many go unrecorded.
FIRST_UPDATES = 3
SWITCH = "PAPER_REPRO_RECORD"

# Of images, (n, d), a learning rate and a momentum; reads and changes a model in place, and returns
# a tensor of what it reports.
Update = Callable[[torch.Tensor, float | torch.Tensor, float], torch.Tensor]
Replay = Callable[[], object]


class Recorded:
    """An update that is recorded once for each value of the momentum on a GPU, and then replayed.

    On the CPU it is the update itself. On a GPU it always has its learning rate in memory, as a
    recorded update must, so that recorded or not it has the same bytes.

    Parameters
    ----------
    size : images of the batches that are recorded; others, as at an epoch's end, are not.
    rng : the generator that the update draws from.
    """

    def __init__(self, update: Update, size: int, rng: torch.Generator) -> None:
        self._update, self._size, self._rng = update, size, rng
        self._there = on_gpu(rng.device)
        self.wanted = os.environ.get(SWITCH) != "0"  # whether to record
        self._made = 0  # updates of that size
        self._replay: Replay | None = None
        self._momentum = 0.0  # that was recorded
        # What a recording reads and writes.
        self._rate = torch.empty((), dtype=torch.float64, device=rng.device)
        self._x: torch.Tensor
        self._reported: torch.Tensor

    def __call__(self, x: torch.Tensor, rate: float, momentum: float) -> torch.Tensor:
        """Make one update of images, (n, d); return what it reports."""
        if not self._there:
            return self._update(x, rate, momentum)
        self._rate.fill_(rate)
        if not self.wanted or len(x) != self._size:
            return self._update(x, self._rate, momentum)
        self._made += 1
        if self._made == 1:
            self._x = torch.empty_like(x)
        self._x.copy_(x)
        if self._made > FIRST_UPDATES and (self._replay is None or momentum != self._momentum):
            self._record(momentum)
        if self._replay is None:  # not yet, or it could not be recorded
            return self._update(self._x, self._rate, momentum)
        self._replay()
        return self._reported.clone()  # the next replay writes there

    def _record(self, momentum: float) -> None:
        """Record the update, or say once that it can't be, and why."""
        self._replay = None  # gives its memory back
        draws = self._rng.get_state()
        try:
            self._replay, self._reported = capture(
                lambda: self._update(self._x, self._rate, momentum), self._rng, self._x.device
            )
            self._momentum = momentum
        except RuntimeError as error:
            self._rng.set_state(draws)
            self.wanted = False
            reason = str(error).partition("\n")[0]
            slower = f"the update can't be recorded, and goes on slower ({reason})"
            print(f"{slower}; {SWITCH}=0 does not try", file=sys.stderr)


def on_gpu(device: torch.device) -> bool:
    """Return whether updates are made as suits a GPU, by few kernels that can be recorded.

    Whoever asks, asks this function of this module, so that a test can say so of the CPU.
    """
    return device.type == "cuda"


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    # Torch's own stream for graphs belongs to the first GPU that recorded one.
    return torch.cuda.Stream(device)


def capture(
    call: Callable[[], torch.Tensor], rng: torch.Generator, device: torch.device
) -> tuple[Replay, torch.Tensor]:
    """Record a call; return what replays it, and the tensor that it then returns in.

    Each replay draws on from where the one before has left `rng`. A `RuntimeError` if the call
    can't be recorded: the stream is then the one of before; what the call has drawn is for the
    caller to take back.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(rng)
    with torch.cuda.device(device):
        before = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, stream=_stream(device)):
                found = call()
        except RuntimeError:
            # A recording that fails leaves torch on its stream, and the generator recording.
            torch.cuda.set_stream(before)
            rng.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())
            raise
    return graph.replay, found
