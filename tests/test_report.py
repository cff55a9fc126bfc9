import json
import math

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
from paper_repro.diagnostics.sample_checks import sample_checks
from paper_repro.diagnostics.sample_sets import sample_sets
from paper_repro.evaluation.evaluate import evaluate
from paper_repro.evaluation.trained_run import open_run
from paper_repro.figures.figure2 import FRAME, YELLOW, figure2, grid
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
from paper_repro.report.weights import weights
from paper_repro.training.train import train
from tests.conftest import ROOT
from tests.small import collect, rewrite, skip_if_edited

pytestmark = pytest.mark.usefixtures("undrawn")


def report_two_seeds(workspace):
    other = "quick-mnist-1"
    workspace.list(mnist=[0, 1])
    for key in (workspace.key, other):
        train(key)
        evaluate(key)
        figure2(key)
    sample_checks(workspace.key)
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
    row = reported["rows"][0]
    assert row["status"] == "ok"
    assert row["paper"] == {"mean": 225.0, "se": 2.0}
    assert row["comparable"] is False
    means = [seed["test_mean"] for seed in row["seeds"]]
    assert row["mean"] == pytest.approx(sum(means) / 2)
    assert row["seed_sd"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5)


def test_seeds_of_different_recipes_are_not_averaged(workspace):
    workspace.list(mnist=[0, 1])
    for key, epochs in ((workspace.key, 2), ("quick-mnist-1", 3)):
        workspace.change(epochs=epochs)
        train(key)
        evaluate(key)
    with pytest.raises(UserError, match=r"trained by another recipe than quick-mnist-0; run `dvc"):
        collect("quick")


def test_the_measure_is_the_script_s(workspace):
    train(workspace.key)
    evaluate(workspace.key)
    stored = json.loads((workspace.run.folder / "metrics.json").read_text())
    experiment = recipe.experiment(read_params("quick"), "mnist")
    dataset = read_dataset("quick", "mnist")
    samples = open_run(workspace.key).sampler("best").sample(50, 0, "evaluation")
    sigmas = experiment.parzen.sigmas()
    on_valid = log_likelihoods(dataset.load("valid")[:20], samples, sigmas).mean(1)
    sigma = sigmas[int(on_valid.argmax())]
    on_test = log_likelihoods(dataset.load("test"), samples, [sigma])[0].numpy()
    assert stored["sigma"] == sigma
    assert stored["test_mean"] == pytest.approx(on_test.mean())
    assert stored["test_se"] == pytest.approx(on_test.std() / 40**0.5)


def test_evaluation_draws_fresh_samples(workspace):
    train(workspace.key)
    sampler = open_run(workspace.key).sampler("best")
    first = sampler.sample(5, 0, "evaluation")
    assert torch.equal(first, sampler.sample(5, 0, "evaluation"))
    assert not torch.equal(first, sampler.sample(5, 0, "validation/2"))
    assert not torch.equal(first, sampler.sample(5, 1, "evaluation"))


def test_the_csv_has_a_line_a_run(reported, workspace):
    table = pd.read_csv(workspace.folder / "reports/quick/results.csv")
    seeds = reported["rows"][0]["seeds"]
    assert table.run.tolist() == [seed["run"] for seed in seeds]
    assert table.test_mean.tolist() == [seed["test_mean"] for seed in seeds]
    assert table.experiment.tolist() == ["mnist"] * 2


MNIST = released_recipe("mnist", "mnist")
COUNTS = {"train": 50_000, "valid": 10_000, "test": 10_000}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mnist", COUNTS),
        ("mnist_notebook", COUNTS),
        ("tfd_pretrain", {"train": 98_058, "valid1": 400, "test1": 800}),
        ("tfd", {"train": 98_058, "valid1": 400, "test1": 800}),
        ("cifar10_fc", COUNTS | {"train": 40_000}),
        ("cifar10_conv", COUNTS | {"train": 40_000}),
    ],
)
def test_the_committed_parameters_are_the_released_recipe(params, name, counts):
    parameters = recipe.experiment(params, name).model_dump(mode="json")
    released = released_recipe(name, name)
    assert changes(released, parameters, counts) == []
    assert changes(released, parameters, counts | {"train": 5}) == ["data.train"]


