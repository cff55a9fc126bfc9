import math

import pytest
import torch

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan import sgd
from paper_repro.gan.model import recipe


@pytest.fixture
def settings(params):
    return recipe.experiment(params, "mnist").sgd


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(1, 0.5), (2, 0.5 + 0.2 / 249), (125.5, 0.6), (249, 0.7 - 0.2 / 249), (250, 0.7), (999, 0.7)],
)
def test_momentum_rises_linearly_over_250_epochs(settings, epoch, expected):
    assert sgd.momentum(epoch, settings.momentum) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("update", [1, 2, 500, 75_000, 750_000])
def test_the_learning_rate_decays_once_an_update(settings, update):
    expected = 0.1 * math.exp(-(update - 1) * math.log(1.000004))
    assert sgd.learning_rate(update, settings) == pytest.approx(expected, rel=1e-9)


def test_the_learning_rate_halves_in_347_epochs_and_has_a_floor(settings):
    assert sgd.learning_rate(1 + 347 * 500, settings) == pytest.approx(0.05, rel=2e-3)
    assert sgd.learning_rate(10_000_000, settings) == 1e-6


def test_column_norms_are_bounded_as_in_pylearn2():
    weight = torch.tensor([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]])
    bias = torch.tensor([9.0, 9.0])
    sgd.bound_column_norms([weight, bias], 1.9365)
    norms = weight.norm(dim=0)
    assert norms[0].item() == pytest.approx(1.9365, rel=1e-6)
    assert norms[1].item() == pytest.approx(0.5, rel=1e-6)
    assert weight[:, 2].tolist() == [0, 0]
    assert weight[1, 0].item() / weight[0, 0].item() == pytest.approx(4 / 3)
    assert bias.tolist() == [9, 9]


def test_moving_under_a_bound_is_to_move_and_then_to_bound(monkeypatch, float64):
    monkeypatch.setattr(sgd, "BLOCK", 60)  # six rows of ten, and one of four
    draw = stream_rng(0, "bounded")
    weight = torch.randn(16, 10, generator=draw)
    weight[:, 3] = 0
    velocity = torch.randn(16, 10, generator=draw).mul_(0.1)
    velocity[:, 3] = 0
    plain, largest = weight + velocity, 3.5
    norms = plain.norm(dim=0)
    assert (norms > largest).any()
    assert (norms < largest).sum() > 1
    sgd.bound_column_norms([plain], largest)
    sgd.move(weight, velocity, largest)
    torch.testing.assert_close(weight, plain, rtol=1e-14, atol=0)


@pytest.mark.parametrize("largest", [None, 1.5])
def test_all_tensors_at_once_as_on_a_gpu_move_as_one_by_one(
    settings, float64, monkeypatch, largest
):
    draw = stream_rng(0, "at once")
    shapes = (16, 10), (10,), (4, 2, 3, 3) if largest is None else (10, 3)
    start, gradients = ([torch.randn(s, generator=draw) for s in shapes] for _ in range(2))
    bounded = settings.model_copy(update={"max_column_norm": largest})
    made = []
    for on_gpu in (False, True):
        monkeypatch.setattr(sgd.recorded, "on_gpu", lambda device, on_gpu=on_gpu: on_gpu)
        made.append(sgd.Sgd([tensor.clone() for tensor in start], bounded))
        rate = torch.tensor(0.1) if on_gpu else 0.1
        for _ in range(3):
            made[-1].step(gradients, rate, 0.5)
    for kind in ("parameters", "velocities"):
        for one, other in zip(*(getattr(optimizer, kind) for optimizer in made), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    assert not torch.equal(made[0].parameters[0], start[0])


def test_momentum_is_classical_and_not_nesterov(settings):
    parameter = torch.tensor([1.0])
    optimizer = sgd.Sgd([parameter], settings)
    optimizer.velocities[0].fill_(0.5)
    optimizer.step([torch.tensor([2.0])], rate=0.1, momentum=0.5)
    assert optimizer.velocities[0].item() == pytest.approx(0.5 * 0.5 - 0.1 * 2)
    assert parameter.item() == pytest.approx(1 + 0.05)
