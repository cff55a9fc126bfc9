import base64
import copy
import json
import math
import re

import pandas as pd
import pytest
import torch
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from paper_repro.__main__ import main
from paper_repro.core.dataset import processed_folder, read_dataset, write_not_run
from paper_repro.core.errors import UserError
from paper_repro.core.params import read_params
from paper_repro.core.records import write_record
from paper_repro.core.runs import read_run
from paper_repro.diagnostics.nearest import nearest
from paper_repro.diagnostics.sample_checks import sample_checks
from paper_repro.evaluation.evaluate import evaluate
from paper_repro.evaluation.trained_run import open_run
from paper_repro.figures.figure2 import FRAME, YELLOW, displayed, figure2, grid
from paper_repro.gan.model import recipe
from paper_repro.gan.train import train
from paper_repro.gan.update import Trainer
from paper_repro.parzen.likelihood import log_likelihoods
from paper_repro.report import formatting as nats
from paper_repro.report import readme, tables
from paper_repro.report.citation import metadata
from paper_repro.report.page import write_page
from paper_repro.report.released import changes
from paper_repro.report.report import report
from paper_repro.report.results import comparable, trend
from paper_repro.report.schema import json_schema
from tests.conftest import ROOT
from tests.small import collect, rewrite


@pytest.fixture
def reported(workspace):
    """A profile of two seeds, trained, measured, drawn and reported."""
    other = "quick-mnist-1"
    workspace.list(mnist=[0, 1])
    for key in (workspace.key, other):
        train(key)
        evaluate(key)
        figure2(key)
    sample_checks(workspace.key)
    report("quick")
    return json.loads((workspace.folder / "reports/quick/results.json").read_text())


@pytest.mark.parametrize("profile", ["paper", "quick", "stand-in"])
def test_committed_results_follow_their_schema(profile):
    folder = ROOT / "reports" / profile
    schema = json.loads((folder / "results.schema.json").read_text())
    assert schema == json_schema()
    Draft202012Validator(schema).validate(json.loads((folder / "results.json").read_text()))


@pytest.mark.parametrize(
    "change",
    [
        lambda results: results.pop("claims"),
        lambda results: results.update(extra=1),
        lambda results: results["rows"][0].pop("seed_sd"),
        lambda results: results["rows"][0]["seeds"][0].update(test_mean="191"),
        lambda results: results["rows"][0]["verdict"].update(interval=[1.0, 2.0, 3.0]),
    ],
)
def test_the_schema_refuses_other_forms(reported, change):
    validator = Draft202012Validator(json_schema())
    validator.validate(reported)
    change(reported)
    assert not validator.is_valid(reported)


def test_results_hold_the_seeds_and_what_they_make_together(reported):
    row = reported["rows"][0]
    assert row["status"] == "ok"
    assert row["paper"] == {"mean": 225.0, "se": 2.0}
    assert row["canonical_data"] is False
    assert row["comparable"] is False
    means = [seed["test_mean"] for seed in row["seeds"]]
    assert row["mean"] == pytest.approx(sum(means) / 2)
    assert row["seed_sd"] == pytest.approx(abs(means[0] - means[1]) / 2**0.5)


def test_a_variant_stands_beside_the_same_epochs_of_the_original(workspace):
    other = "quick-mnist_bfloat16-0"
    variant = {"base": "mnist", "precision": "bfloat16", "epochs": 4}
    workspace.files["paper"]["experiments"]["mnist_bfloat16"] = variant
    workspace.list(mnist=[0], mnist_bfloat16=[0])
    for key in (workspace.key, other):
        train(key)
        evaluate(key)
    results = collect("quick")
    (variant,) = results["variants"]
    assert (variant["run"], variant["original"]) == (other, workspace.key)
    measured = {
        key: pd.read_csv(f"reports/quick/runs/{key}/validation.csv").valid_nats.tolist()
        for key in (workspace.key, other)
    }
    assert len(measured[other]) == 4
    assert variant["epochs"] == [1, 2]  # the original has no more
    assert variant["valid_nats"] == measured[other][:2]
    assert variant["original_valid_nats"] == measured[workspace.key]
    differences = [a - b for a, b in zip(measured[other], measured[workspace.key], strict=False)]
    assert variant["mean_difference"] == pytest.approx(sum(differences) / 2)
    assert variant["sd_difference"] == pytest.approx(abs(differences[0] - differences[1]) / 2**0.5)
    row = next(row for row in results["rows"] if row["experiment"] == "mnist_bfloat16")
    assert "precision" in row["changed"]
    assert not row["comparable"]
    assert tables.variants(results)["Difference"].tolist() == [
        nats.signed(difference) for difference in differences
    ]
    folder = read_run(other)[1].folder
    whole = pd.read_csv(folder / "validation.csv")
    best = json.loads((folder / "metrics.json").read_text())["best_epoch"]
    whole[whole.epoch == best].to_csv(folder / "validation.csv", index=False)
    rewrite(folder / "training.json")
    assert collect("quick")["variants"] == []  # one epoch has no spread
    whole[whole.epoch != best].to_csv(folder / "validation.csv", index=False)
    rewrite(folder / "training.json")
    with pytest.raises(UserError, match=rf"validation\.csv: has no epoch {best}, of which train"):
        collect("quick")


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


