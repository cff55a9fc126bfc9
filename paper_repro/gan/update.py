"""One update of both players: the released code's joint one, and Algorithm 1 of the paper.

Both are autograd here. Where `joint_update.serves` an experiment, the joint one is made by
`joint_update`, without repeated work; tests hold it against this reference. On a GPU
`paper_repro.training.recorded` launches all kernels of an update at once, but for Adam's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn.functional import softplus

from paper_repro.gan import objectives
from paper_repro.gan.adam import Adam
from paper_repro.gan.joint_update import JointStep, serves
from paper_repro.gan.model import recipe
from paper_repro.gan.model.networks import Gan, Network
from paper_repro.gan.noise_and_masks import Draws
from paper_repro.gan.sgd import Sgd
from paper_repro.training import recorded

# What an update reports, as means over its examples, dropout on as trained; nats but for the
# first two, which are probabilities.
DIAGNOSTICS = ("d_data", "d_samples", "d_loss", "g_loss", "value")
GENERATOR_LOSSES = ("non_saturating", "minimax")
GRADIENT_NORMS = tuple(f"g_grad_norm_{kind}" for kind in GENERATOR_LOSSES)


def _optimizer(network: Network, experiment: recipe.Experiment) -> Sgd | Adam:
    parameters = list(network.parameters())
    if experiment.sgd is not None:
        return Sgd(parameters, experiment.sgd)
    if experiment.adam is not None:
        return Adam(parameters, experiment.adam)
    raise ValueError("an experiment has one of sgd and adam")


@dataclass
class Trainer:
    """The state that an update changes, in place: both players' parameters and optimizers.

    Parameters
    ----------
    plain : make every update by autograd, and launch it kernel by kernel: the reference.
    """

    experiment: recipe.Experiment
    gan: Gan
    draws: Draws
    plain: bool = False
    generator: Sgd | Adam = field(init=False)
    discriminator: Sgd | Adam = field(init=False)

    def __post_init__(self) -> None:
        self.generator = _optimizer(self.gan.generator, self.experiment)
        self.discriminator = _optimizer(self.gan.discriminator, self.experiment)
        self._joint = None
        if (
            not self.plain
            and serves(self.experiment)
            and isinstance(self.generator, Sgd)
            and isinstance(self.discriminator, Sgd)
        ):
            self._joint = JointStep(self.experiment, self.gan, self.generator, self.discriminator)
        size = self.experiment.batch_size * self.experiment.k
        self.recorded = recorded.Recorded(self._unmeasured, size, self.draws.rng)

    def state(self) -> dict[str, torch.Tensor]:
        """Return parameters and the optimizers' tensors by name, not copied."""
        state = self.gan.state()
        players = zip(self.gan.named_networks(), (self.generator, self.discriminator), strict=True)
        for (player, network), optimizer in players:
            names = [name for name, _ in network.named_parameters()]
            for kind, tensors in optimizer.state().items():
                for name, tensor in zip(names, tensors, strict=True):
                    state[f"{kind}.{player}.{name}"] = tensor
        return state

    def update(
        self, x: torch.Tensor, rate: float, momentum: float, *, norms: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Update both players once.

        Parameters
        ----------
        x : (n, d) training images: one batch, or up to k batches if alternating.
        rate, momentum : of this update; for Adam, momentum is beta1.
        norms : whether to measure the generator's gradient under both losses.

        Returns
        -------
        The `DIAGNOSTICS` as one tensor and, if asked for, the `GRADIENT_NORMS`; both on the
        device, so that nothing waits for it.
        """
        # Adam counts its steps on the CPU, where no recording does.
        if norms or self.plain or self.experiment.adam is not None:
            return self._made(x, rate, momentum, norms)
        return self.recorded(x, rate, momentum), None

    def _unmeasured(
        self, x: torch.Tensor, rate: float | torch.Tensor, momentum: float
    ) -> torch.Tensor:
        return self._made(x, rate, momentum, norms=False)[0]

    def _made(
        self, x: torch.Tensor, rate: float | torch.Tensor, momentum: float, norms: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self.experiment.update == "simultaneous":
            return self._simultaneous(x, rate, momentum, norms)
        return self._alternating(x, rate, momentum, norms)

    def _simultaneous(
        self, x: torch.Tensor, rate: float | torch.Tensor, momentum: float, norms: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        # Both gradients at the same, old parameters, on the same z and the same masks of the
        # samples. The masks' first n rows are the data's.
        if self._joint is not None:
            return self._jointly(x, rate, momentum, GENERATOR_LOSSES if norms else ())
        n = len(x)
        z = self.draws.noise(n)
        masks = self.draws.masks(2 * n)
        of_data, of_samples = (
            [None if mask is None else mask[half] for mask in masks]
            for half in (slice(n), slice(n, None))
        )
        # Apart, so that G's gradient does not go back through the data's half, where it is 0.
        data = self.gan.discriminator.logits(x, of_data)  # (n, 1)
        fake = self.gan.discriminator.logits(self.gan.generator(z), of_samples)
        d_loss = objectives.discriminator_loss(data, fake, self.experiment.discriminator_loss)
        g_loss = objectives.generator_loss(fake, self.experiment.generator_loss)
        measured = self._norms(fake) if norms else None
        d_gradients = torch.autograd.grad(d_loss, self.discriminator.parameters, retain_graph=True)
        g_gradients = torch.autograd.grad(g_loss, self.generator.parameters)
        self.discriminator.step(d_gradients, rate, momentum)
        self.generator.step(g_gradients, rate, momentum)
        return self._diagnostics(data, fake), measured

    def _jointly(
        self, x: torch.Tensor, rate: float | torch.Tensor, momentum: float, kinds: Sequence[str]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        assert self._joint is not None
        z, masks = self.draws.noise(len(x)), self.draws.masks(2 * len(x))
        data, fake, measured = self._joint.update(x, z, masks, rate, momentum, kinds)
        return self._diagnostics(data, fake), measured

    def _alternating(
        self, x: torch.Tensor, rate: float | torch.Tensor, momentum: float, norms: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        # Algorithm 1: k steps of D, each with fresh data and z, then one of G with fresh z
        # against the new D. All diagnostics are of the last of D's steps, before it; g_loss too.
        settings, discriminator = self.experiment, self.gan.discriminator
        for batch in x.split(settings.batch_size):
            n = len(batch)
            with torch.no_grad():
                samples = self.gan.generator(self.draws.noise(n))
            logits = discriminator.logits(torch.cat([batch, samples]), self.draws.masks(2 * n))
            data, fake = logits[:n], logits[n:]
            d_loss = objectives.discriminator_loss(data, fake, settings.discriminator_loss)
            d_gradients = torch.autograd.grad(d_loss, self.discriminator.parameters)
            self.discriminator.step(d_gradients, rate, momentum)
        samples = self.gan.generator(self.draws.noise(settings.batch_size))
        logits = discriminator.logits(samples, self.draws.masks(settings.batch_size))
        g_loss = objectives.generator_loss(logits, settings.generator_loss)
        measured = self._norms(logits) if norms else None
        g_gradients = torch.autograd.grad(g_loss, self.generator.parameters)
        self.generator.step(g_gradients, rate, momentum)
        return self._diagnostics(data, fake), measured

    def _norms(self, logits: torch.Tensor) -> torch.Tensor:
        measured = []
        for kind in GENERATOR_LOSSES:
            loss = objectives.generator_loss(logits, kind)
            gradients = torch.autograd.grad(loss, self.generator.parameters, retain_graph=True)
            norms = torch.stack([torch.linalg.vector_norm(g) for g in gradients])
            measured.append(torch.linalg.vector_norm(norms))
        return torch.stack(measured)

    @torch.no_grad()
    def _diagnostics(self, data: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        settings = self.experiment
        if recorded.on_gpu(data.device):
            return diagnostics_at_once(data, fake, settings)
        return torch.stack(
            [
                data.sigmoid().mean(),
                fake.sigmoid().mean(),
                objectives.discriminator_loss(data, fake, settings.discriminator_loss),
                objectives.generator_loss(fake, settings.generator_loss),
                objectives.value(data, fake),
            ]
        )


def diagnostics_at_once(
    data: torch.Tensor, fake: torch.Tensor, settings: recipe.Experiment
) -> torch.Tensor:
    """Return the `DIAGNOSTICS` of D's logits, (n, 1) each, by half as many kernels: for a GPU."""
    logits = torch.cat([data, fake], 1)
    signed = torch.cat([logits, -data, -fake], 1)
    means = torch.cat([logits.sigmoid(), softplus(signed)], 1).mean(0)
    d_data, d_samples, _, accepted, doubted, rejected = means.unbind()
    total = doubted + accepted  # −log D of data, −log(1 − D) of samples
    d_loss = 0.5 * total if settings.discriminator_loss == "half_sum" else total
    g_loss = rejected if settings.generator_loss == "non_saturating" else -accepted
    return torch.stack([d_data, d_samples, d_loss, g_loss, -total])
