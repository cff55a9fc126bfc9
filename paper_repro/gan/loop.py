"""The training loop: epochs of updates, a measurement now and then, a checkpoint every minute."""

import datetime
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from paper_repro.core import provenance
from paper_repro.core.circumstances import Environment
from paper_repro.core.dataset import Dataset
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.tensor_file import load_tensors
from paper_repro.gan import interrupt, objectives, sgd
from paper_repro.gan.checkpoint import CheckpointFile, Progress
from paper_repro.gan.model import recipe
from paper_repro.gan.model.layer import Shape
from paper_repro.gan.model.networks import Gan, build_gan, initialise, stack_pretrained
from paper_repro.gan.model.sampler import GeneratorSampler
from paper_repro.gan.noise_and_masks import Draws
from paper_repro.gan.update import DIAGNOSTICS, GRADIENT_NORMS, Trainer
from paper_repro.parzen.bandwidth import choose_bandwidth
from paper_repro.parzen.likelihood import mean_and_standard_error

CHECKPOINT_SECONDS = 60.0
SAVING_RATIO = 20  # at least so many times as long as the last checkpoint took
BEST = "best."  # names the parameters of the best epoch in a checkpoint


def resolve_device(name: str, where: str) -> torch.device:
    """Return the device that `auto` stands for, or the named one.

    Parameters
    ----------
    where : the name was given, for errors.

    Raises
    ------
    UserError
        If torch knows no such device or finds none here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{where}: {error}") from None
    if device.type == "cuda":
        found = torch.cuda.device_count()
        if not found:
            raise UserError(
                f"{where}: device {name}: torch finds no CUDA device here; use `auto` or `cpu`"
            )
        if (device.index or 0) >= found:
            raise UserError(
                f"{where}: device {name}: torch finds {found} CUDA device(s), from cuda:0 on"
            )
    return device


def new_trainer(
    experiment: recipe.Experiment,
    shape: Shape,
    train: torch.Tensor,
    seed: int,
    device: torch.device,
    start: Path | None = None,
) -> Trainer:
    """Return both players initialised from the seed, before the first update.

    Parameters
    ----------
    shape : of one image.
    train : (n, d) the training images.
    start : the model whose generator, of its last epoch, makes up the pretrained layers.

    Raises
    ------
    UserError
        If `start` is absent or damaged, or its layers are not those that are to be stacked.
    """
    gan = build_gan(experiment, shape, device)
    marginals = train.mean(0, dtype=torch.float64).float().to(device)
    initialise(gan, marginals, stream_rng(seed, "init", device=device))
    if start is not None:
        pretrained, _ = load_tensors(start, "last.generator.")
        try:
            stack_pretrained(gan.generator, experiment.new_layers, pretrained)
        except ValueError as error:
            raise UserError(f"{start}: can't be stacked: {error}; train it anew") from None
    draws = Draws(experiment, gan.discriminator, stream_rng(seed, "draws", device=device))
    return Trainer(experiment, gan, draws)


def epoch_order(n: int, seed: int, epoch: int, device: torch.device) -> torch.Tensor:
    """Return the permutation of n images for an epoch: its own stream, so nothing to save."""
    stream = stream_rng(seed, "order", epoch, device=device)
    return torch.randperm(n, generator=stream, device=device)


@torch.no_grad()
def validate(
    gan: Gan, experiment: recipe.Experiment, images: torch.Tensor, seed: int, epoch: int
) -> dict[str, float]:
    """Measure an epoch on validation images, (m, d): the Parzen estimate and D without dropout.

    Draws from a stream of its own, so that the weights don't depend on how often it is called.
    """
    settings = experiment.parzen
    sampler = GeneratorSampler(gan.generator, experiment)
    samples = sampler.sample(settings.samples, seed, f"validation/{epoch}")
    images = images[: settings.sigma_images]  # all of them if it is None
    bandwidth = choose_bandwidth(images, samples, settings.sigmas())
    nats, error = mean_and_standard_error(bandwidth.likelihoods)
    data = gan.discriminator.logits(images)
    fake = gan.discriminator.logits(samples[: len(images)])
    return {
        "epoch": epoch,
        "valid_nats": nats,
        "valid_se": error,
        "sigma": bandwidth.sigma,
        "d_valid": float(data.sigmoid().mean()),
        "d_samples": float(fake.sigmoid().mean()),
        "value": float(objectives.value(data, fake)),
    }


@dataclass(frozen=True)
class Trained:
    """What training leaves: both players of the last epoch and of the one best on validation.

    `best` is empty where the last epoch is the one that counts.
    """

    last: dict[str, torch.Tensor]
    best: dict[str, torch.Tensor]
    progress: Progress


class Loop:
    """One run from its checkpoint, if there is one, to its last epoch.

    Parameters
    ----------
    environment : what is recorded of this machine and code.
    title : names the run on the progress bar.
    start : as in `new_trainer`.
    """

    def __init__(
        self,
        experiment: recipe.Experiment,
        dataset: Dataset,
        seed: int,
        device: torch.device,
        checkpoint: CheckpointFile,
        environment: Environment,
        title: str,
        start: Path | None = None,
    ) -> None:
        self.experiment = experiment
        self.dataset = dataset
        self.seed = seed
        self.checkpoint = checkpoint
        self.title = title
        self.images = dataset.load("train").to(device)  # (n, d)
        self.valid = dataset.load(dataset.folds[0][0]).to(device)  # the first fold's, if several
        self.save_seconds = 0.0  # what the last checkpoint took
        self.best: dict[str, torch.Tensor] = {}  # both players of the best epoch
        self.progress = Progress()
        self.per_epoch = experiment.updates_per_epoch(len(self.images))
        self.total = experiment.epochs * self.per_epoch
        self.clock = time.monotonic()
        found = checkpoint.path.exists()  # then what is drawn here is overwritten
        self.trainer = new_trainer(
            experiment, dataset.shape, self.images, seed, device, None if found else start
        )
        self._restore(device)
        if self.progress.update < self.total or self._unmeasured():
            started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self.progress.starts.append(
                {
                    "from_update": self.progress.update,
                    "started": started,
                    "seconds": 0.0,
                    **environment,
                }
            )

    def _restore(self, device: torch.device) -> None:
        saved = self.checkpoint.load(device)
        if saved is None:
            return
        tensors, draws, self.progress = saved
        self._tell_threads()
        if self.progress.update > self.total:
            raise UserError(
                f"{self.checkpoint.path}: already at epoch "
                f"{self.progress.update // self.per_epoch}, past epochs: "
                f"{self.experiment.epochs}; raise epochs in the parameters, or delete the file "
                "to train anew"
            )
        state, players = self.trainer.state(), self.trainer.gan.state()
        keep = self.experiment.selection == "best_validation" and self.progress.validation
        best = {BEST + name: tensor for name, tensor in players.items()} if keep else {}
        self.checkpoint.require_alike(tensors, state | best)
        for name, tensor in state.items():
            tensor.copy_(tensors[name])
        self.best = {name.removeprefix(BEST): tensors[name] for name in best}
        if self.progress.update < self.total:  # else nothing is drawn any more
            self.trainer.draws.rng.set_state(draws)

    def _tell_threads(self) -> None:
        """Say so if the run goes on under another number of threads: a sum's order is theirs."""
        before, now = self.progress.starts[-1]["threads"], torch.get_num_threads()
        if before != now:
            print(
                f"{self.title}: goes on with {now} thread(s) after {before}; the bytes may differ "
                "from those of a run under one number (OMP_NUM_THREADS sets it)",
                file=sys.stderr,
            )

    def _unmeasured(self) -> int | None:
        """Return the epoch that has ended but for its measurement, if there is one."""
        epoch, rest = divmod(self.progress.update, self.per_epoch)
        if rest or not epoch or epoch % self.experiment.validate_every:
            return None
        measured = self.progress.validation[-1]["epoch"] if self.progress.validation else 0
        return epoch if measured < epoch else None

    def _save(self) -> None:
        now = time.monotonic()
        start = self.progress.starts[-1]
        start["seconds"] += now - self.clock
        start["peak_memory_bytes"] = provenance.peak_memory(self.images.device)
        self.clock = now
        best = {BEST + name: tensor for name, tensor in self.best.items()}
        draws = self.trainer.draws.rng.get_state()
        self.checkpoint.save(self.trainer.state() | best, draws, self.progress)
        self.save_seconds = time.monotonic() - now

    def run(self) -> Trained:
        """Train to the last epoch.

        Raises
        ------
        Interrupted
            On SIGINT or SIGTERM, after the state was saved.
        Diverged
            If the parameters are no longer finite.
        """
        with (
            interrupt.on_signals() as stop,
            tqdm(
                total=self.total,
                initial=self.progress.update,
                desc=self.title,
                unit="update",
                mininterval=1 if sys.stderr.isatty() else 30,
            ) as bar,
        ):
            while (epoch := self._unmeasured()) or self.progress.update < self.total:
                if epoch:
                    self._measure(epoch, bar, stop)
                else:
                    self._epoch(bar, stop)
                if stop.requested or self.progress.update == self.total or self._due():
                    self._save()
                    self._leave_if(stop)
        return Trained(self.trainer.gan.state(), self.best, self.progress)

    def _epoch(self, bar: "tqdm[Any]", stop: interrupt.Stop) -> None:
        progress, settings, device = self.progress, self.experiment, self.images.device
        epoch = progress.update // self.per_epoch + 1
        size = settings.batch_size * settings.k
        order = epoch_order(len(self.images), self.seed, epoch, device)
        sums = torch.tensor(progress.sums, dtype=torch.float64, device=device)
        norm_sums = torch.tensor(progress.norm_sums, dtype=torch.float64, device=device)
        for index in range(progress.update % self.per_epoch, self.per_epoch):
            norms = (
                epoch <= settings.gradient_norms.epochs
                and index % settings.gradient_norms.every == 0
            )
            rate, momentum = sgd.schedule(settings, progress.update + 1, epoch)
            x = self.images[order[index * size : (index + 1) * size]]
            diagnostics, measured = self.trainer.update(x, rate, momentum, norms=norms)
            sums += diagnostics
            if measured is not None:
                norm_sums += measured
                progress.norm_count += 1
            progress.update += 1
            bar.update()
            if index + 1 < self.per_epoch and (stop.requested or self._due()):
                progress.sums, progress.norm_sums = sums.tolist(), norm_sums.tolist()
                self._save()
                self._leave_if(stop)
        self._close_epoch(epoch, rate, momentum, sums.tolist(), norm_sums.tolist())

    def _close_epoch(
        self, epoch: int, rate: float, momentum: float, sums: list[float], norm_sums: list[float]
    ) -> None:
        progress, count = self.progress, self.progress.norm_count
        row: dict[str, float | None] = {
            "epoch": epoch,
            "updates": progress.update,
            "learning_rate": rate,
            "momentum": momentum,
        }
        row |= {name: x / self.per_epoch for name, x in zip(DIAGNOSTICS, sums, strict=True)}
        row |= {
            name: x / count if count else None
            for name, x in zip(GRADIENT_NORMS, norm_sums, strict=True)
        }
        progress.sums, progress.norm_sums = sums, norm_sums
        self.checkpoint.require_finite(self.trainer.gan.state(), progress)
        progress.curve.append(row)
        progress.reset_sums()

    def _measure(self, epoch: int, bar: "tqdm[Any]", stop: interrupt.Stop) -> None:
        """Validate an epoch; a signal ends that at once, and the next start does it anew."""
        gan, rows = self.trainer.gan, self.progress.validation
        try:
            with stop.at_once():
                row = validate(gan, self.experiment, self.valid, self.seed, epoch)
        except interrupt.StopNow:
            return
        rows.append(row)
        keep = self.experiment.selection == "best_validation"
        if keep and self.progress.best() is row:
            self.best = {name: tensor.clone() for name, tensor in gan.state().items()}
        bar.set_postfix(epoch=epoch, valid=f"{row['valid_nats']:.1f} nats")

    def _due(self) -> bool:
        pause = max(CHECKPOINT_SECONDS, SAVING_RATIO * self.save_seconds)
        return time.monotonic() - self.clock > pause

    def _leave_if(self, stop: interrupt.Stop) -> None:
        if stop.requested and (self.progress.update < self.total or self._unmeasured()):
            raise Interrupted(
                f"{self.title}: stopped at update {self.progress.update} of {self.total}, saved "
                f"in {self.checkpoint.path}; the same command goes on from there"
            )