def test_numbers_on_the_page_and_in_the_table_are_those_of_the_results(reported, workspace):
    folder = workspace.folder / "reports/quick"
    page, table = (folder / "index.html").read_text(), (folder / "table1.md").read_text()
    for row in reported["rows"]:
        for seed in row["seeds"]:
            for text in (
                nats.number(seed["test_mean"], seed["test_se"]),
                nats.number(seed["last_test_mean"], seed["last_test_se"]),
                f"{seed['sigma'][0]:.4f}",
                seed["run"],
            ):
                assert text in page
                assert text in table
        assert nats.number(row["mean"]) in page
        assert nats.number(row["seed_sd"]) in table
    for text in ("2.5e−16", "C(G) = −log 4"):
        assert text in page
        assert text in table
    assert "1 of 1 checks hold" in page
    assert "not comparable" in table
    assert "Not comparable with the paper" in page


def test_the_latex_table_holds_the_same_numbers(reported, workspace):
    text = (workspace.folder / "reports/quick/table1.tex").read_text()
    assert text.isascii()  # so that any engine sets it
    assert text.startswith("\\begin{tabular}")
    assert "\\toprule" in text
    assert "\\input" not in text
    shown = nats.number(reported["rows"][0]["mean"]).replace("−", "$-$")
    assert shown in text
    assert "225.0 $\\pm$ 2.0" in text
    assert not re.search(r"(?<!\\)[_%&#]", re.sub(r" & ", " ", text))


def test_the_summary_has_the_sections_and_the_numbers(reported, workspace):
    text = (workspace.folder / "reports/quick/summary.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == [
        "Scope of reproducibility",
        "Methodology",
        "Results",
        "What was easy",
        "What was difficult",
        "Communication with the original authors",
    ]
    assert "**not comparable with the paper**" in text
    assert nats.number(reported["rows"][0]["mean"]) in text
    for line in reported["claims"]:
        shown = line["number"] if line["question"] else f"({line['where']})"
        assert f"- {line['claim']} {shown}: {line['verdict']}" in text
    assert "`quick-mnist-1`: 2 epochs, 14 updates" in text
    assert "\n\n\n" not in text


def test_the_csv_has_a_line_a_run(reported, workspace):
    table = pd.read_csv(workspace.folder / "reports/quick/results.csv")
    seeds = reported["rows"][0]["seeds"]
    assert table.run.tolist() == [seed["run"] for seed in seeds]
    assert table.test_mean.tolist() == [seed["test_mean"] for seed in seeds]
    assert table.experiment.tolist() == ["mnist"] * 2


