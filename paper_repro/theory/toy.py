"""Two small networks in one dimension, and both players' steps of Algorithm 1.

The paper leaves the learning rule open ("any standard gradient-based learning rule"); here it is
Adam.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan import objectives
from paper_repro.theory.density import Array, quantiles
from paper_repro.theory.settings import Figure1

LOGISTIC_STD = math.pi / math.sqrt(3)  # of logit(z), z uniform on (0, 1)
INTERVALS = 4000  # of z, in each of which G is taken to be linear


def mlp(units: Sequence[int], stream: torch.Generator) -> torch.nn.Sequential:
    """Return 1 → units → 1 with tanh between, in float64, from U(−1/√fan-in, 1/√fan-in)."""
    layers: list[torch.nn.Module] = []
    inputs = 1
    for outputs in (*units, 1):
        layer = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs, dtype=torch.float64)
        bound = 1 / math.sqrt(inputs)
        for parameter in layer.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound, generator=stream)
        layers += [layer, torch.nn.Tanh()]
        inputs = outputs
    return torch.nn.Sequential(*layers[:-1])


class Generator(torch.nn.Module):
    """G(z) = mean + std · u / std(u) + network(u), with u = logit(z).

    The logit makes p_g positive on the whole line from the start. The network's last layer starts
    at 0: p_g is first a logistic density of the given mean and standard deviation.
    """

    def __init__(
        self, mean: float, std: float, units: Sequence[int], stream: torch.Generator
    ) -> None:
        super().__init__()
        self.mean, self.slope = mean, std / LOGISTIC_STD
        self.network = mlp(units, stream)
        for parameter in self.network[-1].parameters():
            torch.nn.init.zeros_(parameter)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return x = G(z) for z in [0, 1], (n, 1)."""
        u = torch.logit(z, eps=1e-6)
        return self.mean + self.slope * u + self.network(u)  # type: ignore[no-any-return]


def column(values: Array) -> torch.Tensor:
    """Return (n,) numbers as the (n, 1) input of a network."""
    return torch.from_numpy(values)[:, None]


@torch.no_grad()
def apply(network: torch.nn.Module, values: Array) -> Array:
    """Return a network's output for (n,) inputs, (n,): D's logits, or G(z)."""
    return np.asarray(network(column(values))[:, 0].numpy(), dtype=np.float64)


def probabilities(discriminator: torch.nn.Module, x: Array) -> Array:
    """Return D(x) for (n,) points."""
    return np.asarray(torch.sigmoid(torch.from_numpy(apply(discriminator, x))).numpy())


def generator_density(network: torch.nn.Module, x: Array) -> Array:
    """Return p_g at the points `x`: the change of variables p_g(x) = Σ 1 / |G′(z)| over G(z) = x.

    z is uniform on [0, 1]. G is taken to be linear within each of `INTERVALS` equal intervals of z,
    and p_g is averaged over a cell of the grid around each point. G may rise and fall.

    Parameters
    ----------
    network : G.
    x : (n,) equally spaced.
    """
    image = apply(network, np.linspace(0, 1, INTERVALS + 1))
    low = np.minimum(image[:-1], image[1:])[:, None]
    width = np.maximum(np.abs(np.diff(image))[:, None], 1e-12)  # a constant stretch is an atom
    step = x[1] - x[0]
    edges = np.append(x - step / 2, x[-1] + step / 2)
    below = np.clip((edges - low) / width, 0, 1).mean(axis=0)  # (n + 1,) P(G(z) < edge)
    return np.asarray(np.diff(below) / step)


class Game:
    """Algorithm 1 in one dimension: fresh data and noise for every step of either player."""

    def __init__(self, settings: Figure1) -> None:
        self.settings = settings
        self.draws = stream_rng(settings.seed, "figure1", "draws")
        start = stream_rng(settings.seed, "figure1", "initial")
        self.generator = Generator(
            settings.start.mean, settings.start.std, settings.generator_units, start
        )
        self.discriminator = mlp(settings.discriminator_units, start)
        self.discriminator_steps = self.generator_steps = 0
        self._discriminator_update = torch.optim.Adam(
            self.discriminator.parameters(), betas=(0.5, 0.9)
        )
        self._generator_update = torch.optim.Adam(self.generator.parameters(), betas=(0.5, 0.9))

    def _noise(self) -> torch.Tensor:
        return torch.rand(
            self.settings.batch_size, 1, generator=self.draws, dtype=torch.float64
        )  # (m, 1)

    def _data(self) -> torch.Tensor:
        n, mixture = self.settings.batch_size, self.settings.p_data
        weights, means, stds = (
            torch.tensor([getattr(c, name) for c in mixture], dtype=torch.float64)
            for name in ("weight", "mean", "std")
        )
        which = torch.multinomial(weights, n, replacement=True, generator=self.draws)
        normal = torch.randn(n, generator=self.draws, dtype=torch.float64)
        return (means[which] + stds[which] * normal)[:, None]  # (m, 1)

    def step_discriminator(self, rate: float = 1.0) -> None:
        """Take one step of D, with `rate` of its learning rate."""
        for group in self._discriminator_update.param_groups:
            group["lr"] = rate * self.settings.discriminator_learning_rate
        with torch.no_grad():
            samples = self.generator(self._noise())
        self._discriminator_update.zero_grad()
        objectives.discriminator_loss(
            self.discriminator(self._data()), self.discriminator(samples), "sum"
        ).backward()
        self._discriminator_update.step()
        self.discriminator_steps += 1

    def step_generator(self, rate: float = 1.0) -> None:
        """Take one step of G, with `rate` of its learning rate."""
        for group in self._generator_update.param_groups:
            group["lr"] = rate * self.settings.generator_learning_rate
        self._generator_update.zero_grad()
        logits = self.discriminator(self.generator(self._noise()))
        objectives.generator_loss(logits, self.settings.generator_loss).backward()
        self._generator_update.step()
        self.generator_steps += 1

    def step(self, rate: float = 1.0) -> None:
        """Take one iteration of Algorithm 1: k steps of D, then one of G."""
        for _ in range(self.settings.k):
            self.step_discriminator(rate)
        self.step_generator(rate)

    @torch.no_grad()
    def value(self, x: Array) -> float:
        """Return V(D, G) in nats, the expectations over mid-quantiles of p_data and of z."""
        z = (np.arange(INTERVALS) + 0.5) / INTERVALS
        data = column(quantiles(self.settings.p_data, INTERVALS, x))
        return objectives.value(
            self.discriminator(data), self.discriminator(self.generator(column(z)))
        ).item()