def test_how_long_mnist_is_trained_is_no_part_of_its_recipe(params):
    parameters = recipe.experiment(params, "mnist").model_dump(mode="json")
    longer = parameters | {"epochs": 5, "validate_every": 1, "device": "cuda"}
    assert changes(MNIST, longer, COUNTS) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("update",), "alternating"),
        (("noise",), "gaussian"),
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
    assert changes(MNIST, parameters, COUNTS) == [".".join(map(str, path))]


def test_fewer_images_or_layers_are_named(params):
    parameters = recipe.experiment(params, "mnist").model_dump(mode="json")
    assert changes(MNIST, parameters, COUNTS | {"test": 100}) == ["data.test"]
    parameters["generator"] = parameters["generator"][1:]
    assert changes(MNIST, parameters, COUNTS) == ["generator"]


def test_seeds_that_saw_other_images_are_not_averaged(reported, workspace):
    path = workspace.folder / "reports/quick/runs/quick-mnist-1/training.json"
    rewrite(path, lambda record: record["data"]["sha256"].update(train="0" * 64))
    with pytest.raises(UserError, match=r"quick-mnist-1/training\.json: trained on other data"):
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
    ("change", "message"),
    [
        (lambda profile: profile.update(seeds={}), "seeds: lists no run"),
        (lambda profile: profile.update(seeds={"mnist": ["0"]}), r"seeds\.mnist\.0: .*integer"),
        (lambda profile: profile.update(seeds={"mnist": [1, 1]}), "a seed is listed twice"),
        (lambda profile: profile.update(seeds={"mnits": [0]}), r"experiments\.mnits: no such key"),
        (lambda profile: profile.update(seeds={"../x": [0]}), r"seeds\.\.\./x"),
    ],
)
def test_a_profile_without_runs_is_one_line(workspace, change, message):
    change(workspace.files["quick"])
    workspace.write()
    with pytest.raises(UserError, match=message):
        collect("quick")


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(225.04, 1.96, "225.0\xa0±\xa02.0"), (-43.46, None, "−43.5"), (None, None, "–")],
)
def test_numbers_are_shown_with_one_decimal(mean, error, text):
    assert nats.number(mean, error) == text


@pytest.mark.parametrize("shape", [(3, 4), (3, 3, 4)])
def test_figure_2_is_laid_out_as_in_the_paper(shape):
    count = math.prod(shape)
    samples = torch.arange(1, 21)[:, None].expand(20, count) / 100  # each its own grey
    neighbours = torch.tensor([0.5, 0.6, 0.7, 0.8])[:, None].expand(4, count)
    picture = grid(*(displayed(x, samples, "mnist", shape) for x in (samples, neighbours)))
    height, width = 3 + 2 * FRAME + 1, 4 + 2 * FRAME + 1
    assert picture.shape == (3, 4 * height + 1, 6 * width + 1)

    def tile(row, column):
        top, left = 1 + row * height, 1 + column * width
        return picture[:, top : top + height - 1, left : left + width - 1]

    for row in range(4):
        for column in range(5):
            inside = tile(row, column)[:, FRAME:-FRAME, FRAME:-FRAME]
            assert inside.unique().item() == pytest.approx((row * 5 + column + 1) / 100)
        last = tile(row, 5)
        assert last[:, FRAME:-FRAME, FRAME:-FRAME].unique().item() == neighbours[row, 0]
        assert last[:, 0, 0].tolist() == pytest.approx(YELLOW)
        assert tile(row, 4)[:, 0, 0].tolist() == [0, 0, 0]


def test_colours_keep_their_channels():
    samples = torch.zeros(20, 3, 2, 2)
    samples[0, 1] = 0.5  # green
    picture = grid(samples, torch.zeros(4, 3, 2, 2))
    assert picture[:, 1 + FRAME, 1 + FRAME].tolist() == [0, 0.5, 0]


def test_contrast_normalised_images_are_shown_by_the_largest_sample():
    samples = torch.tensor([[-4.0, 2, 0]])
    neighbours = torch.tensor([[8.0, -8, 1]])  # beyond the samples: clipped
    for images, expected in ((samples, [0, 0.75, 0.5]), (neighbours, [1, 0, 0.625])):
        shown = displayed(images, samples, "cifar10", (3, 1, 1))
        assert shown.shape == (1, 3, 1, 1)
        assert shown.flatten().tolist() == expected


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