def test_the_page_is_one_file_with_described_pictures(reported, workspace):
    folder = workspace.folder / "reports/quick"
    page = (folder / "index.html").read_text()
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)"[^>]*? alt="([^"]+)"', page)
    assert len(pictures) == page.count("<img") == 4
    assert all(alt for _, alt in pictures)
    shown = {base64.b64decode(content) for content, _ in pictures}
    places = ("figure1.png", "theory.png", "curves/mnist.png", "runs/quick-mnist-0/figure2.png")
    assert shown == {(folder / place).read_bytes() for place in places}
    files = (
        r"runs/quick-mnist-[01]/(sample_checks\.json|figure2\.json|curve\.csv)|results\.json|results\.schema\.json|results\.csv|"
        r"table1\.md|table1\.tex|summary\.md|metadata\.yaml|ro-crate-metadata\.json|(theory|figure1)\.json|"
        r"\.\./(benchmarks|ablations)/index\.html"
    )
    links = rf'(src|href)="(?!data:|#|https://arxiv|https://github.com/goodfeli|{files})'
    assert not re.search(links, page)
    assert "<script>" in page
    assert "<script src" not in page


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
    toy = {"theory.json", "theory.png", "figure1.json", "figure1.png"}
    tables_made = {"table1.md", "table1.tex", "results.csv", "summary.md", "results.schema.json"}
    to_cite = {"metadata.yaml", "bibliography.bib", "ro-crate-metadata.json"}
    assert made - toy == {"results.json", "index.html", "curves/mnist.png", *tables_made, *to_cite}


def test_a_stand_in_is_named_wherever_its_result_shows(workspace):
    workspace.prepare(stand_in="Random dots & lines | 5$ each$")
    train(workspace.key)
    evaluate(workspace.key)
    figure2(workspace.key)
    report("quick")
    folder = workspace.folder / "reports/quick"
    row = json.loads((folder / "results.json").read_text())["rows"][0]
    assert row["stand_in"] == "Random dots & lines | 5$ each$"
    assert r"Random dots & lines \| 5\$ each\$" in (folder / "table1.md").read_text()
    assert (folder / "index.html").read_text().count("Random dots &amp; lines") >= 3


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
    assert (row["status"], row["reason"], row["todo"]) == (
        "not run",
        "MNIST is not there",
        "set a mirror",
    )
    assert row["mean"] is None
    assert "| not run: MNIST is not there |" in (folder / "table1.md").read_text()
    page = (folder / "index.html").read_text()
    assert "mnist: not run." in page
    assert "MNIST is not there; set a mirror." in page
    assert "mnist: not run: MNIST is not there; set a mirror\n" in capsys.readouterr().out
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
    assert row["status"] == "diverged"
    assert row["mean"] is None
    line = "diverged, on stand-in data (Random dots): training diverged: NaN or infinity in epoch 1"
    assert line in (folder / "table1.md").read_text()
    page = (folder / "index.html").read_text()
    assert "mnist: diverged, on stand-in data (Random dots)." in page
    assert "It diverged: nothing was measured." in page


def test_a_seed_that_diverged_stands_beside_those_that_did_not(reported, workspace, monkeypatch):
    third = "quick-mnist-2"
    workspace.list(mnist=[0, 1, 2])
    diverge(monkeypatch)
    for command in ("train", "evaluate", "figure2"):
        assert main([command, third]) == 0
    row = collect("quick")["rows"][0]
    assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
    assert [run["run"] for run in row["failed"]] == [third]
    assert f"{third}: training diverged" in tables.remark(row, "quick")
    # Listed first, it does not lend the report its figures.
    workspace.list(mnist=[2, 1, 0])
    report("quick")
    page = (workspace.folder / "reports/quick/index.html").read_text()
    shown = [base64.b64decode(x) for x in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
    folder = workspace.folder / "reports/quick/runs"
    assert (folder / "quick-mnist-1/figure2.png").read_bytes() in shown
    assert (folder / third / "figure2.png").read_bytes() not in shown


def test_only_the_paper_s_recipe_on_its_data_is_comparable():
    assert comparable("paper", stand_in=None, changed=[])
    assert not comparable("paper", stand_in="Other faces", changed=[])
    assert not comparable("quick", stand_in=None, changed=[])
    assert not comparable("paper", stand_in=None, changed=["k"])


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
    assert changes(name, parameters, counts) == []
    assert changes(name, parameters, counts | {"train": 5}) == ["data.train"]


def test_an_experiment_of_the_user_s_own_is_no_released_recipe(workspace):
    workspace.files["paper"]["experiments"]["mine"] = workspace.experiment
    workspace.list(mine=[0])
    for command in ("train", "evaluate", "figure2"):
        assert main([command, "quick-mine-0"]) == 0
    report("quick")
    (row,) = collect("quick")["rows"]
    assert (row["title"], row["paper"], row["changed"]) == ("mine", None, ["experiments.mine"])


def test_how_long_mnist_is_trained_is_no_part_of_its_recipe(params):
    parameters = recipe.experiment(params, "mnist").model_dump(mode="json")
    longer = parameters | {"epochs": 5, "validate_every": 1, "device": "cuda"}
    assert changes("mnist", longer, COUNTS) == []


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
    assert changes("mnist", parameters, COUNTS) == [".".join(map(str, path))]


def test_fewer_images_or_layers_are_named(params):
    parameters = recipe.experiment(params, "mnist").model_dump(mode="json")
    assert changes("mnist", parameters, COUNTS | {"test": 100}) == ["data.test"]
    parameters["generator"] = parameters["generator"][1:]
    assert changes("mnist", parameters, COUNTS) == ["generator"]


def test_a_changed_paper_run_is_not_held_against_the_paper(workspace):
    key = "paper-mnist-0"
    workspace.list("paper", mnist=[0])
    workspace.prepare(canonical=True, profile="paper")
    train(key)
    evaluate(key)
    figure2(key)
    report("paper")
    row = json.loads((workspace.folder / "reports/paper/results.json").read_text())["rows"][0]
    assert row["comparable"] is False
    assert {"batch_size", "data.train", "parzen.samples"} <= set(row["changed"])
    page = (workspace.folder / "reports/paper/index.html").read_text()
    assert "The run differs from the released recipe in batch_size, data.test" in page
    assert "<p>Verdict:" not in page


def test_seeds_that_saw_other_images_are_not_averaged(reported, workspace):
    path = workspace.folder / "reports/quick/runs/quick-mnist-1/training.json"
    rewrite(path, lambda record: record["data"]["sha256"].update(train="0" * 64))
    with pytest.raises(UserError, match=r"quick-mnist-1/training\.json: trained on other data"):
        collect("quick")


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (None, "no such file"),
        ("", "no such table"),
        ("\n\n", "no such table"),
        ("epoch,value\n1,x\n", "no such table"),
    ],
)
@pytest.mark.parametrize("name", ["curve.csv", "validation.csv"])
def test_a_table_that_is_missing_or_empty_is_one_line(reported, workspace, name, content, trouble):
    path = workspace.folder / "reports/quick/runs/quick-mnist-1" / name
    path.unlink()
    if content is not None:
        path.write_text(content)
        with pytest.raises(UserError, match=rf"{name}: not the file that .*training.json is of"):
            report("quick")
        rewrite(path.with_name("training.json"))  # as if it had been written so
    with pytest.raises(UserError, match=rf"quick-mnist-1/{name}: {trouble}.*dvc repro .*:train@"):
        report("quick")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda profile: profile.pop("seeds"), r"quick/params\.yaml: seeds: no such key"),
        (lambda profile: profile.update(seeds={}), "seeds: lists no run"),
        (lambda profile: profile.update(seeds=None), "seeds: must be a mapping"),
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


