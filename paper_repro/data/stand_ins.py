"""What the ``quick`` profile uses in place of a data set that can't be had."""

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits

DIGITS = "scikit-learn's handwritten digits"


def digits() -> npt.NDArray[np.uint8]:
    """Return scikit-learn's 1797 digits of 8 × 8 pixels as (n, 28, 28) bytes.

    Bilinear to 24 × 24, with a border of 2, the digits' place in MNIST's images.
    """
    small = torch.from_numpy(load_digits().images).float()[:, None] / 16  # (n, 1, 8, 8)
    large = torch.nn.functional.interpolate(small, size=24, mode="bilinear", align_corners=False)
    framed = torch.nn.functional.pad(large, (2, 2, 2, 2))[:, 0]
    array: npt.NDArray[np.uint8] = framed.mul(255).round().to(torch.uint8).numpy()
    return array
