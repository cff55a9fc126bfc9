"""Stage ``figure3@<run>``: figure 3 of the paper, straight lines in z space.

Two strips of digits: from 1 to 5, and from 7 by way of 9 to 1. The paper does not say how it chose
the ends; the rule here (`RULE`) was fixed before any picture was seen.
"""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch

from paper_repro.core.dataset import side_by_side
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.records import Closed, Sealed, or_not_run, write_record
from paper_repro.diagnostics.digit_classifier import train_classifier
from paper_repro.evaluation.trained_run import open_shown
from paper_repro.figures.canvas import drawing, save_note
from paper_repro.figures.figure2 import title
from paper_repro.gan.model.noise import draw_noise
from paper_repro.gan.model.sampler import generator_of

STRIPS = ((1, 5), (7, 9, 1))  # digits
IMAGES = 11  # from one digit to the next, both ends included
DRAWS = 2000
SURE = 0.9  # the probability from which on a draw counts as a digit
TRAINED_ON = 0.9  # of the training images; on the rest the classifier's accuracy is measured
RULE = (
    f"The end for a digit is the first of {DRAWS} draws of z that a classifier, trained on "
    f"training images, calls that digit with probability {SURE} or more; if there is none, the "
    "draw of the highest probability. Between two ends z moves on a straight line in "
    f"{IMAGES - 1} equal steps."
)


class End(Closed):
    """Where a strip begins or ends: the draw that stands for a digit."""

    digit: int
    draw: int
    probability: float
    sure: bool  # whether the classifier is sure of it


class Figure3(Sealed):
    """``figure3.json``: how its ends were chosen."""

    status: Literal["ok"]
    epoch: int
    rule: str
    draws: int
    sure_from: float
    images_a_segment: int
    strips: list[list[End]]
    classifier: dict[str, int | float]


FIGURE3 = or_not_run(Figure3)


def choose(probabilities: torch.Tensor, digit: int) -> End:
    """Return the end for a digit by the rule, given (n, 10) probabilities in order of the draws."""
    own = probabilities[:, digit].double()
    sure = (own >= SURE).nonzero()
    draw = int(sure[0]) if len(sure) else int(own.argmax())
    return {"digit": digit, "draw": draw, "probability": own[draw].item(), "sure": len(sure) > 0}


def interpolate(ends: torch.Tensor) -> torch.Tensor:
    """Return points on the line through (m, d) ends in order, ((m − 1)·10 + 1, d), ends exact."""
    weights = torch.linspace(0, 1, IMAGES)[:-1, None]
    segments = [(1 - weights) * start + weights * end for start, end in pairwise(ends)]
    return torch.cat([*segments, ends[-1:]])


def strip(images: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return (m, d) images in [0, 1] side by side, as (rows + 2, m·(columns + 1) + 1)."""
    tiles = images.clamp(0, 1).reshape(len(images), 1, *shape)
    return side_by_side(tiles, len(images))[0]


def draw(pictures: list[torch.Tensor], strips: list[list[End]], heading: str, path: Path) -> None:
    """Draw the strips one below the other, with the digits over their ends."""
    longest = max(picture.shape[1] for picture in pictures)
    height = 7 * sum(1.8 * len(picture) for picture in pictures) / longest + 0.35
    with drawing(path, 7, height, dpi=300, vector=False) as figure:
        figure.suptitle(heading, fontsize=8)
        for axes, picture, ends in zip(
            figure.subplots(len(pictures), squeeze=False)[:, 0], pictures, strips, strict=True
        ):
            axes.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xlim=(-0.5, longest - 0.5), anchor="W", xticks=[], yticks=[], frame_on=False)
            columns = (picture.shape[1] - 1) // ((len(ends) - 1) * (IMAGES - 1) + 1)  # of an image
            for index, end in enumerate(ends):
                doubt = "" if end["sure"] else f" (p = {end['probability']:.2f})"
                middle = (index * (IMAGES - 1) + 0.5) * columns
                axes.text(
                    middle, -2, f"{end['digit']}{doubt}", ha="center", va="bottom", fontsize=8
                )


@torch.no_grad()
def figure3(key: str) -> None:
    """Draw a run's figure 3, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_shown(key, "figure3.png", "figure3.json", draw_note=save_note)
    if trained is None:
        return
    run, dataset = trained.run, trained.dataset()
    images, labels = dataset.load("train"), dataset.load_labels()
    boundary = int(TRAINED_ON * len(images))
    classifier = train_classifier(images[:boundary], labels[:boundary], run.seed)
    accuracy = classifier.accuracy(images[boundary:], labels[boundary:])
    sampler = generator_of(trained.sampler(), key)
    network, experiment = sampler.network, sampler.experiment
    z = draw_noise(
        DRAWS, experiment.noise_dimension, experiment.noise, stream_rng(run.seed, "figure3")
    )
    probabilities = classifier.probabilities(network(z))
    strips = [[choose(probabilities, digit) for digit in digits] for digits in STRIPS]
    pictures = [
        strip(network(interpolate(z[[end["draw"] for end in ends]])), dataset.shape)
        for ends in strips
    ]
    heading = title(run, dataset, trained.epoch)
    draw(pictures, strips, heading, run.folder / "figure3.png")
    write_record(
        run.folder / "figure3.json",
        {
            "status": "ok",
            "epoch": trained.epoch,
            "rule": RULE,
            "draws": DRAWS,
            "sure_from": SURE,
            "images_a_segment": IMAGES,
            "strips": strips,
            "classifier": {
                "training_images": boundary,
                "held_out_images": len(images) - boundary,
                "held_out_accuracy": accuracy,
            },
        },
        run.folder / "figure3.png",
    )
