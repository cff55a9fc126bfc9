"""The package as a library: draw from a published model, score samples of any model.

A thin layer over what the pipeline's stages call: a number here is the number there. Weights, data
and records are those of the repository whose folder is the present one.
"""

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from paper_repro.core.dataset import Dataset, processed_folder, read_dataset
from paper_repro.core.errors import UserError
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.measure import Measure
from paper_repro.core.params import PAPER, PARAMS, Params, read_params
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.records import read_record
from paper_repro.core.runs import runs
from paper_repro.core.sampler import ChainSampler
from paper_repro.core.titles import title
from paper_repro.diagnostics.parzen_audit import AUDIT
from paper_repro.diagnostics.sample_checks import memorisation
from paper_repro.diagnostics.sample_sets import GRIDS, OneSet, grids, measure, stream
from paper_repro.evaluation.trained_run import TrainedRun, open_published
from paper_repro.gan.model.noise import draw_noise
from paper_repro.gan.model.sampler import GeneratorSampler
from paper_repro.pipeline.presentation import presentation
from paper_repro.report.content import content
from paper_repro.report.run_files import require_own_weights
from paper_repro.sample_files import open_samples

SCORED = ("mnist",)  # data sets; Table 1's other one, TFD, is measured over folds
FEWEST = 1000  # samples that are scored
REFERENCES = ("training images", "k-means centroids")  # of the audit, shown beside a score
ROUNDING = 1e-3  # by which values may leave [0, 1]
BRIGHT = 128  # the brightest pixel of images in [0, 255] is at least this

Array = npt.NDArray[np.float32]


class Generator:
    """A published model, opened by `load`.

    Attributes
    ----------
    name : of its run.
    seed : of its run; what `sample` draws with it are the samples of its released number.
    """

    def __init__(self, trained: TrainedRun) -> None:
        self.name = trained.run.key
        self.seed = trained.run.seed
        self._dataset = trained.run.dataset
        self._sampler = trained.sampler()

    @fast_float32()
    def sample(self, n: int, seed: int = 0) -> Array:
        """Return n samples, (n, d) in [0, 1], the same for the same seed.

        Those of DBN, stacked CAE and deep GSN are consecutive steps of one Markov chain, which
        begins at a training image.

        Raises
        ------
        UserError
            If a chain's training images are not prepared.
        """
        if isinstance(self._sampler, ChainSampler):
            _prepared(self._dataset)
        return cast("Array", self._sampler.sample(n, seed, stream(0)).numpy())

    def noise(self, n: int, seed: int = 0) -> Array:
        """Return the z of which `sample` makes its images, (n, d_z).

        Raises
        ------
        UserError
            If the model is a Markov chain.
        """
        model = self._network().experiment
        rng = stream_rng(seed, stream(0))
        return cast("Array", draw_noise(n, model.noise_dimension, model.noise, rng).numpy())

    @torch.no_grad()
    @fast_float32()
    def __call__(self, z: npt.ArrayLike) -> Array:
        """Return G(z), (n, d) in [0, 1], of z, (n, d_z) (`UserError` as `noise`)."""
        network = self._network().network
        return cast("Array", network(torch.as_tensor(np.array(z, dtype=np.float32))).numpy())

    def _network(self) -> GeneratorSampler:
        if not isinstance(self._sampler, GeneratorSampler):
            raise UserError(f"{self.name}: a Markov chain, which has no z; use `sample`")
        return self._sampler


