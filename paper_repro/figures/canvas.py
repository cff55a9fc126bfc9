"""What all figures share: a canvas without a screen, and files with the same bytes every time."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from paper_repro.core.files import replacing


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that many inches, independent of any screen or global state."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a PNG, whole or not at all, without a date or version in it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png", metadata={"Software": None})


def save_note(path: Path, text: str) -> None:
    """Write a picture that says why there is none."""
    figure = new_figure(6, 2)
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    save(figure, path)
