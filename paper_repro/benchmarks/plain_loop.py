"""The joint update as one writes it in PyTorch without further thought: what ours is timed against.

Modules, ``nn.Dropout``, two backward passes, ``torch.optim.SGD``. It makes the same update but for
its random draws (and for one factor: torch's SGD multiplies the velocity, ours the gradient, by the
learning rate). It trains nothing in this package.
"""

import torch
from torch import nn

from paper_repro.benchmarks.trial import RATE
from paper_repro.gan import objectives
from paper_repro.gan.model import recipe
from paper_repro.gan.model.maxout import maxout

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


class _Maxout(nn.Module):
    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return maxout(values, self.pieces)


def _network(inputs: int, layers: tuple[recipe.AnyLayer, ...]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        assert isinstance(layer, recipe.FullyConnected)
        if layer.keep != 1:
            modules.append(nn.Dropout(1 - layer.keep))
        if isinstance(layer, recipe.Maxout):
            modules += [nn.Linear(inputs, layer.units * layer.pieces), _Maxout(layer.pieces)]
        else:
            modules += [nn.Linear(inputs, layer.units), ACTIVATIONS[layer.layer]()]
        inputs = layer.units
    return nn.Sequential(*modules)


class PlainLoop:
    """Both players of a fully connected experiment.

    Parameters
    ----------
    d : values an image.
    """

    def __init__(self, experiment: recipe.Experiment, d: int, device: torch.device) -> None:
        self.experiment = experiment
        self.generator = _network(experiment.noise_dimension, experiment.generator).to(device)
        self.discriminator = _network(d, experiment.discriminator)[:-1].to(device)  # logits
        self.optimizers = [
            torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.5)
            for network in (self.generator, self.discriminator)
        ]

    def update(self, x: torch.Tensor) -> None:
        """Update both players on a batch, (n, d)."""
        settings = self.experiment
        z = torch.rand(len(x), settings.noise_dimension, device=x.device) * 12**0.5 - 3**0.5
        samples = self.generator(z)
        data, fake = self.discriminator(x), self.discriminator(samples)
        d_loss = objectives.discriminator_loss(data, fake, settings.discriminator_loss)
        g_loss = objectives.generator_loss(fake, settings.generator_loss)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        d_loss.backward(inputs=list(self.discriminator.parameters()), retain_graph=True)
        g_loss.backward(inputs=list(self.generator.parameters()))
        for optimizer in self.optimizers:
            optimizer.step()