@dataclass(frozen=True)
class Score:
    """What `score` returns; as text, a table. Log-likelihoods are in nats.

    Attributes
    ----------
    data : the data set.
    given, samples, paper_samples : how many samples there are, how many of them were used, and how
        many the paper uses.
    divided_by_255 : whether the samples were in [0, 255].
    grids : by grid of σ, the estimate and its standard error over test images, as ``test_mean``
        and ``test_se``, and the σ chosen; ``default`` is the grid of the released script.
    table_1 : the paper's mean and standard error, by model.
    references : what images that no model made score, by the default grid.
    copies : samples' L2 distances to their nearest training images, beside those of test images,
        by the names that ``sample_checks.json`` gives them.
    """

    data: str
    given: int
    samples: int
    paper_samples: int
    divided_by_255: bool
    grids: dict[str, OneSet]
    table_1: dict[str, list[float]]
    references: dict[str, float]
    copies: dict[str, float] | None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"Log-likelihood of {title(self.data)}'s test images in nats,"
        yield f"by a Gaussian Parzen window on {self.samples:,} samples:"
        for name, found in self.grids.items():
            yield _line(found["test_mean"], found["test_se"], found["sigma"], GRIDS[name].what)
        yield "Table 1 of the paper, which does not state its grid of σ:"
        for name, (mean, se) in self.table_1.items():
            yield _line(mean, se, None, name)
        if self.references:
            yield "The measure is weak: by the first grid it gives"
        for name, mean in self.references.items():
            yield _line(mean, None, None, name)
        if self.copies:
            yield (
                "Nearest training images: the median L2 distance is {samples_median:.2f}, of test "
                "images {held_out_median:.2f};\n  {copies:.2%} of the samples are as near as the "
                "nearest 1 % of test images (chance allows {copies_allowed:.2%})"
            ).format(**self.copies)
        if self.divided_by_255:
            yield "The samples are in [0, 255]: they were divided by 255."
        if self.given > self.samples:
            yield f"Used were {self.samples:,} of {self.given:,} samples, as many as in the paper:"
            yield "  drawn at random, the same each time."
        if self.samples < self.paper_samples:
            yield f"The paper uses {self.paper_samples:,} samples; fewer give a lower number."


def _line(mean: float, se: float | None, sigma: float | None, what: str) -> str:
    error = "" if se is None else f"± {se:.1f}"
    width = "" if sigma is None else f"σ = {sigma:.3f}"
    return f"  {mean:7.1f} {error:7} {width:9}  {what}"


def load(name: str) -> Generator:
    """Open a published model: its weights are in the repository, and nothing is downloaded.

    Parameters
    ----------
    name : of its run, such as ``paper-mnist-4``.

    Raises
    ------
    UserError
        If no such run is published, or the present folder is not the repository's.
    """
    params = _params()
    published = presentation(params).published
    if name not in published:
        raise UserError(f"{name}: no published run (there: {', '.join(published)})")
    require_own_weights(runs(params)[name])
    trained = open_published(name)
    if trained is None:
        raise UserError(f"{name}: was not trained; it has no weights")
    return Generator(trained)


@fast_float32()
def score(
    samples: npt.ArrayLike | torch.Tensor | str | Path, data: str = "mnist", *, copies: bool = False
) -> Score:
    """Measure samples of any model as the paper measures its own.

    The log-likelihood of test images under a Gaussian Parzen window on the samples, σ chosen on
    validation images. Of more than 10,000 samples, which the paper uses and by whose number the
    estimate grows, 10,000 are drawn at random, always the same.

    Parameters
    ----------
    samples : (n, 784) or (n, 28, 28), in [0, 1] or [0, 255]; an array, a tensor, or a path: of a
        ``.npy``, ``.npz`` or ``.safetensors`` file or a folder of PNGs.
    data : the data set; ``mnist`` is the only one.
    copies : whether to look for the nearest training images, which takes longer.

    Raises
    ------
    UserError
        If samples can't be read, are fewer than 1,000, not of the data set's shape, not in either
        range or not finite; if the data are not prepared, or the present folder is not the
        repository's.
    """
    if data not in SCORED:
        raise UserError(f"{data}: samples can be scored on {', '.join(SCORED)} only")
    params = _params()
    settings = params.parse(Measure, "measure", data)
    dataset = _prepared(data)
    where, given = "samples", cast("Any", samples)
    if isinstance(samples, str | Path):
        where, given = str(samples), open_samples(Path(samples))
    elif not isinstance(samples, torch.Tensor):
        try:
            given = np.asarray(samples)
        except ValueError as error:
            raise UserError(f"{where}: not an array ({error})") from error
    used, divided = _usable(where, given, dataset.shape, settings.samples)
    valid, test = (dataset.load(part) for part in dataset.folds[0])
    found = measure(
        used, grids(settings), valid[: settings.sigma_images], test, settings.sigma_images
    )
    near = memorisation(used, dataset.load("train"), test) if copies else None
    return Score(
        data=data,
        given=given.shape[0],
        samples=len(used),
        paper_samples=settings.samples,
        divided_by_255=divided,
        grids={name: by_images["first_images"] for name, by_images in found.items()},
        table_1={name: model[data] for name, model in content("published.yaml")["table_1"].items()},
        references=_references(params, data),
        copies=near,
    )