def test_a_killed_stage_s_temporary_file_is_no_result(reported, workspace):
    (workspace.run.folder / ".training.json.x.tmp.json").write_text("{")
    report("quick")
    text = (workspace.folder / "reports/quick/ro-crate-metadata.json").read_text()
    assert ".tmp" not in text


def test_an_unknown_profile_is_an_error_and_writes_nothing(workspace, capsys):
    assert main(["report", "quik"]) == 2
    assert (
        "profiles: no profile 'quik' (there: paper, ablations, quick, stand-in)"
        in capsys.readouterr().err
    )
    assert not (workspace.folder / "reports/quik").exists()


def test_a_run_removed_from_the_list_leaves_the_report(reported, workspace):
    workspace.list(mnist=[0])
    row = collect("quick")["rows"][0]
    assert [seed["seed"] for seed in row["seeds"]] == [0]
    assert row["seed_sd"] is None


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
    picture = grid(samples, neighbours, shape)
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
    picture = grid(samples.flatten(1), torch.zeros(4, 12), (3, 2, 2))
    assert picture[:, 1 + FRAME, 1 + FRAME].tolist() == [0, 0.5, 0]


def test_contrast_normalised_images_are_shown_by_the_largest_sample():
    samples = torch.tensor([[-4.0, 2, 0]])
    assert displayed(samples, samples).tolist() == [[0, 0.75, 0.5]]
    neighbours = torch.tensor([[8.0, -8, 1]])  # beyond the samples: clipped
    assert displayed(neighbours, samples).tolist() == [[1, 0, 0.625]]


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
    monkeypatch.chdir(ROOT)
    text = readme.README.read_text(encoding="utf-8")
    assert readme.filled(text) == text


def test_a_changed_number_in_the_readme_is_noticed(tmp_path, monkeypatch, reported, capsys):
    results = copy.deepcopy(reported)
    folder = tmp_path / "reports/paper"
    folder.mkdir(exist_ok=True)
    write_record(folder / "results.json", results)
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text(encoding="utf-8"))
    assert main(["readme"]) == 0
    assert main(["readme", "--check"]) == 0
    text = (tmp_path / "README.md").read_text()
    assert nats.number(reported["rows"][0]["seeds"][0]["test_mean"]) in text
    results["rows"][0]["seeds"][0]["test_mean"] += 1
    write_record(folder / "results.json", results)
    assert main(["readme", "--check"]) == 2
    assert "run `make readme`" in capsys.readouterr().err


