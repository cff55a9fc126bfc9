import pytest
import torch

from paper_repro.gan import objectives


@pytest.fixture
def logits(float64):
    return torch.tensor([[-2.0], [0.5], [3.0]]), torch.tensor([[1.0], [-1.5], [0.0]])


def test_objectives_are_the_logarithms_of_the_paper(logits):
    data, samples = logits
    on_data, on_samples = torch.sigmoid(data), torch.sigmoid(samples)
    value = torch.log(on_data).mean() + torch.log(1 - on_samples).mean()
    assert objectives.value(data, samples).item() == pytest.approx(value.item())
    full = objectives.discriminator_loss(data, samples, "sum").item()
    assert full == pytest.approx(-value.item())
    assert objectives.discriminator_loss(data, samples, "half_sum").item() == full / 2
    assert objectives.generator_loss(samples, "non_saturating").item() == pytest.approx(
        -torch.log(on_samples).mean().item()
    )
    assert objectives.generator_loss(samples, "minimax").item() == pytest.approx(
        torch.log(1 - on_samples).mean().item()
    )


def test_certain_discriminators_give_finite_losses():
    sure = torch.full((2, 1), 200.0)
    assert objectives.value(-sure, sure).item() == pytest.approx(-400)
    assert objectives.generator_loss(-sure, "non_saturating").item() == pytest.approx(200)
    assert objectives.generator_loss(sure, "minimax").item() == pytest.approx(-200)


def test_the_non_saturating_loss_has_gradient_where_the_other_has_none():
    # Section 3: early on D rejects samples, and log(1 - D(G(z))) saturates.
    logits = torch.full((1, 1), -10.0, requires_grad=True)
    gradients = {
        kind: torch.autograd.grad(objectives.generator_loss(logits, kind), logits)[0].item()
        for kind in ("non_saturating", "minimax")
    }
    assert gradients["non_saturating"] == pytest.approx(-1, abs=1e-4)
    assert -1e-4 < gradients["minimax"] < 0


def test_signals_of_sure_discriminators_keep_their_digits():
    # In float32 1 - sigmoid(20) is 0; the derivative is not.
    signal = objectives.discriminator_signal(torch.tensor([20.0, -20.0]), "sum")
    assert signal.tolist() == pytest.approx([-2.0611536e-09, 2.0611536e-09], rel=1e-5)