def print_score(samples: str, data: str, *, copies: bool, as_json: bool) -> None:
    """Print what `score` finds, as a table or as JSON (`UserError` as `score`)."""
    found = score(samples, data, copies=copies)
    print(json.dumps(dataclasses.asdict(found), indent=2) if as_json else found)


def _params() -> Params:
    if not PARAMS.is_file():
        raise UserError(
            f"{Path.cwd()}: not the folder of this package's repository, where weights, data and "
            "records are; an installed package has none: clone it and run from its folder"
        )
    return read_params()


def _prepared(name: str) -> Dataset:
    path = processed_folder(PAPER, name) / "dataset.json"
    if not path.is_file():
        raise UserError(
            f"{path}: no such file, {title(name)} is not here yet; run `paper_repro fetch`, "
            f"then `paper_repro prepare {PAPER} {name}`"
        )
    dataset = read_dataset(PAPER, name)
    if not dataset.ok:
        raise UserError(f"{name}: {dataset.reason}; {dataset.todo}")
    return dataset


def _usable(where: str, given: Any, shape: tuple[int, ...], most: int) -> tuple[torch.Tensor, bool]:
    """Return at most so many samples in [0, 1], (n, d), and whether they were in [0, 255]."""
    n, *image = given.shape or (0,)
    d = math.prod(shape)
    if [side for side in image if side != 1] not in ([d], list(shape)):
        wanted = ", ".join(map(str, shape))
        raise UserError(f"{where}: shape {tuple(given.shape)}; must be (n, {d}) or (n, {wanted})")
    if n < FEWEST:
        raise UserError(f"{where}: {n:,} samples; at least {FEWEST:,} are needed")
    rows: Any = slice(None)
    if n > most:  # at random: files may be sorted by class
        rows = torch.randperm(n, generator=stream_rng(0, "score"))[:most].sort().values.numpy()
    taken = given[rows]
    if isinstance(taken, torch.Tensor):
        taken = taken.detach().cpu()
        taken = (taken.float() if taken.is_floating_point() else taken).numpy()  # some numpy lacks
    if taken.dtype.kind not in "buif":
        raise UserError(f"{where}: of type {taken.dtype}; must be numbers")
    used = torch.from_numpy(taken.astype(np.float32)).reshape(len(taken), d)
    broken = int((~used.isfinite()).any(1).sum())
    if broken:
        raise UserError(f"{where}: {broken:,} samples have values that are NaN or infinite")
    low, high = (float(end) for end in used.aminmax())
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return used, False
    if low >= 0 and BRIGHT <= high <= 255:
        return used / 255, True
    raise UserError(f"{where}: values from {low:g} to {high:g}; must be in [0, 1] or [0, 255]")


def _references(params: Params, data: str) -> dict[str, float]:
    """Return what the audit of the measure says of images that no model made, if there is one."""
    for run in runs(params).values():
        path = run.folder / "parzen_audit.json"
        if run.dataset == data and path.is_file():
            audit = read_record(path, AUDIT)
            return {
                f"{row['n']:,} {row['samples']}": row["test_mean"]
                for row in (audit["rows"] if audit["status"] == "ok" else [])
                if row["samples"] in REFERENCES
            }
    return {}
