import math
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from paper_repro.__main__ import main
from paper_repro.core import provenance
from paper_repro.core.circumstances import TRAINING, read_circumstances
from paper_repro.core.dataset import processed_folder, read_dataset, write_not_run
from paper_repro.core.errors import Interrupted, UserError
from paper_repro.core.runs import model_path
from paper_repro.core.tensor_file import load_tensors, read_metadata
from paper_repro.gan import sgd
from paper_repro.gan.family import GanTraining, epoch_order
from paper_repro.gan.model import recipe
from paper_repro.gan.sgd import Sgd
from paper_repro.gan.update import Trainer
from paper_repro.training import checkpoint, loop
from paper_repro.training import train as training
from paper_repro.training.interrupt import Stop
from paper_repro.training.train import train
from tests.small import ROOT, python

KEY = "quick-mnist-0"
UPDATES = 7  # of an epoch: 64 images in batches of 10, the last of 4


def outputs(workspace):
    """The bytes of every output that must not depend on when the work was done."""
    folder = workspace.run.folder
    paths = [model_path(KEY), folder / "curve.csv", folder / "validation.csv"]
    return [path.read_bytes() for path in paths]


def starts(workspace):
    """The updates at which training started."""
    return [
        s["from_update"] for s in read_circumstances(workspace.run, "train", TRAINING)["starts"]
    ]


def checkpoints():
    return sorted(Path("checkpoints").rglob("*.safetensors"))


@pytest.fixture
def stopped_at(at_update):
    """Make training receive a signal during the updates listed, counted over all starts."""

    def arrange(*numbers, signal_number=signal.SIGINT):
        at_update(lambda n: signal.raise_signal(signal_number) if n in numbers else None)

    return arrange


