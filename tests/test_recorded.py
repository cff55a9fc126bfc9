"""Updates as a GPU makes them: on the CPU with a stand-in for graphs; with `-m gpu` on a GPU."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from paper_repro.core import provenance
from paper_repro.core.float32_matmul import fast_float32
from paper_repro.core.runs import model_path
from paper_repro.gan.family import new_trainer
from paper_repro.gan.model import recipe
from paper_repro.gan.update import DIAGNOSTICS, diagnostics_at_once
from paper_repro.training import recorded
from paper_repro.training.loop import Loop
from paper_repro.training.train import train
from tests.small import parse_values, small_experiment, small_values
from tests.test_baselines import RECIPES
from tests.test_joint_update import VARIANTS, difference, twins
from tests.test_joint_update import train as train_both

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL = small_values()
WEIGHTS = {"init": {"uniform": 0.2}}
TO_IMAGE = {"layer": "transposed_convolution", "reads": [2, 2, 2], "channels": 3, "kernel": 4}
FROM_IMAGE = {"layer": "maxout_convolution", "channels": 2, "pieces": 2, "kernel": 3, "pad": 1}
KINDS = {
    "joint": {},
    "column norms": {"sgd": SMALL["sgd"] | {"max_column_norm": 0.8}},
    "alternating": {"update": "alternating", "discriminator_loss": "sum"},
    "alternating, k 2": {"update": "alternating", "k": 2},
    "alternating, k 5": {"update": "alternating", "k": 5},
    "convolution": {
        "generator": [
            WEIGHTS | {"layer": "sigmoid", "units": 8},
            WEIGHTS | TO_IMAGE | {"stride": 4},
        ],
        "discriminator": [
            WEIGHTS | FROM_IMAGE | {"pool": 3, "pool_stride": 2, "keep": 0.8, "scale": 1.25},
            SMALL["discriminator"][-1],
        ],
    },
}


class Graphs:
    """In place of CUDA's: what is recorded is made, not then, but at each replay."""

    def __init__(self):
        self.recorded = self.replayed = 0
        self.shape = (len(DIAGNOSTICS),)  # of what an update reports

    def capture(self, call, rng, device):
        found = torch.zeros(self.shape)
        return self.counted(lambda: found.copy_(call())), found

    def counted(self, replay):
        self.recorded += 1

        def replayed():
            self.replayed += 1
            replay()

        return replayed


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def device(request, monkeypatch):
    """The CPU that says it is a GPU, and a GPU."""
    monkeypatch.setattr(recorded, "on_gpu", lambda device: True)
    with fast_float32():
        yield torch.device(request.param)


@pytest.fixture
def graphs(device, monkeypatch):
    """How often an update was recorded and replayed; true graphs on a GPU."""
    made, own = Graphs(), recorded.capture

    def counted(*arguments):
        replay, found = own(*arguments)
        return made.counted(replay), found

    monkeypatch.setattr(recorded, "capture", made.capture if device.type == "cpu" else counted)
    return made


def trainers(kind, device):
    """Two trainers in the same state, the second of which never records, and images."""
    experiment = small_experiment(**KINDS[kind])
    shape = (3, 8, 8) if kind == "convolution" else (4, 5)
    images = torch.rand(200, *shape, generator=torch.Generator().manual_seed(5)).flatten(1)
    made = []
    for switch in "10":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(recorded.SWITCH, switch)
            made.append(new_trainer(experiment, shape, images, 3, device))
    return *made, images.to(device)


