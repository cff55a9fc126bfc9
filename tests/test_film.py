"""Pictures of a run whose weights are not in git: a film of its training, a sheet of samples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from paper_repro.core.errors import UserError
from paper_repro.figures import sheet as sheets
from paper_repro.figures.film import film
from paper_repro.figures.sheet import sheet
from paper_repro.training.film import write_frame
from paper_repro.training.train import train

KEY = "quick-mnist-0"


def test_a_film_has_a_frame_a_validation_and_without_frames_there_is_none(workspace):
    workspace.change(epochs=6, validate_every=2)
    train(KEY)
    film(KEY)
    (gif,) = Path("checkpoints").rglob("film.gif")
    with Image.open(gif) as opened:
        assert opened.n_frames == 3
    assert (workspace.run.folder / "film.png").is_file()
    for path in Path("checkpoints").rglob("epoch-*.png"):
        path.unlink()
    with pytest.raises(UserError, match=f"no film of {KEY} here: a generator's is drawn in"):
        film(KEY)


def test_a_frame_shows_samples_row_by_row(tmp_path):
    samples = torch.arange(40.0)[:, None].expand(40, 20) / 39  # each of one grey
    write_frame(tmp_path, 7, samples, "mnist", (4, 5))
    pixels = np.asarray(Image.open(tmp_path / "epoch-00007.png"))[..., 0]
    assert pixels.shape == (5 * 5 + 1, 8 * 6 + 1)  # a border of one pixel
    assert pixels[2::5, 2::6].ravel().tolist() == [round(255 * i / 39) for i in range(40)]


def test_a_sheet_has_a_hundred_samples(workspace, monkeypatch):
    shown = []
    monkeypatch.setattr(sheets, "draw", lambda picture, heading, path: shown.append(picture))
    train(KEY)
    sheet(KEY)
    (picture,) = shown
    assert picture.shape == (3, 10 * 5 + 1, 10 * 6 + 1)
    assert len(picture[0, 2::5, 2::6].unique()) > 50  # a hundred draws and not one repeated
