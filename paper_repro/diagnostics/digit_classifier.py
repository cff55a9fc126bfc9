"""A small classifier of digits: which draws figure 3 joins, and how chains move between digits.

It enters no likelihood.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from paper_repro.core.errors import UserError
from paper_repro.core.random_streams import stream_seed

if TYPE_CHECKING:  # it takes a second, and who reads records that this made needs none
    from sklearn.neural_network import MLPClassifier

CLASSES = 10
HIDDEN = 256  # units
BATCH = 100
EPOCHS = 10  # seconds; figure3.json has the accuracy that they reach


@dataclass(frozen=True)
class Classifier:
    """A network of one hidden layer over pixels in [0, 1]."""

    network: "MLPClassifier"

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Return each digit's probability, (n, 10), for images (n, d) in [0, 1]."""
        return torch.from_numpy(self.network.predict_proba(images.cpu().numpy()))

    def accuracy(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Return the share of images, (n, d), that it calls by their labels, (n,)."""
        _require_some(images)
        return (self.probabilities(images).argmax(1) == labels).double().mean().item()


def train_classifier(images: torch.Tensor, labels: torch.Tensor, seed: int) -> Classifier:
    """Train on images (n, d) in [0, 1] and the digits that they show, (n,).

    A digit without images is allowed: its probability becomes small. A `UserError` if there is no
    image.
    """
    from sklearn.neural_network import MLPClassifier

    _require_some(images)
    network = MLPClassifier(
        (HIDDEN,),
        batch_size=min(BATCH, len(images)),
        random_state=stream_seed(seed, "classifier") % 2**32,  # NumPy's seeds have 32 bits
    )
    for _ in range(EPOCHS):  # `fit` would warn that a fixed number of epochs has not converged
        network.partial_fit(images.numpy(), labels.numpy(), classes=range(CLASSES))
    return Classifier(network)


def _require_some(images: torch.Tensor) -> None:
    if not len(images):
        raise UserError("classifier: no images; use more in the group data of the parameters")