@pytest.fixture
def always_saving(monkeypatch):
    """A checkpoint after every update."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop, "SAVING_RATIO", 0)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_the_bytes_of_an_uninterrupted_one(
    workspace, stopped_at, update, number
):
    workspace.change(epochs=4, validate_every=2, update=update)
    train(KEY)
    expected = outputs(workspace)
    for path in checkpoints():
        path.unlink()
    # In the middle of epochs 1 and 3, at the end of epoch 1, and twice in one epoch.
    stopped_at(3, UPDATES, 2 * UPDATES + 2, 2 * UPDATES + 4, signal_number=number)
    for _ in range(4):
        with pytest.raises(Interrupted, match="the same command goes on from there"):
            train(KEY)
        assert len(checkpoints()) == 1
    train(KEY)
    assert outputs(workspace) == expected
    assert starts(workspace) == [0, 3, UPDATES, 2 * UPDATES + 2, 2 * UPDATES + 4]


def test_a_killed_run_goes_on_from_its_last_timed_checkpoint(workspace, always_saving, at_update):
    train(KEY)
    expected = outputs(workspace)
    checkpoints()[0].unlink()

    def dying(n):
        if n == UPDATES + 4:
            raise MemoryError("killed")

    at_update(dying)
    with pytest.raises(MemoryError):
        train(KEY)
    train(KEY)
    assert outputs(workspace) == expected
    assert starts(workspace) == [0, UPDATES + 3]


@pytest.mark.parametrize(("update", "k"), [("simultaneous", 1), ("alternating", 2)])
def test_each_update_gets_its_images_learning_rate_and_momentum(workspace, monkeypatch, update, k):
    sgd = workspace.experiment["sgd"] | {
        "learning_rate_decay": 1.01,
        "momentum": {"start": 0.5, "end": 0.7, "saturate_epoch": 3},
    }
    workspace.change(epochs=4, update=update, k=k, sgd=sgd)
    calls, original = [], Trainer.update

    def recording(self, x, rate, momentum, **options):
        calls.append((x.clone(), rate, momentum))
        return original(self, x, rate, momentum, **options)

    monkeypatch.setattr(Trainer, "update", recording)
    train(KEY)
    per_epoch = UPDATES if k == 1 else 4  # 64 images: 6 x 10 + 4, or 3 x 20 + 4
    assert len(calls) == 4 * per_epoch
    assert [rate for _, rate, _ in calls] == pytest.approx(
        [0.1 / 1.01**index for index in range(4 * per_epoch)]
    )
    assert [momentum for _, _, momentum in calls[::per_epoch]] == pytest.approx(
        [0.5, 0.6, 0.7, 0.7]
    )
    images = read_dataset("quick", "mnist").load("train")
    orders = []
    for epoch in range(4):
        part = [x for x, _, _ in calls[epoch * per_epoch : (epoch + 1) * per_epoch]]
        assert [len(x) for x in part] == [10 * k] * (per_epoch - 1) + [4]
        orders.append(torch.cdist(torch.cat(part), images).argmin(1).tolist())
        assert sorted(orders[-1]) == list(range(64))
    assert len({tuple(order) for order in orders}) == 4
    curve = pd.read_csv(workspace.run.folder / "curve.csv")
    last = [calls[(epoch + 1) * per_epoch - 1] for epoch in range(4)]
    assert curve.learning_rate.tolist() == pytest.approx([rate for _, rate, _ in last])
    assert curve.momentum.tolist() == pytest.approx([0.5, 0.6, 0.7, 0.7])


def test_raising_epochs_continues_and_equals_one_long_run(workspace, stopped_at):
    workspace.change(epochs=4, validate_every=2)
    train(KEY)
    expected = outputs(workspace)
    checkpoints()[0].unlink()
    workspace.change(epochs=2)
    train(KEY)
    assert outputs(workspace) != expected
    workspace.change(epochs=4)
    train(KEY)
    assert outputs(workspace) == expected
    assert starts(workspace) == [0, 2 * UPDATES]


def test_a_finished_run_is_written_again_and_fewer_epochs_lose_nothing(workspace, monkeypatch):
    workspace.change(epochs=4, validate_every=2)
    train(KEY)
    expected = outputs(workspace)
    model_path(KEY).unlink()
    monkeypatch.setattr(Trainer, "update", None)
    train(KEY)
    assert outputs(workspace) == expected
    workspace.change(epochs=2)
    with pytest.raises(UserError, match="already at epoch 4, past epochs: 2"):
        train(KEY)
    assert outputs(workspace) == expected


def test_how_often_is_validated_leaves_the_last_weights_alone(workspace):
    last = []
    for every in (1, 4):
        workspace.change(epochs=4, validate_every=every)
        train(KEY)
        last.append(load_tensors(model_path(KEY), "last.")[0])
    assert len(checkpoints()) == 2  # which epoch is best depends on it: not the same recipe
    for name, tensor in last[0].items():
        assert torch.equal(tensor, last[1][name]), name


def test_where_the_last_epoch_counts_validating_at_other_times_goes_on(workspace):
    workspace.change(epochs=4, validate_every=4, selection="last")
    train(KEY)
    expected = load_tensors(model_path(KEY), "last.")[0]
    checkpoints()[0].unlink()
    workspace.change(epochs=2, validate_every=1)
    train(KEY)
    workspace.change(epochs=4, validate_every=2)
    train(KEY)
    assert starts(workspace) == [0, 2 * UPDATES]
    assert len(checkpoints()) == 1
    for name, tensor in load_tensors(model_path(KEY), "last.")[0].items():
        assert torch.equal(tensor, expected[name]), name
    measured = pd.read_csv(workspace.run.folder / "validation.csv")
    assert measured.epoch.tolist() == [1, 2, 4]
    record = read_metadata(model_path(KEY))
    assert (record["selected"], record["best_epoch"]) == ("last", 4)
    assert not load_tensors(model_path(KEY), "best.")[0]


def test_the_best_epoch_is_that_of_the_validation_column(workspace):
    workspace.change(epochs=6, validate_every=1)
    train(KEY)
    measured = pd.read_csv(workspace.run.folder / "validation.csv")
    record = read_metadata(model_path(KEY))
    best = measured.epoch[measured.valid_nats.idxmax()]
    assert record["best_epoch"] == best
    assert record["selected"] == "best"
    workspace.change(epochs=int(best))
    for path in checkpoints():
        path.unlink()
    kept = load_tensors(model_path(KEY), "best.")[0]
    train(KEY)
    for name, tensor in load_tensors(model_path(KEY), "last.")[0].items():
        assert torch.equal(tensor, kept[name]), name


def test_seeds_differ_and_a_seed_repeats(workspace):
    train(KEY)
    first = outputs(workspace)
    train(KEY, fresh=True)
    assert outputs(workspace) == first
    workspace.list(mnist=[0, 1])
    train("quick-mnist-1")
    seeds = [load_tensors(model_path(key), "last.")[0] for key in (KEY, "quick-mnist-1")]
    name = "generator.layers.0.weight"
    assert not torch.equal(*(tensors[name] for tensors in seeds))


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_nothing_waits_for_the_device_within_an_epoch(workspace, at_update, update):
    # On a GPU each of these would stop the queue of work until it is empty.
    waits = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
    workspace.change(epochs=1, update=update)
    patch, updates = pytest.MonkeyPatch(), []

    def waiting(*arguments):
        raise AssertionError("waits for the device")

    def watch(n):
        updates.append(n)
        for name in waits if n == 1 else ():
            patch.setattr(torch.Tensor, name, waiting)

    at_update(watch, lambda n, trainer: patch.undo() if n == UPDATES else None)
    try:
        train(KEY)
    finally:
        patch.undo()
    assert len(updates) == UPDATES


def test_the_curve_has_a_row_an_epoch_and_norms_in_the_first_ones(workspace):
    workspace.change(epochs=4, validate_every=2, gradient_norms={"epochs": 2, "every": 3})
    train(KEY)
    curve = pd.read_csv(workspace.run.folder / "curve.csv")
    assert curve.epoch.tolist() == [1, 2, 3, 4]
    assert curve.updates.tolist() == [UPDATES * epoch for epoch in range(1, 5)]
    assert curve.g_grad_norm_minimax.notna().tolist() == [True, True, False, False]
    assert (curve.d_loss * -2).tolist() == pytest.approx(curve.value.tolist())
    assert curve.d_data.between(0, 1).all()
    measured = pd.read_csv(workspace.run.folder / "validation.csv")
    assert measured.epoch.tolist() == [2, 4]


def test_divergence_is_recorded_and_the_last_good_checkpoint_kept(
    workspace, always_saving, at_update, capsys
):
    def exploding(n, trainer):
        if n == UPDATES + 2:
            with torch.no_grad():
                trainer.generator.parameters[0][0, 0] = float("nan")

    at_update(after=exploding)
    train(KEY)
    assert "training diverged: NaN or infinity by update 9" in capsys.readouterr().err
    tensors, record = load_tensors(model_path(KEY))
    assert not tensors
    assert record["status"] == "diverged"
    assert record["reason"] == "training diverged: NaN or infinity in epoch 2"
    curve = pd.read_csv(workspace.run.folder / "curve.csv")
    assert curve.epoch.tolist() == [1]  # what there was before
    tensors, record = load_tensors(checkpoints()[0])
    assert record["update"] == UPDATES + 1
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_measurement_that_is_no_number_is_divergence(workspace, monkeypatch):
    """The last update of an epoch may make parameters by which samples overflow."""
    measure = GanTraining.validate

    def overflowing(self, epoch):
        return measure(self, epoch) | ({"valid_nats": -math.inf} if epoch == 2 else {})

    monkeypatch.setattr(GanTraining, "validate", overflowing)
    train(KEY)
    record = read_metadata(model_path(KEY))
    assert record["status"] == "diverged"
    assert record["reason"] == "training diverged: NaN or infinity in epoch 2"


def test_edited_code_starts_anew_and_adopt_goes_on(workspace, monkeypatch, capsys):
    train(KEY)
    expected = outputs(workspace)
    monkeypatch.setattr(provenance, "code_digest", lambda *modules: "f" * 64)
    train(KEY)
    assert len(checkpoints()) == 2
    assert starts(workspace) == [0]
    monkeypatch.setattr(provenance, "code_digest", lambda *modules: "e" * 64)
    monkeypatch.setattr(Trainer, "update", None)
    train(KEY, adopt=True)
    assert "which other code made" in capsys.readouterr().err
    assert outputs(workspace) == expected


@pytest.mark.parametrize("what", ["parameters", "data", "code"])
def test_an_edit_during_the_run_fails_it(workspace, monkeypatch, at_update, what):
    edits = {
        "parameters": lambda: workspace.change(batch_size=11),
        "data": lambda: workspace.prepare(stand_in="something else"),
        "code": lambda: monkeypatch.setattr(provenance, "code_digest", lambda *modules: "f" * 64),
    }
    at_update(lambda n: edits[what]() if n == 2 else None)
    with pytest.raises(UserError, match="changed while it ran"):
        train(KEY)
    assert not model_path(KEY).exists()
    assert len(checkpoints()) == 1


def test_without_data_the_outputs_say_so_and_repeat_to_the_byte(workspace):
    write_not_run(processed_folder("quick", "mnist"), "mnist", "no network", "get one")
    train(KEY)
    first = outputs(workspace)
    assert read_metadata(model_path(KEY))["reason"] == "no network"
    assert len(pd.read_csv(workspace.run.folder / "validation.csv")) == 0
    train(KEY)
    assert outputs(workspace) == first


def test_damaged_data_is_one_line_that_names_the_file(workspace):
    path = processed_folder("quick", "mnist") / "train.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match=r"train\.npy: not the bytes that were prepared"):
        train(KEY)


def test_a_checkpoint_that_adopt_cannot_find_is_an_error_and_no_silent_start(workspace, capsys):
    assert main(["train", "--adopt", KEY]) == 2
    assert "no checkpoint of this recipe, seed and data to adopt" in capsys.readouterr().err
    assert not model_path(KEY).exists()
    train(KEY)
    (found,) = Path("checkpoints", KEY).glob("*.safetensors")
    found.rename(found.with_name(f"{'0' * 16}-{found.name[17:]}"))  # of another recipe
    assert main(["train", "--adopt", KEY]) == 2


def test_a_finished_checkpoint_counts_whatever_kind_of_device_made_it(workspace, monkeypatch):
    # As if this machine's runs were those of a GPU: their names say so, all else is the same.
    own, epoch = checkpoint.checkpoint_file, loop.Loop._epoch

    def elsewhere(run, experiment, dataset, device, code, start=None):
        return own(run, experiment, dataset, torch.device("cuda"), code, start)

    monkeypatch.setattr(training, "checkpoint_file", elsewhere)
    train(KEY)
    first = model_path(KEY).read_bytes()
    monkeypatch.setattr(training, "checkpoint_file", own)
    monkeypatch.setattr(loop.Loop, "_epoch", None)  # no update is made
    model_path(KEY).unlink()
    train(KEY)
    assert model_path(KEY).read_bytes() == first
    # An unfinished one can't be gone on with: its random state is of another kind of device.
    workspace.change(epochs=3)
    with pytest.raises(TypeError):
        train(KEY)
    assert len(checkpoints()) == 1
    # What is begun anew is this machine's own.
    (other,) = checkpoints()
    workspace.change(epochs=2)
    monkeypatch.setattr(loop.Loop, "_epoch", epoch)
    train(KEY, fresh=True)
    assert len(checkpoints()) == 1
    assert not other.exists()


@pytest.mark.parametrize(
    ("place", "change", "named"),
    [
        ((), {"batch_size": 65}, "batch_size: 65, but there are 64 training images"),
        ((), {"device": "cuda:99"}, "device cuda:99: torch finds"),
        (("generator", 1, "init"), {"sparse": 14}, "layer 1 (relu): init.sparse is 14, but it has"),
        (("generator", 2), {"units": 21}, "puts out 21, an image of mnist has 20 values"),
    ],
)
def test_what_cannot_work_fails_before_the_first_update(workspace, capsys, place, change, named):
    values = workspace.experiment
    for key in place:
        values = values[key]
    if "sparse" in change:
        values.clear()
    values.update(change)
    workspace.write()
    assert main(["train", KEY]) == 2
    assert named in capsys.readouterr().err
    assert not Path("checkpoints").exists()


def test_the_order_of_an_epoch_is_its_seed_s_and_its_own():
    at = ((0, 1), (0, 1), (0, 2), (1, 1))  # seed and epoch
    first, again, *others = (epoch_order(50, *of, torch.device("cpu")).tolist() for of in at)
    assert first == again
    assert sorted(first) == list(range(50))
    assert first not in others


def test_an_adam_run_resumes_with_its_moments(workspace, monkeypatch):
    adam = {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    workspace.change(adam=adam, sgd=None, update="alternating")
    train(KEY)
    expected = outputs(workspace)
    curve = (workspace.run.folder / "curve.csv").read_text().splitlines()
    assert curve[1].split(",")[2:4] == ["0.001", "0.9"]
    checkpoints()[0].unlink()
    leave = loop.Loop._leave_if
    monkeypatch.setattr(loop.Loop, "_due", lambda self: self.progress.update == 5)
    monkeypatch.setattr(loop.Loop, "_leave_if", lambda self, stop: leave(self, Stop(True)))
    with pytest.raises(Interrupted):
        train(KEY)
    monkeypatch.undo()
    monkeypatch.chdir(workspace.folder)
    train(KEY)
    assert outputs(workspace) == expected


def test_a_checkpoint_is_written_without_a_second_copy_in_memory(tmp_path):
    script = """