def require_same(one, other):
    theirs = other.state()
    for name, tensor in one.state().items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_replays_are_the_unrecorded_updates(graphs, device, kind):
    one, other, images = trainers(kind, device)
    before = {name: tensor.clone() for name, tensor in one.state().items()}
    whole = 0
    for step in range(40):
        x = images[(step * 7) % 150 :][: 10 * one.experiment.k]
        if step % 13 == 12:
            x = x[:7]  # as at an epoch's end
        norms = step % 10 == 9
        whole += len(x) != 7 and not norms
        arguments = x, 0.1 / (1 + step), 0.5 + (step // 20) / 10
        (ours, _), (theirs, _) = (t.update(*arguments, norms=norms) for t in (one, other))
        assert torch.equal(ours, theirs)
        assert torch.equal(one.draws.rng.get_state(), other.draws.rng.get_state())
    require_same(one, other)
    assert not torch.equal(before["generator.layers.0.weight"], one.generator.parameters[0])
    assert graphs.recorded == 2  # one for each momentum
    assert graphs.replayed == whole - recorded.FIRST_UPDATES


def test_replays_of_the_gsn_are_the_unrecorded_updates(graphs, device, monkeypatch):
    graphs.shape = ()
    images = torch.rand(23, 25, generator=torch.Generator().manual_seed(5)).to(device)
    model, module, values = RECIPES["deep_gsn"]
    made = []
    for switch in "10":
        monkeypatch.setenv(recorded.SWITCH, switch)
        made.append(module.training(parse_values(model.RECIPE, values), (5, 5), images, images, 0))
    for epoch in (1, 2):  # each with its rate
        for one in made:
            one.begin(epoch, [])
            for index in range(6):
                one.update(epoch, index)
    require_same(*made)
    assert made[0].sums() == made[1].sums()
    assert (graphs.recorded, graphs.replayed) == (1, 2 * 5 - recorded.FIRST_UPDATES)


def test_a_rate_in_memory_is_the_rate_of_the_gsn():
    images = torch.rand(23, 25, generator=torch.Generator().manual_seed(5))
    model, module, values = RECIPES["deep_gsn"]
    one, other = (
        module.training(parse_values(model.RECIPE, values), (5, 5), images, images, 0)
        for _ in range(2)
    )
    for index in range(5):
        for made, rate in ((one, 0.25), (other, torch.tensor(0.25, dtype=torch.float64))):
            made._step(made.batch(made.images, index), rate, 0.5)
    for name, tensor in one.state().items():
        torch.testing.assert_close(tensor, other.state()[name], rtol=1e-4, atol=1e-6)
    with pytest.raises(AssertionError):
        require_same(one, module.training(one.recipe, (5, 5), images, images, 0))


def test_what_cannot_be_recorded_goes_on_unrecorded_and_says_so_once(
    graphs, device, monkeypatch, capsys
):
    one, other, images = trainers("joint", device)
    update, own, tried = one.recorded._update, recorded.capture, []

    def waiting(*arguments):
        reported = update(*arguments)
        if torch.cuda.is_current_stream_capturing():
            float(reported[0])
        return reported

    def failing(call, rng, device):
        tried.append(call)
        if device.type == "cuda":
            return own(call, rng, device)
        torch.rand(3, generator=rng)
        raise RuntimeError("it waits\nfor the device")

    one.recorded._update = waiting if device.type == "cuda" else update
    monkeypatch.setattr(recorded, "capture", failing)
    for step in range(10):
        for trainer in (one, other):
            trainer.update(images[step * 10 :][:10], 0.1, 0.5 + step / 100)
    require_same(one, other)
    assert torch.equal(one.draws.rng.get_state(), other.draws.rng.get_state())
    assert len(tried) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the update can't be recorded, and goes on slower (")
    assert line.endswith("); PAPER_REPRO_RECORD=0 does not try")


class Watch(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.called = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.called.add(function._schema.name.removeprefix("aten::"))
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_to_be_recorded_reads_no_number_and_waits_for_nothing(device, kind):
    one, _, images = trainers(kind, device)
    x, rate = images[: 10 * one.experiment.k], torch.tensor(0.1, dtype=torch.float64)
    with Watch() as watch:
        one._unmeasured(x, rate.to(device), 0.5)
    assert watch.called & {"_foreach_mul", "addmm_"}  # it saw what is called
    assert not watch.called & {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero"}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_few_kernels_of_a_gpu_make_the_plain_step(float64, monkeypatch, name):
    monkeypatch.setenv(recorded.SWITCH, "0")
    monkeypatch.setattr(recorded, "on_gpu", lambda device: True)
    step, plain = twins(small_experiment(**VARIANTS[name]))
    (ours, _), (theirs, _) = train_both((step, plain))
    assert 0 < difference(step, plain) < 1e-9
    assert ours.numpy() == pytest.approx(theirs.numpy(), rel=1e-9)


@pytest.mark.parametrize("d_loss", ["half_sum", "sum"])
@pytest.mark.parametrize("g_loss", ["non_saturating", "minimax"])
def test_diagnostics_at_once_are_those_one_by_one(g_loss, d_loss):
    experiment = small_experiment(generator_loss=g_loss, discriminator_loss=d_loss)
    trainer = new_trainer(experiment, (4, 5), torch.rand(9, 20), 3, torch.device("cpu"))
    data, fake = 5 * torch.randn(2, 10, 1)
    ours = diagnostics_at_once(data, fake, experiment)
    torch.testing.assert_close(ours, trainer._diagnostics(data, fake))


def test_a_training_that_goes_on_has_the_bytes_of_one_that_never_stopped(workspace, graphs, device):
    parts = [model_path(workspace.key), workspace.run.folder / "validation.csv"]
    workspace.change(device=device.type, epochs=4, validate_every=2)
    train(workspace.key)
    expected = [path.read_bytes() for path in parts]
    replayed = graphs.replayed
    assert replayed > 10  # with a validation after the second epoch
    workspace.change(epochs=2)
    train(workspace.key, fresh=True)
    workspace.change(epochs=4)
    train(workspace.key)
    assert [path.read_bytes() for path in parts] == expected
    assert graphs.replayed > replayed + 10


def start(**changes):
    made = {"device": "NVIDIA A", "threads": 4, "versions": {"torch": "2.9"}}
    return made | {"gpu": {"multiprocessors": 132}} | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": 8}, ""),
        ({"device": "NVIDIA B"}, "NVIDIA B (132 multiprocessors), torch 2.9 after NVIDIA A (132"),
        ({"gpu": {"multiprocessors": 16}}, "NVIDIA A (16 multiprocessors), torch 2.9 after NVIDIA"),
        ({"versions": {"torch": "3"}}, "torch 3 after NVIDIA A (132 multiprocessors), torch 2.9;"),
    ],
)
def test_a_run_that_goes_on_on_another_gpu_says_so(capsys, changes, said):
    run = Loop.__new__(Loop)
    run.title, run.device = "a run", torch.device("cuda")
    run.progress = SimpleNamespace(starts=[start()])
    run._tell_other_machine(start(**changes))
    told = capsys.readouterr().err
    assert said in told
    assert bool(told) == bool(said)


def test_the_record_names_what_a_gpu_does(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200 MIG 1g.18gb")
    properties = SimpleNamespace(multi_processor_count=16)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(provenance, "are_exact", lambda device: False)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    found = provenance.environment(torch.device("cuda"), "paper_repro.core.provenance")["gpu"]
    assert (found["products"], found["multiprocessors"]) == ("rounded", 16)
    assert (found["mig"], found["mps"]) == (True, False)
    (tmp_path / "control").touch()
    assert provenance.gpu(torch.device("cuda"))["mps"]
    assert "gpu" not in provenance.environment(
        torch.device("cpu"), "paper_repro.core.provenance"
    )  # whose records stay as they are


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnAGpu:
    @pytest.mark.parametrize(
        "name", ["mnist", "mnist_alternating_k2", "tfd_pretrain", "cifar10_fc", "cifar10_conv"]
    )
    @fast_float32()
    def test_at_the_paper_s_sizes_replays_have_the_bytes_of_updates(self, params, name):
        experiment = recipe.experiment(params, name)
        shape = {"mnist": (28, 28), "tfd": (48, 48), "cifar10": (3, 32, 32)}[experiment.dataset]
        images = torch.rand(experiment.batch_size * experiment.k, *shape).flatten(1)
        made = []
        for switch in "10":
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(recorded.SWITCH, switch)
                made.append(new_trainer(experiment, shape, images, 0, torch.device("cuda")))
        for _ in range(8):
            for trainer in made:
                trainer.update(images.cuda(), experiment.sgd.learning_rate, 0.5)
        require_same(*made)
        assert made[0].recorded._replay is not None

    @pytest.mark.parametrize("kind", ["joint", "column norms", "convolution"])
    def test_a_seed_begins_with_the_same_weights_everywhere(self, kind):
        cpu, gpu = (trainers(kind, torch.device(name))[0] for name in ("cpu", "cuda"))
        for name, tensor in gpu.state().items():
            assert torch.equal(tensor.cpu(), cpu.state()[name]), name

    @pytest.mark.parametrize("name", RECIPES)
    def test_so_do_the_other_models(self, name):
        model, module, values = RECIPES[name]
        images, found = torch.rand(23, 25), parse_values(model.RECIPE, values)
        cpu, gpu = (
            module.training(found, (5, 5), part, part, 0) for part in (images, images.cuda())
        )
        for key, tensor in gpu.state().items():
            assert torch.equal(tensor.cpu(), cpu.state()[key]), key

    def test_products_are_not_rounded_whatever_is_asked_for(self, monkeypatch):
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
        with fast_float32():
            assert provenance.gpu(torch.device("cuda"))["products"] == "float32"
