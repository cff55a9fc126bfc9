"""The training of a generator and a discriminator: epochs, schedules and what is logged."""

from pathlib import Path

import torch

from paper_repro.core.errors import UserError
from paper_repro.core.random_streams import stream_rng
from paper_repro.core.tensor_file import load_tensors
from paper_repro.gan import objectives, sgd
from paper_repro.gan.model import networks
from paper_repro.gan.model.layer import Shape
from paper_repro.gan.model.networks import Gan, build_gan, initialise, stack_pretrained
from paper_repro.gan.model.recipe import Experiment
from paper_repro.gan.model.sampler import GeneratorSampler
from paper_repro.gan.noise_and_masks import Draws
from paper_repro.gan.update import DIAGNOSTICS, GRADIENT_NORMS, Trainer
from paper_repro.parzen.bandwidth import choose_bandwidth
from paper_repro.parzen.likelihood import mean_and_standard_error
from paper_repro.training.film import FRAME

CURVE = (*("epoch", "updates", "learning_rate", "momentum"), *DIAGNOSTICS, *GRADIENT_NORMS)
VALIDATION = ("epoch", "valid_nats", "valid_se", "sigma", "d_valid", "d_samples", "value")


def new_trainer(
    experiment: Experiment,
    shape: Shape,
    train: torch.Tensor,
    seed: int,
    device: torch.device,
    start: Path | None = None,
) -> Trainer:
    """Return both players initialised from the seed, before the first update.

    They are drawn on the CPU, so that a seed begins with the same weights on every device: a GPU's
    draws depend on how many multiprocessors it has. Noise and masks may differ by device.

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
    gan = build_gan(experiment, shape, "cpu")
    marginals = train.cpu().mean(0, dtype=torch.float64).float()
    initialise(gan, marginals, stream_rng(seed, "init"))
    if start is not None:
        pretrained, _ = load_tensors(start, "last.generator.")
        try:
            stack_pretrained(gan.generator, experiment.new_layers, pretrained)
        except ValueError as error:
            raise UserError(f"{start}: can't be stacked: {error}; train it anew") from None
    for _, network in gan.named_networks():
        network.to(device)
    draws = Draws(experiment, gan.discriminator, stream_rng(seed, "draws", device=device))
    return Trainer(experiment, gan, draws)


def epoch_order(n: int, seed: int, epoch: int, device: torch.device) -> torch.Tensor:
    """Return the permutation of n images for an epoch: its own stream, so nothing to save."""
    stream = stream_rng(seed, "order", epoch, device=device)
    return torch.randperm(n, generator=stream, device=device)


@torch.no_grad()
def validate(
    gan: Gan, experiment: Experiment, images: torch.Tensor, seed: int, epoch: int
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


class GanTraining:
    """Both players, their images, and the sums of an epoch."""

    def __init__(
        self,
        trainer: Trainer,
        images: torch.Tensor,
        valid: torch.Tensor,
        seed: int,
    ) -> None:
        self.trainer, self.images, self.valid, self.seed = trainer, images, valid, seed
        self.experiment = trainer.experiment
        self.rng = trainer.draws.rng
        self.per_epoch = self.experiment.updates_per_epoch(len(images))
        self.rate = self.momentum = 0.0
        self.order: torch.Tensor

    def state(self) -> dict[str, torch.Tensor]:
        """Return parameters and optimizers' tensors."""
        return self.trainer.state()

    def model(self) -> dict[str, torch.Tensor]:
        """Return both players' parameters."""
        return self.trainer.gan.state()

    def begin(self, epoch: int, sums: list[float]) -> None:
        """Begin an epoch with its own order of the images."""
        device = self.images.device
        self.order = epoch_order(len(self.images), self.seed, epoch, device)
        # Of the diagnostics, of the gradients' norms, and how many of these there are. On the
        # device, so that nothing waits for it.
        length = len(DIAGNOSTICS) + len(GRADIENT_NORMS) + 1
        self._sums = torch.tensor(sums or [0.0] * length, dtype=torch.float64, device=device)

    def update(self, epoch: int, index: int) -> None:
        """Update both players by the schedules of rate and momentum."""
        experiment = self.experiment
        size = experiment.batch_size * experiment.k
        norms = (
            epoch <= experiment.gradient_norms.epochs
            and index % experiment.gradient_norms.every == 0
        )
        self.rate, self.momentum = sgd.schedule(
            experiment, (epoch - 1) * self.per_epoch + index + 1, epoch
        )
        x = self.images[self.order[index * size : (index + 1) * size]]
        diagnostics, measured = self.trainer.update(x, self.rate, self.momentum, norms=norms)
        count = len(DIAGNOSTICS)
        self._sums[:count] += diagnostics
        if measured is not None:
            self._sums[count:-1] += measured
            self._sums[-1] += 1

    def sums(self) -> list[float]:
        """Return the sums."""
        return self._sums.tolist()

    def row(self, epoch: int, updates: int) -> dict[str, int | float | None]:
        """Return the epoch's means of the diagnostics, and of the norms where there are any."""
        *sums, count = self.sums()
        first, norms = sums[: len(DIAGNOSTICS)], sums[len(DIAGNOSTICS) :]
        return {
            "epoch": epoch,
            "updates": updates,
            "learning_rate": self.rate,
            "momentum": self.momentum,
            **{name: x / self.per_epoch for name, x in zip(DIAGNOSTICS, first, strict=True)},
            **{
                name: x / count if count else None
                for name, x in zip(GRADIENT_NORMS, norms, strict=True)
            },
        }

    def validate(self, epoch: int) -> dict[str, int | float]:
        """Return the Parzen estimate, and D without dropout."""
        return validate(self.trainer.gan, self.experiment, self.valid, self.seed, epoch)

    def film(self) -> torch.Tensor:
        """Return samples, (40, d), of the film's own noise."""
        sampler = GeneratorSampler(self.trainer.gan.generator, self.experiment)
        return sampler.sample(FRAME, self.seed, "film").cpu()

    def parameters(self) -> dict[str, int]:
        """Return how many parameters each player has."""
        return {
            player: sum(parameter.numel() for parameter in network.parameters())
            for player, network in self.trainer.gan.named_networks()
        }


def check(recipe: Experiment, shape: Shape) -> None:
    """Raise a `ValueError` unless the networks suit the images."""
    networks.check_shapes(recipe, shape)


def training(
    recipe: Experiment,
    shape: Shape,
    images: torch.Tensor,
    valid: torch.Tensor,
    seed: int,
    start: Path | None = None,
) -> GanTraining:
    """Return both players before their first update (arguments and errors of `new_trainer`)."""
    trainer = new_trainer(recipe, shape, images, seed, images.device, start)
    return GanTraining(trainer, images, valid, seed)
