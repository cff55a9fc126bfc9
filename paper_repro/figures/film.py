"""``paper_repro film <run>``: the film of a run's training, as a GIF and as a picture for the page.

Reads the frames that training has left beside the checkpoints (`paper_repro.training.film`).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from paper_repro.core.errors import UserError
from paper_repro.core.files import replacing
from paper_repro.core.runs import read_run
from paper_repro.figures.canvas import drawing
from paper_repro.training.checkpoint import CHECKPOINTS
from paper_repro.training.film import EPOCHS, FRAME, ROW

MILLISECONDS = 1000  # of a frame in the GIF


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
            f"{CHECKPOINTS / key}: no film of {key} here: a generator's is drawn in training, "
            f"at epochs {', '.join(map(str, sorted(EPOCHS)))} and the last"
        )
    return sorted(max(films, key=lambda path: path.stat().st_mtime).glob("epoch-*.png"))


def draw(strips: Mapping[int, npt.NDArray[np.uint8]], path: Path) -> None:
    """Draw strips of samples, (rows, columns, 3), one below the other, each with its epoch."""
    height, width, _ = next(iter(strips.values())).shape
    inches = 6 * height / width * len(strips) + 0.3
    with drawing(path, 6, inches, vector=False) as figure:
        rows = figure.subplots(len(strips), squeeze=False)[:, 0]
        for axes, (epoch, strip) in zip(rows, strips.items(), strict=True):
            axes.imshow(strip, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_ylabel(f"{epoch:,}", fontsize=8)


def film(key: str) -> None:
    """Write a run's film (`UserError` if there is none, or the run is not listed)."""
    run, frames = read_run(key)[1], _frames(key)
    images = {}
    for path in frames:
        with Image.open(path) as opened:
            images[int(path.stem.removeprefix("epoch-"))] = opened.convert("RGB")
    first, *rest = images.values()
    gif = frames[0].with_name("film.gif")
    with replacing(gif) as temporary:
        first.save(
            temporary, "GIF", save_all=True, append_images=rest, loop=0, duration=MILLISECONDS
        )
    top = first.height * ROW // FRAME  # the first row of samples
    picture = run.folder / "film.png"
    draw({epoch: np.asarray(image)[:top] for epoch, image in images.items()}, picture)
    print(f"film: {gif}, {picture}")
