"""Grey images side by side, row by row."""

from collections.abc import Sequence
from pathlib import Path

import torch

from paper_repro.core.dataset import side_by_side
from paper_repro.figures.canvas import drawing


def draw_strips(
    rows: Sequence[torch.Tensor], shape: tuple[int, ...], path: Path, width: float = 8
) -> None:
    """Draw rows of as many grey images each, (n, d) in [0, 1].

    Parameters
    ----------
    shape : (rows, columns) of one image.
    width : in inches.
    """
    tiles = torch.cat(list(rows)).reshape(-1, 1, *shape)
    picture = side_by_side(tiles, len(rows[0]))
    height = width * picture.shape[1] / picture.shape[2]
    with drawing(path, width, height, vector=False) as figure:
        axes = figure.subplots()
        axes.imshow(picture[0].numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
