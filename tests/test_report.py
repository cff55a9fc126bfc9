import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from jsonschema import Draft202012Validator

from paper_repro.__main__ import main
from paper_repro.core.dataset import displayed, processed_folder, read_dataset, write_not_run
from paper_repro.core.errors import UserError
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.diagnostics.nearest import nearest
from paper_repro.evaluation.trained_run import open_run
from paper_repro.figures.figure2 import FRAME, YELLOW, grid
from paper_repro.gan.model import recipe
from paper_repro.gan.update import Trainer
from paper_repro.parzen.likelihood import log_likelihoods
from paper_repro.report import collect as collecting
from paper_repro.report import formatting as nats
from paper_repro.report import readme
from paper_repro.report.collect import comparable, trend
from paper_repro.report.released import changes, released_recipe
from paper_repro.report.report import report
from paper_repro.report.results import json_schema, read_results
from tests.conftest import ROOT
from tests.small import collect, rewrite, skip_if_edited

pytestmark = pytest.mark.usefixtures("undrawn")


def go(key, *stages):
    for stage in stages:
        assert main([stage, key]) == 0


def report_two_seeds(workspace):
    workspace.list(mnist=[0, 1])
    for key in (workspace.key, "quick-mnist-1"):
        go(key, "train", "evaluate", "figure2")
    go(workspace.key, "sample_checks")
    report("quick")


@pytest.fixture
def reported(workspace):
    """A profile of two seeds, trained, measured, drawn and reported."""
    workspace.once(report_two_seeds)
    return json.loads((workspace.folder / "reports/quick/results.json").read_text())


@pytest.mark.parametrize("profile", ["paper", "stand-in"])
def test_committed_results_follow_their_schema(profile):
    folder = ROOT / "reports" / profile
    schema = json.loads((folder / "results.schema.json").read_text())
    assert schema == json_schema()
    Draft202012Validator(schema).validate(json.loads((folder / "results.json").read_text()))


def test_results_hold_the_seeds_and_what_they_make_together(reported):
    (row,) = reported["rows"]
    assert row["paper"] == {"mean": 225.0, "se": 2.0}
    assert row["comparable"] is False
    means = [seed["test_mean"] for seed in row["seeds"]]
    assert row["mean"] == pytest.approx(sum(means) / 2)
    assert row["seed_sd"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5)
    table = pd.read_csv("reports/quick/results.csv")
    assert table.run.tolist() == [seed["run"] for seed in row["seeds"]]
    assert table.test_mean.tolist() == means


def test_the_measure_is_the_script_s(workspace):
    go(workspace.key, "train", "evaluate")
    stored = json.loads((workspace.run.folder / "metrics.json").read_text())
    experiment = recipe.experiment(read_params("quick"), "mnist")
    dataset = read_dataset("quick", "mnist")
    sampler = open_run(workspace.key).sampler("best")
    samples = sampler.sample(50, 0, "evaluation")
    assert not torch.equal(samples, sampler.sample(50, 0, "validation/2"))  # fresh ones
    sigmas = experiment.parzen.sigmas()
    on_valid = log_likelihoods(dataset.load("valid")[:20], samples, sigmas).mean(1)
    sigma = sigmas[int(on_valid.argmax())]
    on_test = log_likelihoods(dataset.load("test"), samples, [sigma])[0].numpy()
    assert stored["sigma"] == sigma
    assert stored["test_mean"] == pytest.approx(on_test.mean())
    assert stored["test_se"] == pytest.approx(on_test.std() / 40**0.5)