def test_committed_results_agree_with_their_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in sorted((ROOT / "reports").glob("*/results.json")):
        committed = json.loads(path.read_text())
        for row in committed["rows"]:
            for seed in row["seeds"]:
                folder = path.parent / "runs" / seed["run"]
                metrics = json.loads((folder / "metrics.json").read_text())
                last = seed["selected"] == "last"
                assert seed["test_mean"] == metrics["last_test_mean" if last else "test_mean"]
                validation = pd.read_csv(folder / "validation.csv")
                training = json.loads((folder / "training.json").read_text())
                judged = row["experiment"] == "mnist" and path.parent.name == "paper"
                selection = training["experiment_parameters"]["selection"]
                assert last == (selection == "last" or judged)
                best = validation.epoch[validation.valid_nats.idxmax()]
                assert seed["best_epoch"] == (seed["epochs"] if last else best)
                assert seed["epochs"] == validation.epoch.max()
                for fold in seed["folds"]:
                    assert fold["sigma"] in seed["sigma"]


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


def test_results_are_read_as_they_were_collected(reported):
    assert read_results("quick").model_copy(update={"content_sha256": None}) == collect("quick")


def test_only_the_paper_s_recipe_on_its_data_is_comparable():
    assert comparable("paper", stand_in=None, changed=[])
    assert not comparable("paper", stand_in="Other faces", changed=[])
    assert not comparable("quick", stand_in=None, changed=[])
    assert not comparable("paper", stand_in=None, changed=["k"])


def test_a_second_report_has_the_same_bytes(reported, workspace):
    folder = workspace.folder / "reports/quick"
    (folder / "curves/removed.png").write_bytes(b"of an experiment no longer there")

    def files():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first = files()
    report("quick")
    del first[folder / "curves/removed.png"]
    assert files() == first
    earlier = {"runs", "circumstances"}  # the stages before the report wrote these
    made = {p.relative_to(folder).as_posix() for p in first if not earlier & set(p.parts)}
    given = {"figure1.json", "figure1.png", "notes.md", "release.json"}
    drawn = {f"curves/{n}.{s}" for n in ("mnist", "gradients") for s in ("png", "pdf")}
    tables_made = {"table1.tex", "results.csv", "summary.md", "results.schema.json"}
    pages = {"README.md", "index.html", "results.json", "metadata.yaml", "bibliography.bib"}
    assert made - given == drawn | tables_made | pages


def test_a_stand_in_is_named_wherever_its_result_shows(workspace):
    workspace.prepare(stand_in="Random dots & lines | 5$ each$")
    train(workspace.key)
    evaluate(workspace.key)
    figure2(workspace.key)
    report("quick")
    folder = workspace.folder / "reports/quick"
    row = json.loads((folder / "results.json").read_text())["rows"][0]
    assert row["stand_in"] == "Random dots & lines | 5$ each$"
    assert (folder / "README.md").read_text().count(r"Random dots & lines \| 5\$ each\$") >= 3
    assert (folder / "index.html").read_text().count("Random dots &amp; lines | 5$ each$") >= 3
    assert r"Random dots \& lines" in (folder / "table1.tex").read_text()


def test_what_was_not_run_is_reported_with_its_reason(workspace, capsys):
    write_not_run(processed_folder("quick", "mnist"), "mnist", "MNIST is not there", "set a mirror")
    for command in (
        ["train", workspace.key],
        ["evaluate", workspace.key],
        ["figure2", workspace.key],
        ["report", "quick"],
    ):
        assert main(command) == 0
    folder = workspace.folder / "reports/quick"
    row = json.loads((folder / "results.json").read_text())["rows"][0]
    assert row["failed"] == [
        {
            "run": workspace.key,
            "status": "not run",
            "reason": "MNIST is not there",
            "todo": "set a mirror",
        }
    ]
    assert row["mean"] is None
    assert "mnist: not run; MNIST is not there; set a mirror\n" in capsys.readouterr().out
    assert not list((folder / "curves").iterdir())
    assert (workspace.run.folder / "figure2.png").stat().st_size > 1000


