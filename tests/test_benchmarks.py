import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from paper_repro.__main__ import main
from paper_repro.benchmarks import bench, experiments, gpu, parzen, sampling, throughput, update
from paper_repro.benchmarks.plain_loop import PlainLoop
from paper_repro.benchmarks.timing import by_turns, ratio, spread
from paper_repro.benchmarks.trial import RATE
from paper_repro.core.errors import UserError
from paper_repro.core.families import GAN, Family
from paper_repro.forecast.duration import trial_training
from paper_repro.gan.model import recipe
from paper_repro.parzen.likelihood import log_likelihoods
from paper_repro.report import benchmarks
from tests.conftest import ROOT
from tests.small import parse_experiment, small_values

CPU = torch.device("cpu")


def test_calls_take_turns_and_the_order_turns_round():
    made = []
    calls = {name: (lambda n=name: made.append(n)) for name in "abc"}
    times = by_turns(calls, CPU, rounds=3, seconds=0)
    # Once to set up, once to see how long it takes, then by turns.
    assert made == list("aabbcc" + "abc" + "cba" + "abc")
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3, "c": 3}


def test_spread_and_ratio_are_those_of_the_rounds():
    assert spread([4.0, 1, 2, 3, 5]) == {"median": 3, "quartiles": [2, 4], "n": 5}
    assert spread([7.0]) == {"median": 7, "quartiles": [7, 7], "n": 1}
    times = {"slow": [2.0, 9, 8], "fast": [1.0, 3, 2]}
    assert ratio(times, "slow", "fast")["median"] == 3  # and not the 4 of the medians


def networks(experiment, shape):
    """A training of a GAN, to be timed, on random images."""
    return trial_training(experiment, Family(GAN), shape, CPU)


def test_the_bare_products_are_those_of_an_update_counted_by_hand(params):
    gan = networks(recipe.experiment(params, "mnist"), (28, 28)).trainer.gan
    g, d = (100 * 1200, 1200 * 1200, 1200 * 784), (784 * 1200, 240 * 1200, 240 * 1)
    forward_and_weights = 2 * 2 * (100 * sum(g) + 200 * sum(d))
    back = 2 * (100 * (g[1] + g[2]) + 200 * (d[1] + d[2]) + 100 * d[0])
    call, flop = update.bare_products(gan, 100)
    call()
    assert flop == forward_and_weights + back


def test_the_plain_loop_makes_the_update_that_it_is_timed_against(float64, monkeypatch):
    # Without dropout, on one z, and from velocities of zero, where the two forms of momentum agree.
    values = small_values()
    for layer in values["discriminator"]:
        layer |= {"keep": 1.0, "scale": 1.0}
    training = networks(parse_experiment(values), (4, 5))
    trainer, x = training.trainer, training.images[:10]
    loop = PlainLoop(trainer.experiment, 20, CPU)
    linear = [
        module
        for network in (loop.generator, loop.discriminator)
        for module in network
        if isinstance(module, torch.nn.Linear)
    ]
    ours = [layer for _, network in trainer.gan.named_networks() for layer in network.stack]
    pairs = list(zip(linear, ours, strict=True))
    for module, layer in pairs:
        module.weight.data = layer.weight.detach().T.clone()
        module.bias.data = layer.bias.detach().clone()
    unit = torch.rand(10, 7)
    monkeypatch.setattr(torch, "rand", lambda *size, device: unit)
    z = unit * 12**0.5 - 3**0.5
    trainer.draws = SimpleNamespace(noise=lambda n: z, masks=lambda n: [None] * 3)
    before = [p.detach().clone() for p in loop.generator.parameters()]
    loop.update(x)
    trainer.update(x, RATE, 0.5)
    assert not any(map(torch.equal, loop.generator.parameters(), before))
    for module, layer in pairs:
        torch.testing.assert_close(module.weight.T, layer.weight, rtol=1e-14, atol=1e-15)
        torch.testing.assert_close(module.bias, layer.bias, rtol=1e-14, atol=1e-15)


def test_the_direct_computation_is_the_estimate():
    images, samples = torch.rand(25, 30).double(), torch.rand(40, 30).double()
    expected = log_likelihoods(images, samples, [0.3])[0]
    assert parzen.broadcast(images, samples, 0.3).numpy() == pytest.approx(expected.numpy())


def test_runs_at_once_share_the_cores(monkeypatch):
    rates = {(1, 4): 10.0, (2, 2): 16.0, (4, 1): 24.0}
    monkeypatch.setattr(throughput.system, "cores", lambda: 4)
    monkeypatch.setattr(throughput, "together", lambda runs, threads, *_: rates[runs, threads])
    rows = throughput.bench_throughput()["rows"]
    timed = {(row["runs"], row["threads"]): row["updates_a_second"] for row in rows}
    assert {key: spread["median"] for key, spread in timed.items()} == rates