def test_committed_results_agree_with_their_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in sorted((ROOT / "reports").glob("*/results.json")):
        committed = json.loads(path.read_text())
        for row in committed["rows"]:
            for seed in row["seeds"]:
                folder = path.parent / "runs" / seed["run"]
                metrics = json.loads((folder / "metrics.json").read_text())
                assert seed["test_mean"] == metrics["test_mean"]
                validation = pd.read_csv(folder / "validation.csv")
                training = json.loads((folder / "training.json").read_text())
                selection = training["experiment_parameters"]["selection"]
                best = validation.epoch[validation.valid_nats.idxmax()]
                expected = best if selection == "best_validation" else seed["epochs"]
                assert seed["best_epoch"] == expected
                assert seed["epochs"] == validation.epoch.max()
                for fold in seed["folds"]:
                    assert fold["sigma"] in seed["sigma"]


@pytest.mark.parametrize("name", ["evaluation.json", "sample_checks.json"])
def test_a_measure_older_than_the_training_is_one_line(reported, workspace, name):
    missing = {"status": "not run", "reason": "no data", "todo": "bring them"}
    write_record(workspace.run.folder / name, workspace.run.model_dump() | missing)
    with pytest.raises(UserError, match=rf"{name}: says 'not run', but {workspace.key} is trained"):
        report("quick")


def test_every_experiment_without_a_result_is_named_with_its_own_data(reported, workspace):
    folder = workspace.folder / "reports/quick"
    results = reported
    for name, stand_in in (("one", "Dots"), ("two", "Dots"), ("three", "Stripes")):
        results["rows"].append(
            results["rows"][0]
            | {"experiment": name, "status": "diverged", "stand_in": stand_in, "seeds": []}
            | {"reason": "training diverged", "todo": "lower it", "mean": None, "paper": None}
        )
    picture = workspace.run.folder / "figure2.png"
    write_page(results, {"mnist": {"figure2": picture, "curves": picture}}, folder)
    page = (folder / "index.html").read_text()
    assert "one, two: diverged, on stand-in data (Dots)." in page
    assert "three: diverged, on stand-in data (Stripes)." in page
    abstract = YAML(typ="safe", pure=True).load(metadata(results))["abstract"]
    title = results["rows"][0]["title"]
    assert f"Diverged: {title} (on Dots); {title} (on Dots); {title} (on Stripes)." in abstract


def test_what_is_said_of_the_length_on_mnist_holds_of_that_length_only(reported):
    row = reported["rows"][0]

    def told(profile, epochs):
        seeds = [seed | {"epochs": epochs} for seed in row["seeds"]]
        results = reported | {"profile": profile, "rows": [row | {"seeds": seeds, "changed": []}]}
        return tables.raised(results), set(tables.lengths(results)["Why so long"])

    assert told("paper", tables.RAISED_TO) == (tables.RAISED, {"ours, raised in steps; see below"})
    for profile, epochs in (("paper", 100), ("quick", tables.RAISED_TO)):
        assert told(profile, epochs)[0] == ""
        assert "raised" not in told(profile, epochs)[1].pop()


@pytest.mark.parametrize(
    ("profile", "name", "changed", "why"),
    [
        ("paper", "mnist", [], "neither paper nor code states one; ours, in params.yaml"),
        ("paper", "tfd", ["sgd.learning_rate"], "the released code's"),
        ("paper", "tfd", ["epochs"], "set in params.yaml for the paper profile"),
        ("quick", "tfd", [], "set in profiles/quick/params.yaml for the quick profile"),
    ],
)
def test_why_a_run_is_as_long_as_it_is(reported, profile, name, changed, why):
    row = reported["rows"][0] | {"experiment": name, "changed": changed}
    table = tables.lengths(reported | {"profile": profile, "rows": [row]})
    assert set(table["Why so long"]) == {why}


def test_the_trend_is_the_slope_of_the_last_third():
    epochs = pd.Series(range(5, 305, 5), dtype=float)  # 60 estimates
    nats = pd.Series(
        [1000.0 * (-1) ** i for i in range(40)] + [200 + 0.01 * e for e in epochs[40:]]
    )
    found = trend(epochs, nats)
    assert found["slope"] == pytest.approx(1)
    assert found["se"] == pytest.approx(0, abs=1e-4)
    assert trend(epochs[:29], nats[:29]) is None
