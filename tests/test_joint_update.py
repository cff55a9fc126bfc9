import pytest
import torch

from paper_repro.core.random_streams import stream_rng
from paper_repro.gan import joint_update as joint
from paper_repro.gan.family import new_trainer
from paper_repro.gan.model import recipe
from paper_repro.gan.update import Trainer
from tests.small import small_experiment, small_values

STEPS = 100
# The largest relative difference of a tensor after 100 float32 steps: 7.9e-6 was measured, over
# twenty seeds. Adversarial dynamics amplify rounding, so that it grows with the steps.
FLOAT32 = 3e-5


def data(n=200, d=20):
    return torch.rand(n, d, generator=stream_rng(5, "data"))


def twins(experiment, seed=3, images=None, shape=(4, 5)):
    """Two trainers in the same state, the second plain, each with the same draws before it."""
    images = data() if images is None else images
    made = []
    for plain in (False, True):
        trainer = new_trainer(experiment, shape, images, seed, torch.device("cpu"))
        made.append(Trainer(experiment, trainer.gan, trainer.draws, plain=plain))
    return made


def train(trainers, steps=STEPS, size=10, images=None):
    images = data() if images is None else images
    for step in range(steps):
        x = images[(step * 7) % 150 :][:size]
        rate, momentum = 0.5 / (1 + step) ** 0.5, 0.5 + step / 400
        results = [trainer.update(x, rate, momentum) for trainer in trainers]
    return results


def difference(one, other):
    """The largest difference of a tensor, relative to the tensor's largest element."""
    theirs = other.state()
    return max(
        float((tensor - theirs[name]).abs().max() / theirs[name].abs().max())
        for name, tensor in one.state().items()
    )


SMALL = small_values()
FIRST, SECOND, LAST = SMALL["discriminator"]
LINEAR = {"layer": "linear", "units": 9, "init": {"uniform": 0.2}}
RELU = LINEAR | {"layer": "relu"}
SIGMOID = LINEAR | {"layer": "sigmoid"}
VARIANTS = {
    "the paper's": {},
    "minimax": {"generator_loss": "minimax"},
    "sum": {"discriminator_loss": "sum"},
    "column norms": {"sgd": SMALL["sgd"] | {"max_column_norm": 0.8}},
    "other layers": {
        "generator": [RELU, SIGMOID | {"bias": -0.5}, LINEAR, LINEAR | {"units": 20}],
        "discriminator": [
            FIRST,
            RELU | {"keep": 0.5, "scale": 2.0},
            SIGMOID,
            LINEAR,
            SECOND | {"keep": 1.0, "scale": 1.5},
            LAST,
        ],
    },
    "no dropout at first": {"discriminator": [FIRST | {"keep": 1.0, "scale": 1.0}, SECOND, LAST]},
    "one layer": {
        "generator": [LINEAR | {"units": 20}],
        "discriminator": [LAST | {"keep": 0.8, "scale": 1.25}],
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_the_plain_step(float64, name):
    experiment = small_experiment(**VARIANTS[name])
    assert joint.serves(experiment)
    step, plain = twins(experiment)
    start = {name: tensor.clone() for name, tensor in plain.state().items()}
    (ours, _), (theirs, _) = train((step, plain), steps=STEPS // 2)
    assert difference(step, plain) < 1e-9
    assert ours.numpy() == pytest.approx(theirs.numpy(), rel=1e-9)
    # It went somewhere: a twin of two unmoved networks would agree as well.
    moved = [
        float((tensor - start[name]).abs().max() / tensor.abs().max())
        for name, tensor in plain.state().items()
    ]
    assert min(moved) > 1e-6
    assert max(moved) > 0.1


def test_batches_of_two_sizes_take_turns(float64):
    step, plain = twins(small_experiment())
    for size in (10, 3, 10, 4, 10, 1):
        train((step, plain), steps=2, size=size)
    assert difference(step, plain) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_in_float32_it_stays_near_the_plain_step(seed):
    step, plain = twins(small_experiment(), seed)
    train((step, plain))
    assert 0 < difference(step, plain) < FLOAT32


def test_a_tie_of_the_maximum_goes_to_one_piece(float64):
    # Zero images and zero biases: every piece of every unit is 0, and none but one may learn.
    experiment = small_experiment()
    images = torch.zeros(20, 20)
    step, plain = twins(experiment, images=images)
    for trainer in (step, plain):
        with torch.no_grad():
            for parameter in trainer.generator.parameters:
                parameter.zero_()
            trainer.generator.parameters[-1].fill_(-1e4)  # samples are 0 too
        trainer.update(images[:10], 0.1, 0.5)
    bias = step.gan.discriminator.stack[0].bias.view(-1, 5)
    assert (bias.abs() > 1e-12).sum(1).max() == 1
    for name, tensor in step.state().items():
        torch.testing.assert_close(tensor, plain.state()[name], rtol=1e-9, atol=1e-15)


def test_what_it_does_not_serve(params):
    assert not joint.serves(small_experiment(update="alternating"))
    assert not joint.serves(recipe.experiment(params, "cifar10_conv"))
    assert not joint.serves(recipe.experiment(params, "mnist_notebook"))
    for name in ("mnist", "tfd_pretrain", "tfd", "cifar10_fc"):
        assert joint.serves(recipe.experiment(params, name))
