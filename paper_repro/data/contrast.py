"""Global contrast normalisation, as the released CIFAR-10 configurations apply it (Pylearn2)."""

import numpy as np
import numpy.typing as npt

SCALE = 55.0
SMALLEST = 1e-8  # a divisor below it counts as 1: an image of one colour stays as it is
CHUNK = 5000


def normalise_contrast(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return each image, (n, *shape), less its mean, divided by its L2 norm over 55."""
    result = np.empty(images.shape, np.float32)
    axes = tuple(range(1, images.ndim))
    for start in range(0, len(images), CHUNK):  # in float64 without a copy of everything
        part = images[start : start + CHUNK].astype(np.float64)
        part -= part.mean(axes, keepdims=True)
        divisor = np.sqrt(np.square(part).sum(axes, keepdims=True)) / SCALE
        result[start : start + CHUNK] = part / np.where(divisor < SMALLEST, 1.0, divisor)
    return result
