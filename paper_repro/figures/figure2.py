"""Stage ``figure2@<run>``: figure 2 of the paper.

4 rows × 6 columns: 20 samples of one draw, row by row in columns 1–5; column 6, framed in yellow,
the training image nearest (squared L2) to that row's fifth sample.
"""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from paper_repro.core.dataset import Dataset, displayed, side_by_side
from paper_repro.core.records import Sealed, or_not_run, write_record
from paper_repro.core.runs import Run
from paper_repro.diagnostics.nearest import nearest
from paper_repro.evaluation.trained_run import open_shown
from paper_repro.figures.canvas import drawing, save_note

ROWS, SAMPLES_A_ROW = 4, 5
FRAME = 2  # pixels
YELLOW = (1.0, 0.85, 0.0)


class Figure2(Sealed):
    """``figure2.json``: the training images nearest to the samples in the fifth column."""

    status: Literal["ok"]
    epoch: int
    nearest_training_index: list[int]
    squared_distance: Annotated[list[float], Field(min_length=1)]


FIGURE2 = or_not_run(Figure2)


def _framed(image: torch.Tensor, colour: tuple[float, float, float]) -> torch.Tensor:
    """Return a (1 or 3, rows, columns) image in [0, 1] as (3, rows + 4, columns + 4), framed."""
    rows, columns = image.shape[1:]
    framed = torch.tensor(colour)[:, None, None].repeat(1, rows + 2 * FRAME, columns + 2 * FRAME)
    framed[:, FRAME:-FRAME, FRAME:-FRAME] = image
    return framed


def grid(samples: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Return the picture, (3, height, width) in [0, 1].

    Parameters
    ----------
    samples : (20, 1 or 3, rows, columns) in [0, 1]
    neighbours : of the same form, (4, …): the training image for each row's fifth sample.
    """
    tiles = []
    for row in range(ROWS):
        first = row * SAMPLES_A_ROW
        own = samples[first : first + SAMPLES_A_ROW]
        tiles += [_framed(image, (0.0, 0.0, 0.0)) for image in own]
        tiles.append(_framed(neighbours[row], YELLOW))
    return side_by_side(torch.stack(tiles), SAMPLES_A_ROW + 1)


def title(run: Run, dataset: Dataset, epoch: int) -> str:
    """Return what stands above a picture, in two lines: data; seed, epoch, if not the paper's."""
    name = dataset.title
    data = f"stand-in for {name}: {dataset.stand_in}" if dataset.stand_in else name
    data = data.replace("$", r"\$")  # no mathematics
    reduced = "" if run.profile == "paper" else f", {run.profile} profile (not the paper's setup)"
    return f"{data}\nseed {run.seed}, epoch {epoch}{reduced}"


def draw(picture: torch.Tensor, heading: str, path: Path) -> None:
    """Draw a (3, height, width) picture under its heading."""
    height, width = picture.shape[1:]
    with drawing(path, 6, 6 * height / width + 0.5, vector=False) as figure:
        axes = figure.subplots()
        axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(heading, fontsize=8)


def figure2(key: str) -> None:
    """Draw a run's figure 2, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_shown(key, "figure2.png", "figure2.json", draw_note=save_note)
    if trained is None:
        return
    run, dataset = trained.run, trained.dataset()
    train = dataset.load("train")
    samples = trained.sampler().sample(ROWS * SAMPLES_A_ROW, run.seed, "figure2")
    fifth = samples[SAMPLES_A_ROW - 1 :: SAMPLES_A_ROW]
    indices, distances = nearest(fifth, train)
    picture = grid(
        *(displayed(x, samples, dataset.name, dataset.shape) for x in (samples, train[indices]))
    )
    heading = title(run, dataset, trained.epoch)
    draw(picture, heading, run.folder / "figure2.png")
    write_record(
        run.folder / "figure2.json",
        {
            "status": "ok",
            "epoch": trained.epoch,
            "nearest_training_index": indices,
            "squared_distance": distances,
        },
        run.folder / "figure2.png",
    )
