"""The two players' objectives (equation 1 and section 3), on the discriminator's logits.

With D = sigmoid(l): −log D = softplus(−l) and −log(1 − D) = softplus(l), which never overflow.
The released code (``__init__.py``) halves the discriminator's and lets the generator maximise
log D(G(z)). The two signals are the losses' derivatives by hand, for `joint_update`.
"""

import torch
from torch.nn.functional import softplus


def discriminator_loss(
    logits_data: torch.Tensor, logits_samples: torch.Tensor, kind: str
) -> torch.Tensor:
    """Return what D minimises, in nats: the sum of the two means of eq. 1, or half of it.

    Parameters
    ----------
    logits_data, logits_samples : (n, 1) D's logits on data and on samples.
    kind : "half_sum" (released code) or "sum" (paper).
    """
    total = softplus(-logits_data).mean() + softplus(logits_samples).mean()
    return 0.5 * total if kind == "half_sum" else total


def generator_loss(logits_samples: torch.Tensor, kind: str) -> torch.Tensor:
    """Return what G minimises, in nats.

    Parameters
    ----------
    logits_samples : (n, 1) D's logits on samples.
    kind : "non_saturating", mean −log D(G(z)), or "minimax", mean log(1 − D(G(z))).
    """
    if kind == "non_saturating":
        return softplus(-logits_samples).mean()
    return -softplus(logits_samples).mean()


def value(logits_data: torch.Tensor, logits_samples: torch.Tensor) -> torch.Tensor:
    """Return V(D, G) = E log D(x) + E log(1 − D(G(z))) of equation 1, in nats."""
    return -discriminator_loss(logits_data, logits_samples, "sum")


def discriminator_signal(logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the derivative of `discriminator_loss` by each logit, (2n,).

    Parameters
    ----------
    logits : (2n,) of n images and n samples.
    """
    n = len(logits) // 2
    factor = (0.5 if kind == "half_sum" else 1.0) / n
    signal = torch.empty_like(logits)
    torch.sigmoid(-logits[:n], out=signal[:n]).mul_(-factor)
    torch.sigmoid(logits[n:], out=signal[n:]).mul_(factor)
    return signal


def generator_signal(logits_samples: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the derivative of `generator_loss` by each sample's logit, (n,)."""
    sign = -1 if kind == "non_saturating" else 1
    return torch.sigmoid(sign * logits_samples).mul_(-1 / len(logits_samples))
