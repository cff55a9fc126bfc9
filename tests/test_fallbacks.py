import numpy as np
from sklearn.datasets import load_digits

from paper_repro.data.fallbacks import digit_labels, digits, digits_in_folds, photographs


def test_digits_are_labelled_and_framed_as_mnist_s_are():
    images, labels = digits(), digit_labels()
    assert labels.dtype == np.uint8
    assert labels.tolist() == load_digits().target.tolist()
    assert images.shape == (1797, 28, 28)
    assert images.max() == 255
    assert not images[:, :2].any()
    assert not images[:, :, -2:].any()
    assert images[:, 2:26, 2:26].mean() > 50


def test_photographs_are_varied_crops_in_cifar_10_s_form_red_before_blue():
    crops = photographs(300)
    assert crops.shape == (300, 3, 32, 32)
    assert crops.dtype == np.uint8
    assert len({crop.tobytes() for crop in crops}) == 300
    assert (crops.min(), crops.max()) == (0, 255)
    assert np.array_equal(photographs(20), crops[:20])
    flower = max(crops[:100], key=lambda crop: np.ptp(crop[0]))  # orange on dark green
    red, green, blue = flower.reshape(3, -1).astype(float)
    bright = red > 200
    assert red[bright].mean() > green[bright].mean() > blue[bright].mean()


def test_digits_in_tfd_s_form_are_framed_and_split_as_its_folds_are():
    images, folds = digits_in_folds()
    assert images.shape == (1797, 48, 48)
    assert not images[:, :4].any()
    assert images[:, 4:44, 4:44].mean() > 50
    unlabelled = folds == 0
    assert unlabelled[:, 0].sum() == 1348
    assert (unlabelled == unlabelled[:, :1]).all()  # the same images in each fold
    for fold in folds.T:
        assert np.bincount(fold).tolist() == [1348, 314, 45, 90]
    assert len({fold.tobytes() for fold in folds.T}) == 5
    assert all(map(np.array_equal, digits_in_folds(), (images, folds)))