@pytest.fixture
def small_bench(workspace, monkeypatch):
    """The whole of `bench` on small networks, few images, and in this process."""
    monkeypatch.setattr(bench, "_alone", lambda function, *arguments: function(*arguments))
    workspace.experiment["generator"][-1]["units"] = 784
    workspace.write()
    monkeypatch.setattr(experiments, "OTHERS", {})
    monkeypatch.setattr(sampling, "EXPERIMENTS", ("mnist",))
    monkeypatch.setattr(sampling, "CHAINS", (1, 10))
    for module, seconds in ((update, 0.0), (experiments, 0.0), (sampling, 0.0), (throughput, 0.05)):
        monkeypatch.setattr(module, "ROUNDS", 2)
        monkeypatch.setattr(module, "SECONDS", seconds)
    for name, value in {"N": 60, "SLICE": 5, "ROUNDS": 2, "MANY": 2500}.items():
        monkeypatch.setattr(parzen, name, value)
    return workspace


def test_table_1_s_other_models_are_timed_whether_or_not_a_run_is_listed(params):
    own = replace(params.own, values=params.own.values | {"seeds": {"mnist": [0]}})
    names = ["mnist", "dbn", "stacked_cae", "deep_gsn"]
    assert experiments.timed_experiments(replace(params, files=(own,))) == names


@pytest.mark.slow
def test_bench_writes_numbers_that_the_page_shows(small_bench, capsys):
    assert main(["bench", "--device", "cpu"]) == 0
    assert "bench: mnist: " in capsys.readouterr().out
    folder = benchmarks.FOLDER
    page = (folder / "README.md").read_text()
    parts = benchmarks.read()
    assert parts["many_samples"]["samples"] == 2500
    for name in ("update", "parzen"):
        for table in (benchmarks.times(parts, name), benchmarks.ratios(parts, name)):
            assert len(table.splitlines()) > 2
            assert table in page
    (folder / "sampling.json").unlink()
    with pytest.raises(UserError, match=r"sampling\.json: no such file; run `make bench`"):
        benchmarks.read()


def test_nothing_measured_and_an_absent_device_are_one_line(workspace, capsys, monkeypatch):
    assert main(["bench", "--page"]) == 2
    assert "nothing measured yet; run `make bench`" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["bench", "--device", "cuda"]) == 2
    assert "bench: device cuda: torch finds no CUDA device here" in capsys.readouterr().err


def test_numbers_that_were_edited_are_refused(tmp_path, monkeypatch):
    shutil.copytree(ROOT / benchmarks.FOLDER, tmp_path / benchmarks.FOLDER)
    monkeypatch.chdir(tmp_path)
    path = benchmarks.FOLDER / "experiments.json"
    path.write_text(re.sub('"hours": [0-9.]*', '"hours": 0.5', path.read_text()))
    with pytest.raises(UserError, match=r"experiments\.json: its content is not what its checksum"):
        benchmarks.read()


def test_the_committed_page_is_that_of_the_committed_numbers(tmp_path, monkeypatch):
    shutil.copytree(ROOT / benchmarks.FOLDER, tmp_path / benchmarks.FOLDER)
    monkeypatch.chdir(tmp_path)
    page = benchmarks.FOLDER / "index.html"
    committed = page.read_text()
    page.unlink()
    benchmarks.benchmarks_page()
    picture = re.compile('data:image/png;base64,[^"]*')  # its bytes differ between machines
    assert picture.sub("", page.read_text()) == picture.sub("", committed)


@pytest.fixture
def small_gpu_bench(small_bench, monkeypatch):
    """The whole of `bench --gpu` at small sizes, on the CPU, where nothing is compiled."""
    for name, value in {"SIDE": 8, "ROUNDS": 2, "ROUND": 0.01}.items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(gpu.torch, "compile", lambda function, mode: function)
    monkeypatch.setattr(gpu.torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    rates = {1: 10.0, 2: 15.0, 5: 30.0}
    monkeypatch.setattr(gpu, "together", lambda runs, *_: rates[runs])
    return small_bench


def test_bench_on_a_gpu_writes_each_part_that_the_page_then_shows(small_gpu_bench, capsys):
    assert main(["bench", "--gpu", "--device", "cpu"]) == 0
    found = benchmarks.part("gpu")
    assert found["failed"] == {}
    assert found["processes"] == {"1": 10, "2": 15, "5": 30}
    assert [row["experiment"] for row in found["experiments"]] == ["mnist"]
    ways = benchmarks.ways(found)
    assert ways.count("\n") == 7  # two above the six ways
    rate = found["update"]["gflop"] * 1e9 / found["update"]["seconds"]["plain"]["median"]
    (plain,) = (line for line in ways.splitlines() if "a plain PyTorch loop" in line)
    assert f"{rate / found['limits']['float32_flop_a_second']:.2f}" in plain
    shutil.copytree(ROOT / benchmarks.FOLDER, benchmarks.FOLDER, dirs_exist_ok=True)
    benchmarks.benchmarks_page()
    assert ways in (benchmarks.FOLDER / "README.md").read_text()


@pytest.mark.parametrize("part", ["update", "processes", "experiments"])
def test_what_fails_on_a_gpu_is_noted_and_the_rest_measured(small_gpu_bench, monkeypatch, part):
    def failing(device):
        raise RuntimeError("no room\nat all")

    monkeypatch.setattr(gpu, part, failing)
    gpu.bench_gpu(CPU)
    found = benchmarks.part("gpu")
    assert found["failed"] == {part: "no room"}
    assert {"limits", "update", "processes", "experiments", "compiled"} - found.keys() == {part}
    shutil.copytree(ROOT / benchmarks.FOLDER, benchmarks.FOLDER, dirs_exist_ok=True)
    benchmarks.benchmarks_page()