def diverge(monkeypatch, update=Trainer.update):
    def exploding(self, *arguments, **options):
        next(self.gan.generator.parameters()).data.fill_(float("inf"))
        return update(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "update", exploding)


def test_a_run_that_diverged_is_reported_as_such(workspace, monkeypatch):
    workspace.prepare(stand_in="Random dots")
    diverge(monkeypatch)
    for command in ("train", "evaluate", "figure2"):
        assert main([command, workspace.key]) == 0
    report("quick")
    folder = workspace.folder / "reports/quick"
    row = json.loads((folder / "results.json").read_text())["rows"][0]
    assert (row["status"], row["verdict"]["kind"], row["mean"]) == ("diverged", "diverged", None)
    assert row["failed"][0]["reason"].startswith("training diverged: NaN or infinity in epoch 1")
    assert row["stand_in"] == "Random dots"


def test_a_seed_that_diverged_stands_beside_those_that_did_not(reported, workspace, monkeypatch):
    third = "quick-mnist-2"
    workspace.list(mnist=[0, 1, 2])
    diverge(monkeypatch)
    for command in ("train", "evaluate", "figure2"):
        assert main([command, third]) == 0
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
    key = workspace.key

    def judge(seeds):
        workspace.list(mnist=seeds)
        workspace.files["quick"]["presentation"] = {"published": [key], "protocol": protocol}
        workspace.write()

    judge([0])
    weights(key)
    sample_sets(key)
    monkeypatch.setattr(collecting, "comparable", lambda *_: True)
    for other, finished in ((7, 1), (5, 2)):
        judge([0, other])
        with monkeypatch.context() as patch:
            diverge(patch)
            for command in ("train", "evaluate"):
                assert main([command, f"quick-mnist-{other}"]) == 0
        assert collect("quick").row("mnist").verdict.finished == finished


def test_an_experiment_of_the_user_s_own_is_no_released_recipe(workspace):
    workspace.files["paper"]["experiments"]["mine"] = workspace.experiment
    workspace.list(mine=[0])
    for command in ("train", "evaluate", "figure2"):
        assert main([command, "quick-mine-0"]) == 0
    report("quick")
    (row,) = collect("quick").rows
    assert (row.paper, row.changed) == (None, ["experiments.mine"])
    assert "| `mine` | mine |" in (workspace.folder / "reports/quick/README.md").read_text()


def test_a_variant_that_changes_nothing_is_the_released_recipe():
    assert released_recipe("mine", "mnist") == MNIST
    assert released_recipe("tfd", "tfd_pretrain")["parameters"]["epochs"] == 22
    assert released_recipe("mine", "mine") is None


def test_a_changed_paper_run_is_not_held_against_the_paper(workspace):
    key = "paper-mnist-0"
    workspace.list("paper", mnist=[0])
    workspace.prepare(canonical=True, profile="paper")
    train(key)
    evaluate(key)
    figure2(key)
    report("paper")
    row = collect("paper").row("mnist")
    assert (row.comparable, row.verdict.kind) == (False, "not comparable")
    assert {"batch_size", "data.train", "parzen.samples"} <= set(row.changed)


def test_a_changed_number_in_the_readme_is_noticed(tmp_path, monkeypatch, reported, capsys):
    folder = tmp_path / "reports/paper"
    folder.mkdir(exist_ok=True)
    results = reported | {"profile": "paper", "inputs": {}}
    write_record(folder / "results.json", results)
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text(encoding="utf-8"))
    assert main(["readme"]) == 0
    assert main(["readme", "--check"]) == 0
    assert nats.number(reported["rows"][0]["mean"]) in (tmp_path / "README.md").read_text()
    results["rows"][0]["mean"] += 1
    write_record(folder / "results.json", results)
    assert main(["readme", "--check"]) == 2
    assert "run `make readme`" in capsys.readouterr().err


def test_the_trend_is_the_slope_of_the_last_third():
    epochs = range(5, 305, 5)  # 60 estimates
    falling = [1000.0 * (-1) ** i for i in range(40)] + [200 + 0.01 * e for e in epochs[40:]]
    nats = pd.Series(falling, index=epochs)
    found = trend(nats)
    assert found.slope == pytest.approx(1)
    assert found.se == pytest.approx(0, abs=1e-4)
    assert trend(nats[:29]) is None
