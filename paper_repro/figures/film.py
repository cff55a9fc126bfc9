"""``paper_repro film <run>``: the film of a run's training, as a GIF and as a picture for the page.

Reads the frames that training has left beside the checkpoints (`paper_repro.training.film`).
"""

from pathlib import Path

import numpy as np
from PIL import Image

from paper_repro.core.errors import UserError
from paper_repro.core.files import replacing
from paper_repro.core.runs import read_run
from paper_repro.figures.canvas import drawing
from paper_repro.training.checkpoint import CHECKPOINTS
from paper_repro.training.film import FRAME, ROW

SHOWN = 8  # samples of each frame in the picture
SECONDS = 1.0  # of a frame in the GIF


def _frames(key: str) -> list[Path]:
    """Return a run's frames in order, of the recipe that was trained last.

    Raises
    ------
    UserError
        If there are none.
    """
    films = [path for path in (CHECKPOINTS / key).glob("film-*") if any(path.glob("epoch-*.png"))]
    if not films:
        raise UserError(
            f"{CHECKPOINTS / key}: no film of {key} here: it is drawn in training, at epochs 1, 5, "
            "20, 100, 500 and the last"
        )
    return sorted(max(films, key=lambda path: path.stat().st_mtime).glob("epoch-*.png"))


def film(key: str) -> None:
    """Write a run's film (`UserError` if there is none, or the run is not listed)."""
    run, frames = read_run(key)[1], _frames(key)
    images = []
    for path in frames:
        with Image.open(path) as opened:
            images.append(opened.convert("RGB"))
    gif = frames[0].with_name("film.gif")
    with replacing(gif) as temporary:
        images[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=images[1:],
            loop=0,
            duration=1000 * SECONDS,
        )
    height = images[0].height * ROW // FRAME  # of the first row
    strips = [np.asarray(image)[:height] for image in images]
    ratio = strips[0].shape[0] / strips[0].shape[1]
    with drawing(run.folder / "film.png", 6, 6 * ratio * len(strips) + 0.3, vector=False) as figure:
        for axes, strip, path in zip(
            np.ravel(figure.subplots(len(strips))), strips, frames, strict=True
        ):
            axes.imshow(strip, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_ylabel(str(int(path.stem.removeprefix("epoch-"))), fontsize=8)
    print(f"film: {gif}, {run.folder / 'film.png'}")