import resource, sys, torch
from pathlib import Path
from paper_repro.training.checkpoint import CheckpointFile, Progress
tensors = {name: torch.ones(8000, 4000) for name in "abc"}  # 366 MiB
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
CheckpointFile(Path(sys.argv[1]), "r" * 16, "c" * 16).save(tensors, torch.zeros(9), Progress())
print(peak() - before)
"""
    grown = python("-c", script, str(tmp_path), cwd=ROOT)
    assert int(grown.stdout) < 100  # MiB
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 3 * 8000 * 4000 * 4


def test_a_step_makes_no_copy_of_the_weights(params, monkeypatch):
    monkeypatch.setattr(sgd, "BLOCK", 50_000)  # as small beside this matrix as beside a large one
    settings = recipe.experiment(params, "tfd_pretrain").sgd
    weight = torch.randn(1000, 1000)
    gradient = torch.randn(1000, 1000)
    optimizer = Sgd([weight], settings)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        optimizer.step([gradient], 0.05, 0.5)
    largest = max(event.self_cpu_memory_usage for event in profiled.events())
    assert largest < weight.nbytes / 10
    assert torch.linalg.vector_norm(weight, dim=0).max() <= settings.max_column_norm * (1 + 1e-5)


def test_a_film_is_drawn_and_no_byte_of_the_training_hangs_on_it(workspace, stopped_at):
    def frames():
        return {path.name: path.read_bytes() for path in Path("checkpoints").rglob("epoch-*.png")}

    workspace.change(epochs=6, validate_every=2)
    train(KEY)
    expected, film = outputs(workspace), frames()
    assert sorted(film) == ["epoch-00001.png", "epoch-00005.png", "epoch-00006.png"]
    assert len(set(film.values())) == 3
    for path in [*checkpoints(), *Path("checkpoints").rglob("epoch-*.png")]:
        path.unlink()
    stopped_at(UPDATES, 5 * UPDATES - 1)  # as epoch 1 ends, and before epoch 5 does
    for _ in range(2):
        with pytest.raises(Interrupted):
            train(KEY)
    train(KEY)
    assert (outputs(workspace), frames()) == (expected, film)


def test_a_device_that_can_t_be_used_is_one_line(workspace, monkeypatch, capsys):
    def busy(*size, device):
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nCompile with ...")

    monkeypatch.setattr(torch, "zeros", busy)
    assert main(["train", KEY]) == 2
    said = capsys.readouterr().err
    assert "experiments.mnist.device: cpu: CUDA error: all CUDA-capable devices are busy; " in said
    assert "CUDA_VISIBLE_DEVICES=" in said
    assert "Compile" not in said
