"""Stage ``explore@<profile>``: a page on which a published generator draws, and its weights."""

import base64
import math
from pathlib import Path
from typing import Any

import torch

from paper_repro.core.errors import UserError
from paper_repro.core.files import write_text
from paper_repro.core.params import read_params
from paper_repro.core.records import read_training
from paper_repro.core.runs import read_run
from paper_repro.core.titles import title
from paper_repro.evaluation.trained_run import TrainedRun, open_published
from paper_repro.figures.canvas import save_note
from paper_repro.figures.strips import draw_strips
from paper_repro.gan.model.sampler import GeneratorSampler
from paper_repro.pipeline.presentation import presentation
from paper_repro.report.run_files import require_own_weights
from paper_repro.report.templating import environment

# What explore.js can do.
LAYERS = {"relu", "sigmoid"}
BOUNDS = {"uniform": math.sqrt(3), "uniform_one": 1.0}  # of the numbers in z: see `draw_noise`


def _base64(values: torch.Tensor) -> str:
    """Return numbers in half precision, row by row and little-endian, in base64."""
    return base64.b64encode(values.detach().numpy().astype("<f2").tobytes()).decode()


def generator(trained: TrainedRun) -> dict[str, Any]:
    """Return a published generator as ``explore.js`` takes it.

    Raises
    ------
    UserError
        If the page can't draw from it, or its weights are absent, damaged or another run's.
    """
    require_own_weights(trained.run)
    shape, sampler = trained.record["data"]["shape"], trained.sampler()
    others = {"a Markov chain"}
    if isinstance(sampler, GeneratorSampler):
        made = sampler.experiment
        others = {made.noise} - BOUNDS.keys() | {layer.layer for layer in made.generator} - LAYERS
    if others or len(shape) != 2 or not isinstance(sampler, GeneratorSampler):
        raise UserError(
            f"{trained.run.folder / 'training.json'}: explore.html can draw grey images by relu "
            "and sigmoid layers from uniform noise only, not "
            f"{', '.join(sorted(others)) or f'images of shape {shape}'}; name another run first "
            "under presentation.published"
        )
    return {
        "shape": shape,
        "dimension": made.noise_dimension,
        "bound": BOUNDS[made.noise],
        "layers": [
            {
                "layer": layer.settings.layer,
                "weight": _base64(layer.weight),  # (inputs, units)
                "bias": _base64(layer.bias),
            }
            for layer in sampler.network.stack
        ],
    }


def _draw(trained: TrainedRun | None, path: Path) -> None:
    """Draw twenty samples of a published run, the picture that links to its page."""
    if trained is None:
        save_note(path, "The run was not trained.")
        return
    images = trained.sampler().sample(20, trained.run.seed, "explore")
    draw_strips(images.split(10), tuple(trained.record["data"]["shape"]), path, width=6)


def explore(profile: str) -> None:
    """Write ``explore.html``, its weights and its picture for a profile's first published run.

    Of a run that was not trained, the page says why.

    Raises
    ------
    UserError
        If no run is published, or as `generator`.
    """
    params = read_params(profile)
    listed = presentation(params).published
    if not listed:
        raise UserError(f"{params.own.path}: presentation.published: names no run to draw from")
    run = read_run(listed[0])[1]
    trained = open_published(run.key)
    templates, folder = environment("HTML"), Path("reports", profile)
    values = {
        "profile": profile,
        "run": run.key,
        "record": read_training(run),
        "epoch": trained.epoch if trained else None,
        "generator": generator(trained) if trained else None,
        "title": title(run.dataset),
    }
    pages = {
        name: templates.get_template(f"{name}.j2").render(values)
        for name in ("explore-weights.js", "explore.html")
    }
    for name, text in pages.items():
        write_text(folder / name, text)
        print(f"explore: {folder / name}: {len(text.encode()):,} bytes")
    _draw(trained, folder / "explore.png")
