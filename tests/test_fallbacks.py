import numpy as np
import pytest
from sklearn.datasets import load_digits

from paper_repro.data.fallbacks import digit_labels, digits, faces, photographs


def distinct(images):
    return len({image.tobytes() for image in images})


@pytest.fixture(scope="module")
def drawn():
    return faces(600)


def test_each_digit_has_its_label():
    labels = digit_labels()
    assert labels.dtype == np.uint8
    assert labels.shape == digits().shape[:1] == (1797,)
    assert labels.tolist() == load_digits().target.tolist()
    assert set(labels) == set(range(10))


def test_photographs_are_varied_crops_in_cifar_10_s_form():
    crops = photographs(300)
    assert crops.shape == (300, 3, 32, 32)
    assert crops.dtype == np.uint8
    assert distinct(crops) == 300
    assert crops.min() == 0
    assert crops.max() == 255
    assert np.array_equal(photographs(20), crops[:20])


def test_photographs_have_red_before_blue():
    flower = max(photographs(100), key=lambda crop: np.ptp(crop[0]))  # orange on dark green
    red, green, blue = flower.reshape(3, -1).astype(float)
    bright = red > 200
    assert red[bright].mean() > green[bright].mean() > blue[bright].mean()


def test_faces_are_varied_and_use_the_range(drawn):
    images, _ = drawn
    assert images.shape == (600, 48, 48)
    assert images.dtype == np.uint8
    assert distinct(images) == 600
    assert images.min() < 10
    assert images.max() > 245
    assert 80 < images.mean() < 150
    assert images.std(0).min() > 15  # no pixel is alike in all


def test_faces_have_two_dark_eyes_below_a_lighter_forehead(drawn):
    mean = drawn[0].mean(0)
    forehead, left, right = mean[11:14, 22:26], mean[18:22, 14:17], mean[18:22, 31:34]
    bridge = mean[18:22, 22:26]
    for eye in (left, right):
        assert eye.mean() < bridge.mean() - 5
        assert eye.mean() < forehead.mean() - 5


@pytest.mark.parametrize("n", [0, 1, 7, 200, 401])
def test_any_number_of_faces_is_drawn(n):
    images, folds = faces(n)
    assert len(images) == len(folds) == n
    assert not n or images.reshape(n, -1).std(1).min() > 5


def test_the_same_number_gives_the_same_faces_and_folds(drawn):
    again = faces(600)
    for first, second in zip(drawn, again, strict=True):
        assert np.array_equal(first, second)


def test_faces_have_tfd_s_folds(drawn):
    _, folds = drawn
    assert folds.shape == (600, 5)
    assert folds.dtype == np.uint8
    unlabelled = folds == 0
    assert unlabelled[:, 0].sum() == 450
    assert (unlabelled == unlabelled[:, :1]).all()  # the same faces in each fold
    for fold in folds.T:
        assert np.bincount(fold).tolist() == [450, 105, 15, 30]
    assert len({fold.tobytes() for fold in folds.T}) == 5
