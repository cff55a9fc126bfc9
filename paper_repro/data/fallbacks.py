"""What the ``quick`` profile uses in place of a data set that can't be had."""

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits, load_sample_images

DIGITS = "scikit-learn's handwritten digits"
PHOTOGRAPHS = "crops of scikit-learn's sample photographs"

Bytes = npt.NDArray[np.uint8]


def digits(size: int = 24, border: int = 2) -> Bytes:
    """Return scikit-learn's 1797 digits of 8 × 8 pixels, larger and framed, as bytes.

    Bilinear. By default (n, 28, 28), 24 × 24 with a border of 2: a digit's place in MNIST's images.
    """
    small = torch.from_numpy(load_digits().images).float()[:, None] / 16  # (n, 1, 8, 8)
    large = torch.nn.functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    framed = torch.nn.functional.pad(large, (border,) * 4)[:, 0]
    array: Bytes = framed.mul(255).round().to(torch.uint8).numpy()
    return array


LABELLED = 0.25  # of TFD's images in place of which digits stand


def digits_in_folds() -> tuple[Bytes, Bytes]:
    """Return the digits as (n, 48, 48), and folds, (n, 5), both bytes: TFD's form.

    A fold says of each image 0 unlabelled, 1 train, 2 valid or 3 test: three quarters are
    unlabelled in all five folds, the rest is split 70 : 10 : 20 anew for each.
    """
    images, draw = digits(40, 4), np.random.default_rng(0)
    folds = np.zeros((len(images), 5), np.uint8)
    labelled = draw.permutation(len(images))[: round(LABELLED * len(images))]
    train, valid = round(0.7 * len(labelled)), round(0.1 * len(labelled))
    for fold in folds.T:
        mixed = draw.permutation(labelled)
        for code, chosen in enumerate(np.split(mixed, [train, train + valid]), start=1):
            fold[chosen] = code
    return images, folds


def digit_labels() -> Bytes:
    """Return which digits `digits` shows, (1797,)."""
    labels: Bytes = load_digits().target.astype(np.uint8)
    return labels


CROP = 32  # pixels
LARGEST = 192  # pixels of a photograph that a crop's side may stand for


def photographs(n: int) -> Bytes:
    """Return n random crops, (n, 3, 32, 32) bytes of red, green and blue: CIFAR-10's form.

    Of each crop the photograph, the side (32 to 192 pixels, averaged to 32), the place and the
    mirroring are drawn uniformly. The same n gives the same crops.
    """
    sources = [
        torch.tensor(image).permute(2, 0, 1).float() for image in load_sample_images().images
    ]
    draw = np.random.default_rng(0)
    crops = np.empty((n, 3, CROP, CROP), np.uint8)
    for crop in crops:
        source = sources[draw.integers(len(sources))]
        side = draw.integers(CROP, LARGEST, endpoint=True)
        top, left = (draw.integers(size - side, endpoint=True) for size in source.shape[1:])
        part = source[:, top : top + side, left : left + side]
        small = torch.nn.functional.interpolate(part[None], size=CROP, mode="area")[0]
        crop[:] = (small.flip(2) if draw.integers(2) else small).round().numpy()
    return crops
