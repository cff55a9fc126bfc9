"""The film of training: what the same noise gives as a generator learns, a picture an epoch.

It decides nothing: its noise has a random stream of its own, and no stage reads the pictures. They
lie beside the run's checkpoints, out of git and DVC; a training that goes on adds to them.
"""

from pathlib import Path

import torch
from PIL import Image

from paper_repro.core.dataset import displayed, side_by_side
from paper_repro.core.files import replacing

EPOCHS = {1, 5, 20, 100, 500}  # and the last
FRAME = 40  # samples
ROW = 8  # of them side by side


def write_frame(
    folder: Path, epoch: int, samples: torch.Tensor, dataset: str, shape: tuple[int, ...]
) -> None:
    """Write an epoch's picture of 40 samples, (40, d), ``epoch-00020.png``."""
    images = displayed(samples, samples, dataset, shape)
    pixels = side_by_side(images, ROW).mul(255).add(0.5).clamp(0, 255)
    with replacing(folder / f"epoch-{epoch:05}.png") as temporary:
        Image.fromarray(pixels.permute(1, 2, 0).byte().numpy()).save(temporary, format="png")
