"""Published numbers to compare with: Table 1 of the paper and Parzen numbers of other papers.

Nats; ± is the standard error of the mean, over the test images on MNIST and over folds on TFD.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published log-likelihood."""

    mean: float
    se: float


@dataclass(frozen=True)
class Model:
    """A line of Table 1."""

    name: str
    mnist: Published
    tfd: Published


@dataclass(frozen=True)
class Context:
    """Another paper's number on real-valued MNIST."""

    name: str
    mnist: Published
    source: str


ADVERSARIAL = Model("Adversarial nets", Published(225.0, 2.0), Published(2057.0, 26.0))
TABLE1 = (
    Model("DBN", Published(138.0, 2.0), Published(1909.0, 66.0)),
    Model("Stacked CAE", Published(121.0, 1.6), Published(2110.0, 50.0)),
    Model("Deep GSN", Published(214.0, 1.1), Published(1890.0, 29.0)),
    ADVERSARIAL,
)
# The paper's number for each experiment that it gives one for.
PAPER = {"mnist": ADVERSARIAL.mnist, "tfd": ADVERSARIAL.tfd}


def margin(experiment: str) -> float:
    """Return half of what separates the paper's number from the nearest other model of Table 1."""
    numbers = {
        model.name: (model.mnist if experiment == "mnist" else model.tfd).mean for model in TABLE1
    }
    own = numbers.pop(ADVERSARIAL.name)
    return min(abs(own - other) for other in numbers.values()) / 2


CONTEXT = (
    Context(
        "Training images as the samples",
        Published(241.9, 2.3),
        "Sohl-Dickstein et al. 2015, arXiv:1503.03585, Table 2, converted from bits",
    ),
    Context(
        "Diffusion",
        Published(219.7, 1.9),
        "Sohl-Dickstein et al. 2015, arXiv:1503.03585, Table 2, converted from bits",
    ),
    Context(
        "Conditional adversarial nets",
        Published(132.0, 1.8),
        "Mirza and Osindero 2014, arXiv:1411.1784",
    ),
    Context("GMMN + autoencoder", Published(282.0, 2.0), "Li et al. 2015, arXiv:1502.02761"),
    Context(
        "Adversarial autoencoder", Published(340.0, 2.0), "Makhzani et al. 2015, arXiv:1511.05644"
    ),
)
