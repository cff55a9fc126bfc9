"""Stage ``sheet@<run>``: a hundred samples of one draw, where the weights are not published."""

from paper_repro.core.dataset import displayed, side_by_side
from paper_repro.evaluation.trained_run import open_shown
from paper_repro.figures.canvas import save_note
from paper_repro.figures.figure2 import draw, title

FILE = "sheet.png"
SIDE = 10  # samples


def sheet(key: str) -> None:
    """Draw a run's samples, or write that it was not run (`UserError` on bad inputs)."""
    trained = open_shown(key, FILE, draw_note=save_note)
    if trained is None:
        return
    run, dataset = trained.run, trained.dataset()
    samples = trained.sampler().sample(SIDE**2, run.seed, "sheet")
    images = displayed(samples, samples, dataset.name, dataset.shape)
    draw(side_by_side(images, SIDE), title(run, dataset, trained.epoch), run.folder / FILE)
