"""The joint update of fully connected networks without repeated work; `update` has its plain twin.

Per example, D's output is one number: the backward signal of *any* objective is that example's
scalar times ∂D/∂(layer). So one pass of G, one of D over data and samples together and one backward
pass through D with unit signals serve both objectives: scaled per example, the pass gives D's
gradient and the samples' gradient.

Everything has the form (units, examples): a maxout unit's pieces are then neighbouring rows in the
order of the specification, and its maximum is element-wise over contiguous memory. No gradient of a
weight matrix is ever stored: its product is added to the velocity.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from paper_repro.gan import objectives
from paper_repro.gan.model import recipe
from paper_repro.gan.model.networks import Dense, Gan, Masks, Network
from paper_repro.gan.sgd import Sgd, accelerate, move, move_all
from paper_repro.training import recorded


def serves(experiment: recipe.Experiment) -> bool:
    """Return whether this step can make an experiment's updates."""
    layers = (*experiment.generator, *experiment.discriminator)
    return (
        experiment.update == "simultaneous"
        and experiment.sgd is not None
        and all(isinstance(layer, recipe.FullyConnected) for layer in layers)
    )


class _Affine:
    """One layer's three matrix products, in float32 (or float64); h: (inputs, n), a: (units, n)."""

    def __init__(self, layer: Dense, optimizer: Sgd) -> None:
        self.settings = layer.settings
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()  # the same memory
        self.largest = optimizer.largest
        self.together = recorded.on_gpu(self.weight.device)
        places = [id(parameter) for parameter in optimizer.parameters]
        self.weight_velocity = optimizer.velocities[places.index(id(layer.weight))]
        self.bias_velocity = optimizer.velocities[places.index(id(layer.bias))]

    def forward(self, h: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Return Wᵀ h + b in `out`."""
        return torch.addmm(self.bias[:, None], self.weight.T, h, out=out)

    def backward(self, a: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Return W a in `out`: the gradient of h, given that of the outputs."""
        return torch.mm(self.weight, a, out=out)

    def update(
        self, h: torch.Tensor, a: torch.Tensor, summed: torch.Tensor, rate: float, momentum: float
    ) -> None:
        """Update the parameters by the weights' gradient h aᵀ and the biases', `summed`.

        On a GPU only the weights' velocity: `_move_together` does the rest.
        """
        self.weight_velocity.addmm_(h, a.T, beta=momentum, alpha=-rate)
        self.summed = summed
        if self.together:
            return
        self.bias_velocity.mul_(momentum).add_(summed, alpha=-rate)
        # Now, while the processor's cache holds the velocity.
        move(self.weight, self.weight_velocity, self.largest)
        move(self.bias, self.bias_velocity, self.largest)


@dataclass(frozen=True)
class _Buffers:
    """What the two passes of one layer over n examples write to."""

    inputs: torch.Tensor  # (inputs, n), after dropout; without it what the layer below wrote
    values: torch.Tensor  # (columns, n), before the activation
    activations: torch.Tensor  # (units, n); the memory of the values but for maxout
    value_gradients: torch.Tensor  # (columns, n)
    input_gradients: torch.Tensor  # (inputs, n)
    order: torch.Tensor  # (pieces, 1) of a maxout unit, the first one's the largest
    winners: torch.Tensor | None  # (units, 1, n) pieces, for a maxout layer on a GPU

    @classmethod
    def of(cls, layer: Dense, n: int, inputs: torch.Tensor | None, *, by_unit: bool) -> "_Buffers":
        """Return new ones.

        Parameters
        ----------
        inputs : if the layer reads, without dropout, what another wrote.
        by_unit : whether a unit's examples lie side by side in memory, else an example's units.
        """

        def new(rows: int) -> torch.Tensor:
            like = layer.weight
            return like.new_empty(rows, n) if by_unit else like.new_empty(n, rows).T

        rows, columns = layer.weight.shape
        values = new(columns)
        activations, pieces, winners = values, 1, None
        if isinstance(layer.settings, recipe.Maxout):
            activations, pieces = new(layer.settings.units), layer.settings.pieces
            if recorded.on_gpu(values.device):
                winners = torch.empty_like(activations, dtype=torch.int64)[:, None]
        order = torch.arange(pieces, 0, -1, device=values.device, dtype=values.dtype)[:, None]
        inputs = new(rows) if inputs is None else inputs
        # Of D's last layer the values' gradients are the unit signals, and stay so.
        gradients = new(columns).fill_(1)
        return cls(inputs, values, activations, gradients, new(rows), order, winners)


class _Player:
    """One network's layers, with their velocities and buffers."""

    def __init__(self, network: Network, optimizer: Sgd) -> None:
        self.layers = [layer for layer in network.stack if isinstance(layer, Dense)]
        self.affines = [_Affine(layer, optimizer) for layer in self.layers]
        self._buffers: dict[int, list[_Buffers]] = {}

    def passes(self, n: int) -> list[tuple[_Affine, _Buffers]]:
        """Return the layers with their buffers for n examples."""
        if n not in self._buffers:  # an epoch's batches have two sizes at most
            made: list[_Buffers] = []
            # The products are a little faster example by example; maxout wants it unit by unit.
            by_unit = any(isinstance(layer.settings, recipe.Maxout) for layer in self.layers)
            for layer in self.layers:
                shared = bool(made) and not layer.has_dropout
                inputs = made[-1].activations if shared else None
                made.append(_Buffers.of(layer, n, inputs, by_unit=by_unit))
            self._buffers[n] = made
        return list(zip(self.affines, self._buffers[n], strict=True))


def _move_together(affines: Sequence[_Affine], rate: float, momentum: float) -> None:
    """Move all parameters of a player at once, and update the biases' velocities before."""
    biases = [affine.bias_velocity for affine in affines]
    accelerate(biases, [affine.summed for affine in affines], rate, momentum)
    parameters = [affine.weight for affine in affines] + [affine.bias for affine in affines]
    velocities = [affine.weight_velocity for affine in affines] + biases
    move_all(parameters, velocities, affines[0].largest)


_Passes = Sequence[tuple[_Affine, _Buffers]]


class JointStep:
    """The joint update of two networks, which their optimizers, given here, own."""

    def __init__(
        self, experiment: recipe.Experiment, gan: Gan, generator: Sgd, discriminator: Sgd
    ) -> None:
        self.experiment = experiment
        self.generator = _Player(gan.generator, generator)
        self.discriminator = _Player(gan.discriminator, discriminator)

    @torch.no_grad()
    def update(
        self,
        x: torch.Tensor,
        z: torch.Tensor,
        masks: Masks,
        rate: float | torch.Tensor,
        momentum: float,
        measured: Sequence[str] = (),
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Update both players once, with their gradients at the same, old parameters.

        Parameters
        ----------
        x : (n, d) training images.
        z : (n, noise_dimension)
        masks : of D's layers, (2n, inputs) or None; the first n rows are the data's.
        rate : the learning rate, or a tensor, (), that holds it: a recorded update reads it there.
        measured : kinds of `objectives.generator_loss` under which to measure G's gradient.

        Returns
        -------
        D's logits on data and on samples, (n, 1) each, and the norms asked for.
        """
        n = len(x)
        g, d = self.generator.passes(n), self.discriminator.passes(2 * n)
        samples = _generate(g, z.T)
        logits = _discriminate(d, x.T, samples, masks)[0]  # (2n,)
        settings = self.experiment
        signal = objectives.discriminator_signal(logits, settings.discriminator_loss)
        # Every gradient is proportional to its signal, so that a rate in memory scales this one.
        scale, rate = (rate, 1.0) if isinstance(rate, torch.Tensor) else (None, rate)
        if scale is not None:
            signal.mul_(scale)
        unit = _discriminate_backward(d, masks, n, signal, rate, momentum)

        def of_samples(kind: str) -> torch.Tensor:
            return unit * objectives.generator_signal(logits[n:], kind)

        norms = []
        for kind in measured:
            squares = [_squared_norm(h, a) for _, h, a in _generate_backward(g, of_samples(kind))]
            norms.append(torch.stack(squares).sum().sqrt())
        gradient = of_samples(settings.generator_loss)
        if scale is not None:
            gradient.mul_(scale)
        for affine, h, a in _generate_backward(g, gradient):
            affine.update(h, a, a.sum(1), rate, momentum)
        for player in (self.generator, self.discriminator):
            if player.affines[0].together:
                _move_together(player.affines, rate, momentum)
        return logits[:n, None], logits[n:, None], torch.stack(norms) if norms else None


def _generate(layers: _Passes, z: torch.Tensor) -> torch.Tensor:
    layers[0][1].inputs.copy_(z)
    for affine, buffers in layers:  # each reads what the one before wrote
        affine.forward(buffers.inputs, buffers.values)
        _activate(affine.settings, buffers)
    return layers[-1][1].activations


def _discriminate(
    layers: _Passes, x: torch.Tensor, samples: torch.Tensor, masks: Masks
) -> torch.Tensor:
    """Return the logits, (1, 2n), of data and samples, both (d, n)."""
    n = x.shape[1]
    first = layers[0][1].inputs
    for part, columns in ((x, slice(n)), (samples, slice(n, None))):
        if masks[0] is None:
            first[:, columns] = part
        else:
            torch.mul(part, masks[0].T[:, columns], out=first[:, columns])
    affine, buffers = layers[0]
    affine.forward(buffers.inputs, buffers.values)
    for (affine, buffers), mask, below in zip(layers[1:], masks[1:], layers, strict=False):
        _activate(below[0].settings, below[1])  # the last layer's sigmoid is in the objectives
        if mask is not None:
            torch.mul(below[1].activations, mask.T, out=buffers.inputs)
        affine.forward(buffers.inputs, buffers.values)
    return buffers.values


def _discriminate_backward(
    layers: _Passes, masks: Masks, n: int, signal: torch.Tensor, rate: float, momentum: float
) -> torch.Tensor:
    """Update D; return ∂ logit / ∂ sample of each sample, (d, n).

    Parameters
    ----------
    signal : (2n,) the derivative of D's objective by each logit.
    """
    a = layers[-1][1].value_gradients  # of ones
    for index, (affine, buffers) in reversed(list(enumerate(layers))):
        sent, mask, gradient = a, masks[index], buffers.input_gradients
        if index == 0:  # of the samples alone
            sent, mask = a[:, n:], None if mask is None else mask[n:]
            gradient = gradient[:, n:]
        affine.backward(sent, gradient)
        if mask is not None:
            gradient.mul_(mask.T)
        below = None
        if index:
            below = _activation_backward(
                layers[index - 1][0].settings, layers[index - 1][1], gradient
            )
        # The scalar of each example meets the gradient here: h diag(s) aᵀ, and a s for the biases.
        affine.update(buffers.inputs.mul_(signal), a, a @ signal, rate, momentum)
        if below is not None:
            a = below
    return gradient


def _generate_backward(
    layers: _Passes, gradient: torch.Tensor
) -> Iterator[tuple[_Affine, torch.Tensor, torch.Tensor]]:
    """Yield each layer, the last first, with its inputs h and the gradient a of its values.

    Parameters
    ----------
    gradient : (d, n) of the samples.
    """
    for index, (affine, buffers) in reversed(list(enumerate(layers))):
        a = _activation_backward(affine.settings, buffers, gradient)
        if index:  # before the layer may be updated
            gradient = affine.backward(a, buffers.input_gradients)
        yield affine, buffers.inputs, a


def _squared_norm(h: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """Return ‖h aᵀ‖² + ‖a 1‖², the squared norm of a layer's gradient, from n × n products."""
    return ((h.T @ h) * (a.T @ a)).sum() + a.sum(1).square().sum()


def _activate(layer: recipe.FullyConnected, buffers: _Buffers) -> None:
    values = buffers.values
    match layer:
        case recipe.Maxout() if buffers.winners is not None:
            pieces, out = values.view(layer.units, layer.pieces, -1), buffers.activations[:, None]
            torch.max(pieces, 1, keepdim=True, out=(out, buffers.winners))
        case recipe.Maxout():
            torch.amax(values.view(layer.units, layer.pieces, -1), 1, out=buffers.activations)
        case recipe.Relu():
            values.relu_()
        case recipe.Sigmoid():
            values.sigmoid_()


def _activation_backward(
    layer: recipe.FullyConnected, buffers: _Buffers, gradient: torch.Tensor
) -> torch.Tensor:
    """Return the gradient of a layer's values, given that of its activations."""
    result, activations = buffers.value_gradients, buffers.activations
    fused = recorded.on_gpu(result.device)  # the same by a third of the kernels
    match layer:
        case recipe.Maxout() if buffers.winners is not None:
            pieces = result.view(layer.units, layer.pieces, -1)
            pieces.zero_().scatter_(1, buffers.winners, gradient[:, None])
        case recipe.Relu() if fused:
            torch.ops.aten.threshold_backward(gradient, activations, 0, grad_input=result)
        case recipe.Sigmoid() if fused:
            torch.ops.aten.sigmoid_backward(gradient, activations, grad_input=result)
        case recipe.Maxout():
            pieces = result.view(layer.units, layer.pieces, -1)
            torch.eq(buffers.values.view_as(pieces), activations[:, None], out=pieces)
            # At a tie the first piece wins.
            pieces.mul_(buffers.order)
            torch.eq(pieces, pieces.amax(1, keepdim=True), out=pieces).mul_(gradient[:, None])
        case recipe.Relu():
            torch.sign(activations, out=result).mul_(gradient)
        case recipe.Sigmoid():
            torch.sub(1, activations, out=result).mul_(activations).mul_(gradient)
        case _:
            result.copy_(gradient)
    return result
