"""Published numbers to compare with: Table 1 of the paper and Parzen numbers of other papers.

Nats; ± is the standard error of the mean, over the test images on MNIST and over folds on TFD.
"""

from dataclasses import dataclass

from paper_repro.report.results import Published


@dataclass(frozen=True)
class Model:
    """A line of Table 1; the measures are by data set."""

    name: str
    mnist: Published
    tfd: Published


@dataclass(frozen=True)
class Context:
    """Another paper's number on real-valued MNIST."""

    name: str
    mnist: Published
    source: str


def _number(mean: float, se: float) -> Published:
    return Published(mean=mean, se=se)


ADVERSARIAL = Model("Adversarial nets", _number(225.0, 2.0), _number(2057.0, 26.0))
TABLE1 = (
    Model("DBN", _number(138.0, 2.0), _number(1909.0, 66.0)),
    Model("Stacked CAE", _number(121.0, 1.6), _number(2110.0, 50.0)),
    Model("Deep GSN", _number(214.0, 1.1), _number(1890.0, 29.0)),
    ADVERSARIAL,
)
# The paper's number for each experiment that it gives one for.
PAPER = {"mnist": ADVERSARIAL.mnist, "tfd": ADVERSARIAL.tfd}


def margin(experiment: str) -> float:
    """Return half of what separates the paper's number from the nearest other model of Table 1."""
    numbers: dict[str, float] = {model.name: getattr(model, experiment).mean for model in TABLE1}
    own = numbers.pop(ADVERSARIAL.name)
    return min(abs(own - other) for other in numbers.values()) / 2


SOHL_DICKSTEIN = "Sohl-Dickstein et al. 2015, arXiv:1503.03585, Table 2, converted from bits"
CONTEXT = (
    Context("Training images as the samples", _number(241.9, 2.3), SOHL_DICKSTEIN),
    Context("Diffusion", _number(219.7, 1.9), SOHL_DICKSTEIN),
    Context(
        "Conditional adversarial nets",
        _number(132.0, 1.8),
        "Mirza and Osindero 2014, arXiv:1411.1784",
    ),
    Context("GMMN + autoencoder", _number(282.0, 2.0), "Li et al. 2015, arXiv:1502.02761"),
    Context(
        "Adversarial autoencoder", _number(340.0, 2.0), "Makhzani et al. 2015, arXiv:1511.05644"
    ),
)
