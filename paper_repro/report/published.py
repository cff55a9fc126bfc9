"""Published numbers to compare with: Table 1 of the paper and Parzen numbers of other papers.

Nats, on real-valued MNIST; ± is the standard error of the mean over the test images.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published log-likelihood."""

    model: str
    mean: float
    se: float
    source: str


PAPER = {"mnist": Published("Adversarial nets", 225.0, 2.0, "Table 1")}

# What the rows of Table 1 and of the context table belong to.
TABLE1_MNIST = (
    Published("DBN", 138.0, 2.0, "Table 1"),
    Published("Stacked CAE", 121.0, 1.6, "Table 1"),
    Published("Deep GSN", 214.0, 1.1, "Table 1"),
    PAPER["mnist"],
)
CONTEXT_MNIST = (
    Published(
        "Training images as the samples", 241.9, 2.3, "Sohl-Dickstein et al. 2015, Table 2 (bits)"
    ),
    Published("Diffusion", 219.7, 1.9, "Sohl-Dickstein et al. 2015, Table 2 (bits)"),
    Published("Conditional adversarial nets", 132.0, 1.8, "Mirza and Osindero 2014"),
    Published("GMMN + autoencoder", 282.0, 2.0, "Li et al. 2015"),
    Published("Adversarial autoencoder", 340.0, 2.0, "Makhzani et al. 2015"),
)