MNIST = released_recipe("mnist", "mnist")
COUNTS = {"train": 50_000, "valid": 10_000, "test": 10_000}
TFD_COUNTS = {"train": 98_058, "valid1": 400, "test1": 800}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *((name, COUNTS) for name in ("mnist", "mnist_notebook")),
        *((name, TFD_COUNTS) for name in ("tfd_pretrain", "tfd")),
        *((name, COUNTS | {"train": 40_000}) for name in ("cifar10_fc", "cifar10_conv")),
    ],
)
def test_the_committed_parameters_are_the_released_recipe(params, name, counts):
    parameters = recipe.experiment(params, name).model_dump(mode="json")
    released = released_recipe(name, name)
    assert changes(released, parameters, counts) == []
    assert changes(released, parameters, counts | {"train": 5}) == ["data.train"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("update",), "alternating"),
        (("noise",), "gaussian"),
        (("generator",), []),
        (("precision",), "bfloat16"),
        (("parzen", "samples"), 100),
        (("sgd", "momentum", "end"), 0.9),
        (("sgd", "max_column_norm"), 1.9),
        (("discriminator", 0, "keep"), 0.5),
        (("generator", 2, "bias"), 0.0),
        (("generator", 1, "init", "uniform"), 0.1),
    ],
)
def test_a_changed_parameter_is_named(params, path, value):
    parameters = recipe.experiment(params, "mnist").model_dump(mode="json")
    place = parameters
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    # How long it is trained is no part of the recipe.
    parameters |= {"epochs": 5, "validate_every": 1, "device": "cuda"}
    assert changes(MNIST, parameters, COUNTS) == [".".join(map(str, path))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made["data"]["sha256"].update(train="0" * 64), "on other data"),
        (lambda made: made["experiment_parameters"].update(k=2), "by another recipe"),
    ],
)
def test_seeds_of_other_images_or_recipes_are_not_averaged(reported, change, message):
    rewrite(Path("reports/quick/runs/quick-mnist-1/training.json"), change)
    with pytest.raises(UserError, match=rf"1/training\.json: trained {message} than quick-mnist-0"):
        collect("quick")


@pytest.mark.parametrize("name", ["curve.csv", "validation.csv"])
def test_a_table_that_is_missing_or_another_is_one_line(reported, workspace, name):
    path = workspace.folder / "reports/quick/runs/quick-mnist-1" / name
    path.write_text("epoch,value\n1,x\n")
    with pytest.raises(UserError, match=rf"{name}: not the file that .*training.json is of"):
        report("quick")
    path.unlink()
    with pytest.raises(UserError, match=rf"1/{name}: no such file; restore .*dvc repro .*:train@"):
        report("quick")


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({}, "seeds: lists no run"),
        ({"mnist": ["0"]}, r"seeds\.mnist\.0: .*integer"),
        ({"mnist": [1, 1]}, "a seed is listed twice"),
        ({"mnits": [0]}, r"experiments\.mnits: no such key"),
        ({"../x": [0]}, r"seeds\.\.\./x"),
    ],
)
def test_a_profile_without_runs_is_one_line(workspace, seeds, message):
    workspace.files["quick"]["seeds"] = seeds
    workspace.write()
    with pytest.raises(UserError, match=message):
        collect("quick")


def test_numbers_are_shown_with_one_decimal():
    assert nats.number(225.04, 1.96) == "225.0\xa0±\xa02.0"
    assert (nats.number(-43.46, None), nats.number(None, None)) == ("−43.5", "–")


def test_figure_2_has_20_samples_by_rows_and_beside_each_row_a_neighbour_in_yellow():
    colours = torch.rand(24, 3, generator=torch.Generator().manual_seed(0))
    images = colours[:, :, None, None].expand(24, 3, 5, 4)
    picture = grid(images[:20], images[20:])
    height, width = 5 + 2 * FRAME + 1, 4 + 2 * FRAME + 1
    assert picture.shape == (3, 4 * height + 1, 6 * width + 1)
    inside = picture[:, 1 + FRAME :: height, 1 + FRAME :: width].permute(1, 2, 0)
    assert torch.equal(inside[:, :5].reshape(20, 3), colours[:20])
    assert torch.equal(inside[:, 5], colours[20:])
    corners = picture[:, 1::height, 1::width].permute(1, 2, 0)
    assert (corners[:, :5] == 0).all()
    torch.testing.assert_close(corners[:, 5], torch.tensor([YELLOW] * 4))


