"""The paper's game on MNIST, on one page: two players, their objectives, Algorithm 1.

G maps noise z to images G(z). D(x) is the probability that x is data and no sample. They play

    min_G max_D V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]                       (equation 1)

with smaller networks than the paper's, which are in `paper_repro/gan/`. On one core it takes two to
three minutes, and digits begin to show. Needs MNIST, as README says under "As a library".
"""

import argparse
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torchvision.utils import save_image

import paper_repro
from paper_repro.core.dataset import read_dataset
from paper_repro.gan.objectives import discriminator_loss, generator_loss, value

NOISE, HIDDEN, PIXELS = 100, 400, 784
UNITS, PIECES = 120, 5  # of D's maxout layers


class Maxout(nn.Module):
    """Dropout on the inputs; then each unit is the largest of its linear pieces."""

    def __init__(self, inputs: int, units: int, drop: float) -> None:
        super().__init__()
        self.drop, self.linear = drop, nn.Linear(inputs, units * PIECES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the units, (n, inputs) -> (n, units)."""
        pieces: Tensor = self.linear(dropout(x, self.drop, self.training))
        return pieces.view(len(x), -1, PIECES).amax(2)


def players(mean: Tensor) -> tuple[nn.Sequential, nn.Sequential]:
    """Return G: (n, 100) -> (n, 784) in [0, 1], and D: (n, 784) -> (n, 1), the logit of D(x).

    G begins near the data's mean image, (784,): from grey ones D would tell data at once.
    """
    last = nn.Linear(HIDDEN, PIXELS)
    g = nn.Sequential(
        *(nn.Linear(NOISE, HIDDEN), nn.ReLU()),
        *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
        *(last, nn.Sigmoid()),
    )
    hidden = Maxout(PIXELS, UNITS, drop=0.2), Maxout(UNITS, UNITS, drop=0.5)
    d = nn.Sequential(*hidden, nn.Dropout(0.5), nn.Linear(UNITS, 1))
    for network, width in ((g, 0.05), (d, 0.005)):
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                nn.init.uniform_(layer.weight, -width, width)
                nn.init.zeros_(layer.bias)
    last.bias.data = torch.logit(mean, 1e-7)
    return g, d


def draw_z(n: int) -> Tensor:
    """Return z from the prior p_z, uniform with unit variance, (n, 100)."""
    return (2 * torch.rand(n, NOISE) - 1) * math.sqrt(3)


def play(data: Tensor, steps: int, batch: int = 100, k: int = 1) -> nn.Sequential:
    """Train by Algorithm 1 on images, (m, 784); return G."""
    g, d = players(data.mean(0))
    g_optimizer, d_optimizer = (
        torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5) for network in (g, d)
    )
    for step in range(steps):
        for _ in range(k):  # D ascends its stochastic gradient of V(D, G)
            x = data[torch.randint(len(data), (batch,))]
            of_data, of_samples = d(x), d(g(draw_z(batch)).detach())  # logits
            d_optimizer.zero_grad()
            discriminator_loss(of_data, of_samples, "half_sum").backward()
            d_optimizer.step()
        # G: not down log(1 - D(G(z))), which is flat as long as D wins, but up log D(G(z))
        g_optimizer.zero_grad()
        generator_loss(d(g(draw_z(batch))), "non_saturating").backward()
        g_optimizer.step()
        if step % 500 == 0:  # if D could only guess, D = 1/2 and V = -log 4 = -1.386
            v, p = value(of_data, of_samples), torch.sigmoid(of_samples).mean()
            print(f"step {step:6,}: V(D, G) = {v:.3f}, mean D(G(z)) = {p:.2f}", flush=True)
    return g


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()
    torch.manual_seed(0)
    generator = play(read_dataset("paper", "mnist").load("train"), options.steps)
    samples = generator(draw_z(10_000)).detach()  # (10000, 784)
    save_image(samples[:100].view(-1, 1, 28, 28), "game.png", nrow=10)
    print(paper_repro.score(samples.numpy()))
