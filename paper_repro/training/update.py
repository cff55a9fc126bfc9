"""One update of both players: the released code's joint one, and Algorithm 1 of the paper.

Both are plain autograd and serve as the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from paper_repro import config
from paper_repro.models.networks import Gan
from paper_repro.training import objectives, sgd
from paper_repro.training.draws import Draws

# What an update reports, as means over its examples, dropout on as trained; nats but for the
# first two, which are probabilities.
DIAGNOSTICS = ("d_data", "d_samples", "d_loss", "g_loss", "value")
GRADIENT_NORMS = ("g_grad_norm_non_saturating", "g_grad_norm_minimax")


def zero_velocities(parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the velocities before the first update."""
    return [torch.zeros_like(parameter) for parameter in parameters]


@dataclass
class Trainer:
    """The state that an update changes: both players' parameters and velocities, in place."""

    experiment: config.Experiment
    gan: Gan
    draws: Draws
    g_velocities: list[torch.Tensor] = field(init=False)
    d_velocities: list[torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.g_parameters = list(self.gan.generator.parameters())
        self.d_parameters = list(self.gan.discriminator.parameters())
        self.g_velocities = zero_velocities(self.g_parameters)
        self.d_velocities = zero_velocities(self.d_parameters)
        for parameters in (self.g_parameters, self.d_parameters):
            self._bound_norms(parameters)

    def state(self) -> dict[str, torch.Tensor]:
        """Return parameters and velocities by name, not copied."""
        state = self.gan.state()
        velocities = (*self.g_velocities, *self.d_velocities)
        named = zip(list(state), velocities, strict=True)
        return {**state, **{f"velocity.{name}": velocity for name, velocity in named}}

    def update(
        self, x: torch.Tensor, rate: float, momentum: float, *, norms: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Update both players once.

        Parameters
        ----------
        x : (n, d) training images: one batch, or up to k batches if alternating.
        rate, momentum : of this update.
        norms : whether to measure the generator's gradient under both losses.

        Returns
        -------
        The `DIAGNOSTICS` as one tensor and, if asked for, the `GRADIENT_NORMS`; both on the
        device, so that nothing waits for it.
        """
        if self.experiment.update == "simultaneous":
            return self._simultaneous(x, rate, momentum, norms)
        return self._alternating(x, rate, momentum, norms)

    def _simultaneous(
        self, x: torch.Tensor, rate: float, momentum: float, norms: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        # Both gradients at the same, old parameters, on the same z and the same masks of the
        # samples. One pass of D over data and samples together: the first n rows are data.
        n = len(x)
        z = self.draws.noise(n)
        masks = self.draws.masks(2 * n)
        samples = self.gan.generator(z)  # (n, d)
        logits = self.gan.discriminator.logits(torch.cat([x, samples]), masks)  # (2n, 1)
        data, fake = logits[:n], logits[n:]
        d_loss = objectives.discriminator_loss(data, fake, self.experiment.discriminator_loss)
        g_loss = objectives.generator_loss(fake, self.experiment.generator_loss)
        measured = self._norms(fake) if norms else None
        d_gradients = torch.autograd.grad(d_loss, self.d_parameters, retain_graph=True)
        g_gradients = torch.autograd.grad(g_loss, self.g_parameters)
        self._step_discriminator(d_gradients, rate, momentum)
        self._step_generator(g_gradients, rate, momentum)
        return _diagnostics(data, fake, d_loss, g_loss), measured

    def _alternating(
        self, x: torch.Tensor, rate: float, momentum: float, norms: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        # Algorithm 1: k steps of D, each with fresh data and z, then one of G with fresh z
        # against the new D. The diagnostics are of the last of D's steps and of G's.
        settings, discriminator = self.experiment, self.gan.discriminator
        for batch in x.split(settings.batch_size):
            n = len(batch)
            with torch.no_grad():
                samples = self.gan.generator(self.draws.noise(n))
            logits = discriminator.logits(torch.cat([batch, samples]), self.draws.masks(2 * n))
            data, fake = logits[:n], logits[n:]
            d_loss = objectives.discriminator_loss(data, fake, settings.discriminator_loss)
            d_gradients = torch.autograd.grad(d_loss, self.d_parameters)
            self._step_discriminator(d_gradients, rate, momentum)
        samples = self.gan.generator(self.draws.noise(settings.batch_size))
        logits = discriminator.logits(samples, self.draws.masks(settings.batch_size))
        g_loss = objectives.generator_loss(logits, settings.generator_loss)
        measured = self._norms(logits) if norms else None
        g_gradients = torch.autograd.grad(g_loss, self.g_parameters)
        self._step_generator(g_gradients, rate, momentum)
        return _diagnostics(data, fake, d_loss, g_loss), measured

    def _step_discriminator(
        self, gradients: Sequence[torch.Tensor], rate: float, momentum: float
    ) -> None:
        sgd.step(self.d_parameters, self.d_velocities, gradients, rate, momentum)
        self._bound_norms(self.d_parameters)

    def _step_generator(
        self, gradients: Sequence[torch.Tensor], rate: float, momentum: float
    ) -> None:
        sgd.step(self.g_parameters, self.g_velocities, gradients, rate, momentum)
        self._bound_norms(self.g_parameters)

    def _bound_norms(self, parameters: Sequence[torch.Tensor]) -> None:
        if self.experiment.sgd.max_column_norm is not None:
            sgd.bound_column_norms(parameters, self.experiment.sgd.max_column_norm)

    def _norms(self, logits: torch.Tensor) -> torch.Tensor:
        measured = []
        for kind in ("non_saturating", "minimax"):
            loss = objectives.generator_loss(logits, kind)
            gradients = torch.autograd.grad(loss, self.g_parameters, retain_graph=True)
            measured.append(torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients])))
        return torch.stack(measured)


@torch.no_grad()
def _diagnostics(
    data: torch.Tensor, fake: torch.Tensor, d_loss: torch.Tensor, g_loss: torch.Tensor
) -> torch.Tensor:
    return torch.stack(
        [
            data.sigmoid().mean(),
            fake.sigmoid().mean(),
            d_loss,
            g_loss,
            objectives.value(data, fake),
        ]
    )
