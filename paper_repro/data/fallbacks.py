"""What the ``quick`` profile uses in place of a data set that can't be had."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits, load_sample_images

DIGITS = "scikit-learn's handwritten digits"
PHOTOGRAPHS = "crops of scikit-learn's sample photographs"
FACES = "faces drawn by code"

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]


def digits() -> Bytes:
    """Return scikit-learn's 1797 digits of 8 × 8 pixels as (n, 28, 28) bytes.

    Bilinear to 24 × 24, with a border of 2, the digits' place in MNIST's images.
    """
    small = torch.from_numpy(load_digits().images).float()[:, None] / 16  # (n, 1, 8, 8)
    large = torch.nn.functional.interpolate(small, size=24, mode="bilinear", align_corners=False)
    framed = torch.nn.functional.pad(large, (2, 2, 2, 2))[:, 0]
    array: Bytes = framed.mul(255).round().to(torch.uint8).numpy()
    return array


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


SIZE = 48  # pixels of a face
PIXEL = 2 / SIZE  # in the coordinates of the drawing, [-1, 1] across the picture
VALUES = 64  # random values a face, more than a drawing reads
FACES_AT_A_TIME = 200  # what the processor's cache holds is drawn fastest
LABELLED = 0.25  # of the faces
EXPRESSIONS = np.array(
    [  # mouth's corners up, mouth open, mouth wide, brows' inner ends up, brows up, eyes open
        [0, 0, 0, 0, 0, 0],  # neutral
        [1, 0.35, 0.5, 0, 0.1, -0.2],  # happy
        [-0.8, 0, -0.1, 0.9, 0.1, -0.2],  # sad
        [-0.5, 0.1, -0.05, -1, -0.6, -0.05],  # angry
        [-0.1, 1, -0.5, 0.1, 1, 0.7],  # surprised
        [-0.45, 0.5, 0.25, 0.8, 0.7, 0.5],  # afraid
        [-0.6, 0.1, -0.2, -0.6, -0.4, -0.5],  # disgusted
    ],
    np.float32,
)


def faces(n: int) -> tuple[Bytes, Bytes]:
    """Return n drawn faces, (n, 48, 48), and their folds, (n, 5), both bytes: TFD's form.

    Grey, frontal, closely cropped, with one of seven expressions. A fold says of each face
    0 unlabelled, 1 train, 2 valid or 3 test: three quarters are unlabelled in all five folds, the
    rest is split 70 : 10 : 20 anew for each. The same n gives the same faces.
    """
    draw = np.random.default_rng(0)
    images = np.empty((n, SIZE, SIZE), np.uint8)
    for part in np.array_split(images, range(FACES_AT_A_TIME, n, FACES_AT_A_TIME)):
        grey = _draw_faces(draw.random((len(part), VALUES), np.float32))
        grey += 0.015 * draw.standard_normal(grey.shape, np.float32)
        part[:] = np.rint(255 * grey.clip(0, 1))
    folds = np.zeros((n, 5), np.uint8)
    labelled = draw.permutation(n)[: round(LABELLED * n)]
    train, valid = round(0.7 * len(labelled)), round(0.1 * len(labelled))
    for fold in folds.T:
        mixed = draw.permutation(labelled)
        for code, chosen in enumerate(np.split(mixed, [train, train + valid]), start=1):
            fold[chosen] = code
    return images, folds


def _inside(distance: Floats, softness: float = 1.0) -> Floats:
    """Return 1 where the distance to an edge is negative, 0 beyond it, smooth over some pixels."""
    covered: Floats = np.clip(0.5 - distance / (1.5 * softness * PIXEL), 0, 1)
    return covered


def _ellipse(x: Floats, y: Floats, a: Floats | float, b: Floats | float) -> Floats:
    """Return about the distance to an ellipse around the origin, negative inside."""
    distance: Floats = (np.sqrt((x / a) ** 2 + (y / b) ** 2) - 1) * np.minimum(a, b)
    return distance


def _blob(x: Floats, y: Floats, a: Floats | float, b: Floats | float) -> Floats:
    """Return a Gaussian bump of height 1 around the origin."""
    bump: Floats = np.exp(-((x / a) ** 2) - (y / b) ** 2)
    return bump


def _draw_faces(draws: Floats) -> Floats:
    """Return (n, 48, 48) grey values, about [0, 1], for (n, 64) uniform draws.

    Every quantity below is (n, 1, 1) or (n, 48, 48); x points right and y down, the face's middle
    is the origin and 1 about half its height. The numbers were set by eye.
    """
    values: Iterator[Floats] = iter(draws.T[:, :, None, None])
    picture: Floats = np.zeros((len(draws), SIZE, SIZE), np.float32)

    def between(low: float, high: float) -> Floats:
        return low + (high - low) * next(values)

    def paint(mask: Floats, tone: Floats | float) -> None:
        nonlocal picture
        picture = picture + mask * (tone - picture)

    grid = ((np.arange(SIZE) + 0.5) * PIXEL - 1).astype(np.float32)
    across = grid[None, None, :] - between(-0.07, 0.07)
    down = grid[None, :, None] - between(-0.07, 0.07)
    angle, scale = between(-0.12, 0.12), between(1.1, 1.28)
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    x, y = cosine * across + sine * down, cosine * down - sine * across
    middle = x - between(-0.13, 0.13)  # of the features, which turn further than the head
    side = np.abs(middle)
    skin = between(0.45, 0.9)
    hair = between(0.1, 1) ** 2 * 0.7 * skin
    strength = between(0.5, 1.1)
    expression = (
        EXPRESSIONS[between(0, 7)[:, 0, 0].astype(int)][:, :, None, None] * strength[:, None]
    )
    smile, gape, wide, inner, raised, stare = expression.transpose(1, 0, 2, 3)

    # Behind the head: background, hair, neck, clothes, ears.
    picture += between(0.05, 0.85)
    width, height, jaw = between(0.70, 0.80), between(0.98, 1.08), between(0.16, 0.32)
    volume, length = between(0.06, 0.16), between(-0.9, 1.1)
    paint(
        _inside(np.maximum(_ellipse(x, y + 0.1, width + volume, height + volume), y - length), 2),
        hair,
    )
    paint(_inside(np.maximum(np.abs(x) - 0.42, 0.6 - y)), 0.62 * skin)
    paint(_inside(1 - y - 0.15 * np.abs(x)), between(0.05, 0.9))
    ear = np.where(length > 0.2, hair, 0.7 * skin)
    paint(_inside(_ellipse(np.abs(x) - width, y + 0.02, 0.09, 0.2)), ear)

    # The head, narrower towards the chin, lit as a ball and modelled by lighter and darker places.
    outline = _ellipse(x / (1 - jaw * np.maximum(y, 0) ** 1.5), y + 0.02, width, height)
    head = _inside(outline)
    right, lower = x / width, (y + 0.02) / height
    front = np.sqrt(np.clip(1 - 0.8 * (right**2 + lower**2), 0.04, 1))
    light_x, light_y, ambient = between(-0.9, 0.9), between(-0.7, 0.3), between(0.35, 0.65)
    light = (light_x * right + light_y * lower + front) / np.sqrt(light_x**2 + light_y**2 + 1)
    shade = ambient + (1 - ambient) * np.clip(light, 0, 1.1)
    lit = skin * shade
    eye_x, eye_y, eye_size = between(0.30, 0.36), between(-0.28, -0.18), between(0.9, 1.12)
    nose_y, mouth_y = between(0.20, 0.30), between(0.52, 0.60)
    fold = side - 0.16 - 0.28 * (y - nose_y + 0.05) * (1 + 0.5 * wide)  # from nose to mouth
    relief = (
        1
        - 0.28 * _blob(side - 0.93 * eye_x, y - eye_y + 0.03, 0.2, 0.13)
        - 0.16 * _blob(side - 0.125, y - 0.02, 0.05, 0.22) * (1 - 0.8 * np.sign(middle * light_x))
        + 0.10 * _blob(middle, y - nose_y + 0.07, 0.07, 0.1)
        + 0.07 * _blob(middle, y, 0.05, 0.25)
        + 0.10 * _blob(side - 0.42, y - 0.2 + 0.06 * smile, 0.17, 0.15)
        - (0.08 + 0.14 * np.maximum(smile, 0)) * _blob(fold, y - 0.37, 0.04, 0.15)
        - 0.16 * _blob(middle, y - mouth_y - 0.2 - 0.1 * gape, 0.2, 0.05)
        - 0.20 * _inside(-outline - 0.12, 4)
    )
    paint(head, lit * relief)

    # Nose: nostrils, the shadow below, the wings.
    nose = between(0.085, 0.125)
    paint(0.6 * _blob(side - 0.62 * nose, y - nose_y - 0.02, 0.035, 0.025), 0.12 * lit)
    paint(0.35 * _blob(middle, y - nose_y - 0.055, nose, 0.03), 0.45 * lit)
    paint(0.3 * _blob(side - 1.15 * nose, y - nose_y, 0.025, 0.06), 0.5 * lit)

    # Eyes: between two parabolas the white, the iris, the pupil and a spark; the lids' lines.
    opening = (0.068 + 0.028 * stare) * eye_size * between(0.8, 1.15)
    half = 0.15 * eye_size
    eye_dx = side - eye_x
    eye_dy = y - eye_y + between(-0.12, 0.12) * eye_dx
    lid = opening * (1 - 1.25 * (eye_dx / half) ** 2)
    eye = _inside(np.abs(eye_dy) - lid)
    paint(eye, (0.52 + 0.38 * skin) * (0.35 + 0.65 * shade))
    gaze_x, gaze_y = np.sign(middle) * between(-0.04, 0.04), between(-0.025, 0.005)
    centre = np.hypot(eye_dx - gaze_x, eye_dy - gaze_y)
    paint(eye * _inside(centre - 0.075 * eye_size), between(0.03, 0.3) * shade)
    paint(eye * _inside(centre - 0.035 * eye_size), 0.03)
    spark = np.sign(middle) * 0.025
    paint(0.8 * eye * _blob(eye_dx - gaze_x - spark, eye_dy + 0.025, 0.02, 0.02), 1.0)
    ends = _inside(np.abs(eye_dx) - half)
    paint(0.85 * ends * _blob(eye_dy + lid, 0 * y, 0.028, 1), 0.12 * lit)
    paint(0.35 * ends * _blob(eye_dy + lid + 0.06, 0 * y, 0.025, 1), 0.45 * lit)
    paint(0.35 * ends * _blob(eye_dy - lid, 0 * y, 0.022, 1), 0.4 * lit)

    # Brows.
    brow_x = side - 0.98 * eye_x
    slope = 0.28 * inner + between(-0.05, 0.1)
    brow_y = eye_y - between(0.17, 0.23) - 0.06 * raised
    brow = brow_y + 0.03 * inner - 0.5 * brow_x**2 - slope * brow_x
    thickness = between(0.028, 0.055) * np.clip(1.1 - 7 * np.maximum(brow_x, 0), 0.2, 1)
    stroke = _inside(np.abs(y - brow) - thickness, 1.3) * _inside(np.abs(brow_x) - 0.21, 2)
    paint(between(0.35, 0.95) * stroke, 0.9 * np.minimum(hair, 0.6 * skin) * shade)

    # Mouth: lips, the opening between them with or without teeth, or a line; its corners.
    mouth = between(0.23, 0.29) * (1 + 0.28 * wide)
    bend = np.clip(1 - (middle / mouth) ** 2, 0, 1)
    full = np.sqrt(bend)
    line = mouth_y - 0.09 * smile + 0.15 * smile * bend
    gap = (0.012 + 0.15 * np.maximum(gape, 0)) * full
    upper, under = y - line + 0.25 * gap, y - line - gap
    within = _inside(side - mouth)
    lip = between(0.045, 0.085) * full
    bow = 0.8 * lip * (1 - 0.25 * _blob(middle, 0 * y, 0.05, 1))
    paint(within * _inside(np.maximum(-upper - bow, under - 1.2 * lip)), between(0.42, 0.72) * lit)
    hole = within * _inside(np.maximum(-upper, under), 0.7)
    paint(hole, 0.1 * lit)
    teeth = np.clip(between(-1, 2), 0, 1) * np.clip(4 * gape, 0, 1)
    paint(teeth * hole * _inside(upper - 0.75 * gap), 0.85 * (0.4 + 0.6 * shade))
    paint(0.6 * within * _blob(y - line, 0 * y, 0.02, 1) * np.clip(1 - 6 * gape, 0, 1), 0.15 * lit)
    paint(0.35 * _blob(side - 1.03 * mouth, y - line + 0.01, 0.035, 0.035), 0.3 * lit)

    # Hair over the forehead; one head in ten has none.
    parting = between(-0.6, 0.6)
    hairline = between(-0.86, -0.55) + between(0.2, 0.75) * (x - 0.3 * parting) ** 2
    hairline = hairline + between(0, 0.06) * np.sin(x * between(8, 20) + 6 * parting)
    strands = 1 + 0.18 * np.sin(x * between(14, 30) + y * between(-12, 12))
    grown = np.clip(between(-1, 9), 0, 1)
    paint(grown * head * _inside(y - hairline, 2), hair * strands * (0.4 + 0.6 * shade))
    return picture
