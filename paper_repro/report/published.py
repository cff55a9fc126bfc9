"""Published numbers to compare with: Table 1 of the paper and Parzen numbers of other papers.

Nats; ± is the standard error of the mean, over the test images on MNIST and over folds on TFD.
"""

from dataclasses import dataclass

from paper_repro.report.content import content
from paper_repro.report.results import Published


@dataclass(frozen=True)
class Model:
    """A line of Table 1: the numbers by data set, and the experiment that trains it on MNIST."""

    name: str
    mnist: Published
    tfd: Published
    experiment: str


def _number(pair: list[float]) -> Published:
    return Published(mean=pair[0], se=pair[1])


_FOUND = content("published.yaml")
TABLE1 = tuple(
    Model(name, _number(entry["mnist"]), _number(entry["tfd"]), entry["experiment"])
    for name, entry in _FOUND["table_1"].items()
)
ADVERSARIAL = TABLE1[-1]
OTHERS = {model.experiment: model for model in TABLE1[:-1]}
# The paper's number for each experiment of its own.
PAPER = {"mnist": ADVERSARIAL.mnist, "tfd": ADVERSARIAL.tfd}
# Other papers' numbers on real-valued MNIST.
CONTEXT = [
    {"name": name, "mnist": _number(entry["mnist"]), "source": entry["source"]}
    for name, entry in _FOUND["context"].items()
]


def margin(experiment: str) -> float:
    """Return half of what separates the paper's number from the nearest other model of Table 1."""
    numbers: dict[str, float] = {m.name: getattr(m, experiment).mean for m in TABLE1}
    own = numbers.pop(ADVERSARIAL.name)
    return min(abs(own - other) for other in numbers.values()) / 2
