"""The joint update as a CUDA graph: some 130 small kernels, launched by one call.

On a GPU each of them takes a few millionths of a second, and launching them one by one from Python
takes longer than that. `update` has the plain twin, which makes the same calls at every update.
"""

from collections.abc import Callable

import torch

# What a library sets up at its first call can't be recorded, so that this many go unrecorded.
FIRST_UPDATES = 3


class RecordedUpdate:
    """An update, recorded once for each value of the momentum and then replayed.

    Parameters
    ----------
    update : of images, (n, d), a learning rate in memory, (), and a momentum, which is recorded;
        returns the diagnostics. It reads and changes the players in place.
    rng : the generator that it draws from.
    """

    def __init__(
        self,
        update: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor],
        rng: torch.Generator,
    ) -> None:
        self._update, self._rng = update, rng
        self._made = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._momentum = 0.0  # that the graph was recorded with
        self._x: torch.Tensor
        self._rate: torch.Tensor
        self._diagnostics: torch.Tensor

    def __call__(self, x: torch.Tensor, rate: float, momentum: float) -> torch.Tensor:
        """Update both players once; return the diagnostics.

        Parameters
        ----------
        x : (n, d) images, n the same at every call.
        """
        if not self._made:
            self._x = torch.empty_like(x)
            self._rate = torch.empty((), dtype=torch.float64, device=x.device)
        self._x.copy_(x)
        self._rate.fill_(rate)
        self._made += 1
        if self._made <= FIRST_UPDATES:
            return self._update(self._x, self._rate, momentum)
        if self._graph is None or momentum != self._momentum:
            self._record(momentum)
        assert self._graph is not None
        self._graph.replay()
        return self._diagnostics.clone()  # the next replay writes there

    def _record(self, momentum: float) -> None:
        self._graph = None  # gives its memory back
        graph = torch.cuda.CUDAGraph()
        # Each replay then draws on from where the one before has left the generator.
        graph.register_generator_state(self._rng)
        # What is launched on another GPU than the present one would not be recorded.
        with torch.cuda.device(self._x.device), torch.cuda.graph(graph):
            self._diagnostics = self._update(self._x, self._rate, momentum)
        self._graph, self._momentum = graph, momentum
