"""What all figures share: a style, and a canvas that no screen and no user's setting reaches.

matplotlib and seaborn are imported here and nowhere else. A user's ``matplotlibrc`` or
``MPLBACKEND`` can neither stop that nor change a picture: same numbers, same bytes.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

from paper_repro.core.files import replacing


@contextmanager
def _own_settings() -> Iterator[None]:
    """Have matplotlib imported by its own settings; then give it the user's, if they are sound."""
    found = importlib.util.find_spec("matplotlib")
    if "matplotlib" in sys.modules or found is None or found.origin is None:
        yield
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        # A matplotlibrc of the present folder comes before any other. This one has the defaults.
        with chdir(Path(found.origin).parent / "mpl-data"):
            yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    with suppress(Exception):
        matplotlib.rcParams.update(matplotlib.rc_params())
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


with _own_settings():
    import matplotlib
    import matplotlib.style
    import seaborn as sns
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import ConnectionPatch

STYLE = Path(__file__).with_name("paper.mplstyle")

__all__ = ["Axes", "ConnectionPatch", "Line2D", "drawing", "save_note", "sns"]


@contextmanager
def drawing(
    path: Path, width: float, height: float, dpi: int = 150, *, vector: bool = True
) -> Iterator[Figure]:
    """Give an empty figure of that many inches to draw on; at the end write it as a PNG.

    Within, matplotlib's defaults and ``paper.mplstyle`` hold in place of the user's settings. The
    files are written whole or not at all, without a date or version in them.

    Parameters
    ----------
    vector : whether to write a PDF beside the PNG. Grids of images are pixels in either, and take
        the defaults alone.
    """
    with matplotlib.style.context(["default", STYLE] if vector else "default"):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=dpi, format="png", metadata={"Software": None})
        if vector:
            undated = dict.fromkeys(("Creator", "Producer", "CreationDate"))
            with replacing(path.with_suffix(".pdf")) as temporary:
                figure.savefig(temporary, format="pdf", metadata=undated)


def save_note(path: Path, text: str) -> None:
    """Write a picture that says why there is none."""
    with drawing(path, 6, 2, vector=False) as figure:
        figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True, fontsize=10)