def test_contrast_normalised_images_are_shown_by_the_largest_sample():
    samples = torch.tensor([[-4.0, 2, 0]])
    images = torch.cat([samples, torch.tensor([[8.0, -8, 1]])])  # the last beyond it: clipped
    shown = displayed(images, samples, "cifar10", (3, 1, 1))
    assert shown.flatten(1).tolist() == [[0, 0.75, 0.5], [1, 0, 0.625]]


def test_column_6_belongs_to_each_row_s_fifth_sample(reported, workspace):
    data = json.loads((workspace.run.folder / "figure2.json").read_text())
    samples = open_run(workspace.key).sampler("best").sample(20, 0, "figure2")
    train_images = read_dataset("quick", "mnist").load("train")
    distances = torch.cdist(samples[[4, 9, 14, 19]], train_images).square()
    assert data["nearest_training_index"] == distances.argmin(1).tolist()
    assert data["squared_distance"] == pytest.approx(distances.min(1).values.tolist(), rel=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_nearest_finds_the_first_nearest_whatever_the_chunk(chunk):
    images = torch.tensor([[0.0, 0], [1, 1], [1, 1], [5, 5]])
    queries = torch.tensor([[0.9, 1], [5, 5], [0.1, 0]])
    index, squared = nearest(queries, images, chunk)
    assert index == [1, 3, 0]
    assert squared == pytest.approx([0.01, 0, 0.01], abs=1e-7)


def test_the_readme_s_numbers_are_current(monkeypatch):
    skip_if_edited("paper")
    monkeypatch.chdir(ROOT)
    text = readme.README.read_text(encoding="utf-8")
    assert readme.filled(text) == text
    seeds = {"cifar10_fc": [0]}
    monkeypatch.setattr(readme, "read_params", lambda: SimpleNamespace(group=lambda name: seeds))
    assert "trains 1 runs (cifar10_fc 1)" in readme.filled(text)


def test_committed_results_agree_with_their_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    reports = {path.parent.name for path in Path("reports").glob("*/results.json")}
    for profile in sorted(reports - {"quick"}):  # quick's is not committed, and may be half made
        for row, seed in read_results(profile).seeds:
            folder = Path("reports", profile, "runs", seed.run)
            metrics = json.loads((folder / "metrics.json").read_text())
            last = seed.selected == "last"
            assert seed.test_mean == metrics["last_test_mean" if last else "test_mean"]
            training = json.loads((folder / "training.json").read_text())
            judged = row.experiment == "mnist" and profile == "paper"
            selection = training["experiment_parameters"]["selection"]
            assert last == (selection == "last" or judged)
            validation = pd.read_csv(folder / "validation.csv")
            best = validation.epoch[validation.valid_nats.idxmax()]
            assert seed.best_epoch == (seed.epochs if last else best)
            assert seed.epochs == validation.epoch.max()
            assert {fold.sigma for fold in seed.folds} <= set(seed.sigma)


@pytest.mark.parametrize("name", ["figure2", "figure3", "sample_checks", "parzen_audit"])
def test_what_the_page_would_leave_out_without_a_word_is_missed(measured, name):
    (measured.run.folder / f"{name}.json").unlink()
    again = rf"dvc repro profiles/quick/dvc.yaml:{name}@{measured.key}"
    with pytest.raises(UserError, match=rf"{name}\.json: no such file; .*run `{again}`"):
        report("quick")


@pytest.mark.parametrize("name", ["evaluation.json", "sample_checks.json"])
def test_a_measure_older_than_the_training_is_one_line(reported, workspace, name):
    missing = {"status": "not run", "reason": "no data", "todo": "bring them"}
    write_record(workspace.run.folder / name, workspace.run.model_dump() | missing)
    with pytest.raises(UserError, match=rf"{name}: says 'not run', but {workspace.key} is trained"):
        report("quick")


def test_only_the_paper_s_recipe_on_its_data_is_comparable():
    assert comparable("paper", stand_in=None, changed=[])
    assert not comparable("paper", stand_in="Other faces", changed=[])
    assert not comparable("quick", stand_in=None, changed=[])
    assert not comparable("paper", stand_in=None, changed=["k"])


def test_a_second_report_has_the_same_bytes(reported, workspace):
    removed = Path("reports/quick/curves/removed.png")
    removed.write_bytes(b"of an experiment no longer there")
    before = workspace.content()
    report("quick")
    del before["reports/quick/curves/removed.png"]
    assert workspace.content() == before


def test_a_stand_in_is_named_wherever_its_result_shows(workspace):
    workspace.prepare(stand_in="Random dots & lines | 5$ each$")
    go(workspace.key, "train", "evaluate", "figure2")
    report("quick")
    shown = {
        "README.md": r"Random dots & lines \| 5\$ each\$",
        "index.html": "Random dots &amp; lines | 5$ each$",
        "table1.tex": r"Random dots \& lines",
    }
    for name, text in shown.items():
        assert text in Path("reports/quick", name).read_text()


def test_what_was_not_run_is_reported_with_its_reason(workspace, capsys):
    write_not_run(processed_folder("quick", "mnist"), "mnist", "MNIST is not there", "set a mirror")
    go(workspace.key, "train", "evaluate", "figure2")
    go("quick", "report")
    (row,) = read_results("quick").rows
    (failed,) = row.failed
    assert (failed.run, failed.status) == (workspace.key, "not run")
    assert (failed.reason, failed.todo, row.mean) == ("MNIST is not there", "set a mirror", None)
    assert "mnist: not run; MNIST is not there; set a mirror\n" in capsys.readouterr().out
    assert not list(Path("reports/quick/curves").iterdir())
    assert (workspace.run.folder / "figure2.png").stat().st_size > 1000


def diverge(monkeypatch, update=Trainer.update):
    def exploding(self, *arguments, **options):
        next(self.gan.generator.parameters()).data.fill_(float("inf"))
        return update(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "update", exploding)


def test_a_run_that_diverged_is_reported_as_such(workspace, monkeypatch):
    workspace.prepare(stand_in="Random dots")
    diverge(monkeypatch)
    go(workspace.key, "train", "evaluate", "figure2")
    report("quick")
    (row,) = read_results("quick").rows
    assert (row.status, row.verdict.kind, row.mean) == ("diverged", "diverged", None)
    assert row.failed[0].reason.startswith("training diverged: NaN or infinity in epoch 1")
    assert row.stand_in == "Random dots"


def test_a_seed_that_diverged_stands_beside_those_that_did_not(reported, workspace, monkeypatch):
    third = "quick-mnist-2"
    workspace.list(mnist=[0, 1, 2])
    diverge(monkeypatch)
    go(third, "train", "evaluate", "figure2")
    row = collect("quick").row("mnist")
    assert [seed.seed for seed in row.seeds] == [0, 1]
    assert [failed.run for failed in row.failed] == [third]
    # Listed first, it does not lend the report its figures.
    workspace.list(mnist=[2, 1, 0])
    report("quick")
    page = (workspace.folder / "reports/quick/README.md").read_text()
    assert f"`{third}` has no number: training diverged" in page
    assert "(runs/quick-mnist-1/figure2.png)" in page
    assert f"(runs/{third}/figure2.png)" not in page


def test_a_seed_outside_the_protocol_that_diverged_is_none_of_its_seeds(
    measured, workspace, monkeypatch
):
    protocol = {"mnist": {"epochs": 2, "seeds": [0, 5]}}
    judged = {"published": [workspace.key], "protocol": protocol}

    def judge(seeds):
        workspace.list(mnist=seeds)
        workspace.files["quick"]["presentation"] = judged
        workspace.write()

    judge([0])
    go(workspace.key, "weights", "sample_sets")
    monkeypatch.setattr(collecting, "comparable", lambda *_: True)
    for other, finished in ((7, 1), (5, 2)):
        judge([0, other])
        with monkeypatch.context() as patch:
            diverge(patch)
            go(f"quick-mnist-{other}", "train", "evaluate")
        assert collect("quick").row("mnist").verdict.finished == finished


def test_runs_that_the_protocol_does_not_judge_give_no_verdict(reported, workspace, monkeypatch):
    monkeypatch.setattr(collecting, "comparable", lambda *_: True)
    others = {"protocol": {"mnist": {"epochs": 2, "seeds": [5]}}}
    for seeds in ([0, 1], [0]):
        workspace.list(mnist=seeds)
        workspace.files["quick"]["presentation"] = others
        workspace.write()
        report("quick")
        verdict = read_results("quick").row("mnist").verdict
        assert (verdict.kind, verdict.answer) == ("exploration", None)
        page = (workspace.folder / "reports/quick/README.md").read_text()
        assert "Not decided by these runs" in page
        assert ("The 90 % interval of that difference" in page) == (len(seeds) > 1)


def test_an_experiment_of_the_user_s_own_is_no_released_recipe(workspace):
    workspace.files["paper"]["experiments"]["mine"] = workspace.experiment
    workspace.list(mine=[0])
    go("quick-mine-0", "train", "evaluate", "figure2")
    report("quick")
    (row,) = collect("quick").rows
    assert (row.paper, row.changed) == (None, ["experiments.mine"])
    assert released_recipe("mine", "mnist") == MNIST  # of a variant that changes nothing
    assert "| `mine` | mine |" in (workspace.folder / "reports/quick/README.md").read_text()


def test_a_changed_paper_run_is_not_held_against_the_paper(workspace):
    workspace.list("paper", mnist=[0])
    workspace.prepare(canonical=True, profile="paper")
    go("paper-mnist-0", "train", "evaluate", "figure2")
    report("paper")
    row = collect("paper").row("mnist")
    assert (row.comparable, row.verdict.kind) == (False, "not comparable")
    assert {"batch_size", "data.train", "parzen.samples"} <= set(row.changed)


def test_what_is_followed_but_has_no_run_any_more_is_left_out(reported, workspace):
    workspace.files["quick"]["presentation"] = {"mixing": ["dbn"]}
    workspace.write()
    assert collect("quick").mixing == []


def test_a_changed_number_in_the_readme_is_noticed(tmp_path, monkeypatch, reported, capsys):
    path, results = tmp_path / "reports/paper/results.json", reported | {"profile": "paper"}
    results["inputs"] = {}
    write_record(path, results)
    shutil.copy(ROOT / "README.md", tmp_path)
    assert main(["readme"]) == 0
    assert main(["readme", "--check"]) == 0
    assert nats.number(reported["rows"][0]["mean"]) in (tmp_path / "README.md").read_text()
    results["rows"][0]["mean"] += 1
    write_record(path, results)
    assert main(["readme", "--check"]) == 2
    assert "run `make readme`" in capsys.readouterr().err
    assert main(["readme"]) == 0
    text = Path("README.md").read_bytes()
    Path("README.md").write_bytes(text.replace(b"\n", b"\r\n"))
    assert main(["readme", "--check"]) == 2
    assert "its line endings" in capsys.readouterr().err


def test_the_trend_is_the_slope_of_the_last_third():
    epochs = range(5, 305, 5)  # 60 estimates
    rising = [1000.0 * (-1) ** i for i in range(40)] + [200 + e / 100 for e in epochs[40:]]
    nats = pd.Series(rising, index=epochs)
    found = trend(nats)
    assert found.slope == pytest.approx(1)
    assert found.se == pytest.approx(0, abs=1e-4)
    assert trend(nats[:29]) is None
