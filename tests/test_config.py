import copy

import pytest

from paper_repro import config
from paper_repro.errors import UserError


def changed(params, path, value):
    params = copy.deepcopy(params)
    place = params
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return params


def without(params, path):
    params = copy.deepcopy(params)
    place = params
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return params


def test_the_paper_profile_is_the_specification(params):
    e = config.experiment(params, "paper", "mnist")
    assert [(x.layer, x.units, x.init.uniform) for x in e.generator] == [
        ("relu", 1200, 0.05),
        ("relu", 1200, 0.05),
        ("sigmoid", 784, 0.05),
    ]
    assert [(x.layer, x.units, x.init.uniform) for x in e.discriminator] == [
        ("maxout", 240, 0.005),
        ("maxout", 240, 0.005),
        ("sigmoid", 1, 0.005),
    ]
    assert [getattr(x, "pieces", None) for x in e.discriminator] == [5, 5, None]
    assert [(x.keep, x.scale) for x in e.discriminator] == [(0.8, 1.25), (0.5, 2), (0.5, 2)]
    assert [x.bias for x in e.generator] == [0, 0, "logit_of_marginals"]
    assert (e.noise, e.noise_dimension, e.batch_size) == ("uniform", 100, 100)
    assert (e.update, e.k) == ("simultaneous", 1)
    assert (e.generator_loss, e.discriminator_loss) == ("non_saturating", "half_sum")
    assert e.sgd.learning_rate == 0.1
    assert e.sgd.max_column_norm is None
    assert e.precision == "float32"
    assert e.parzen.samples == 10_000
    assert e.parzen.sigma_images == 1000
    published = [0.1, 0.1292, 0.1668, 0.2154, 0.2783, 0.3594, 0.4642, 0.5995, 0.7743, 1]
    assert e.parzen.sigmas() == pytest.approx(published, abs=5e-5)
    size = config.data_size(params, "paper", "mnist")
    assert (size.train, size.valid, size.test, size.fallback) == (50_000, 10_000, 10_000, None)


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("experiments", "mnist", "batch_size"), "100", "experiments.mnist.batch_size"),
        (("experiments", "mnist", "batch_size"), 99.5, "experiments.mnist.batch_size"),
        (("experiments", "mnist", "sgd", "learning_rate"), "0.1", "mnist.sgd.learning_rate"),
        (("experiments", "mnist", "sgd", "learning_rate"), float("nan"), "sgd.learning_rate"),
        (("experiments", "mnist", "sgd", "momentun"), 0.5, "experiments.mnist.sgd.momentun"),
        (("experiments", "mnist", "update"), "joint", "experiments.mnist.update"),
        (("experiments", "mnist", "device"), "gpu", "experiments.mnist.device"),
        (("experiments", "mnist", "generator"), [], "experiments.mnist.generator"),
        (("experiments", "mnist", "discriminator", 1, "keep"), 1.5, "mnist.discriminator.1.keep"),
        (
            ("profiles", "paper", "experiments", "mnist", "epochs"),
            "many",
            "profiles.paper.experiments.mnist.epochs",
        ),
        (
            ("profiles", "quick", "experiments", "mnist", "batch_size"),
            0,
            "profiles.quick.experiments.mnist.batch_size",
        ),
        (
            ("profiles", "paper", "experiments", "mnist", "epochs"),
            151,
            "multiple of validate_every",
        ),
        (("experiments", "mnist", "k"), 2, "update: alternating"),
        (("runs", "paper-mnist-0", "seed"), 1, "runs.paper-mnist-0: "),
        (("runs", "paper-mnist-0", "seed"), "0", "runs.paper-mnist-0.seed"),
        (("runs", "paper-mnist-0", "dataset"), "tfd", "runs.paper-mnist-0.dataset"),
        (("runs", "paper-mnist-0", "experiment"), "mnits", "must be called paper-mnits-0"),
        (("runs", "paper-mnist-0", "profile"), "papr", "must be called papr-mnist-0"),
        (("runs",), 3, "runs: must be a mapping"),
    ],
)
def test_a_bad_value_names_file_and_key_in_one_line(params, path, value, key):
    with pytest.raises(UserError) as caught:
        config.runs(changed(params, path, value))
    assert str(caught.value).startswith("params.yaml: ")
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        ("experiments",),
        ("experiments", "mnist"),
        ("experiments", "mnist", "parzen", "samples"),
        ("experiments", "mnist", "precision"),
        ("profiles", "paper", "experiments", "mnist", "epochs"),
        ("profiles", "paper", "experiments", "mnist"),
        ("runs", "paper-mnist-0", "seed"),
    ],
)
def test_a_missing_key_is_named(params, path):
    with pytest.raises(UserError, match=r"^params\.yaml: ") as caught:
        config.runs(without(params, path))
    assert path[-1] in str(caught.value)


def test_a_profile_overlays_an_experiment_and_leaves_the_other_profile_alone(params):
    paper = config.experiment(params, "paper", "mnist")
    quick = config.experiment(params, "quick", "mnist")
    assert (quick.batch_size, paper.batch_size) == (20, 100)
    assert quick.sgd == paper.sgd
    other = changed(params, ("profiles", "quick", "experiments", "mnist", "sgd"), {"momentum": 1})
    assert config.experiment(other, "paper", "mnist") == paper


def test_objects_are_frozen(params):
    with pytest.raises(ValueError, match="frozen"):
        config.experiment(params, "paper", "mnist").epochs = 3


def test_yaml_is_read_as_dvc_reads_it(tmp_path):
    # YAML 1.2: 1e-6 is a number (a string for a YAML 1.1 reader), `no` is a string.
    path = tmp_path / "params.yaml"
    path.write_text("a: 1e-6\nb: no\n")
    assert config.read_params(path) == {"a": 1e-6, "b": "no"}


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2", "- 1", "", "\x00"])
def test_a_damaged_parameter_file_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        config.read_params(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_parameter_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match="repository's root"):
        config.read_params(tmp_path / "params.yaml")


def test_epochs_hold_short_last_batches(params):
    e = config.experiment(params, "paper", "mnist")
    assert config.updates_per_epoch(e, 50_000) == 500
    assert config.updates_per_epoch(e, 50_001) == 501
    k2 = e.model_copy(update={"update": "alternating", "k": 2})
    assert config.updates_per_epoch(k2, 50_100) == 251


def test_an_unknown_name_lists_the_known_ones(params):
    with pytest.raises(
        UserError, match=r"profiles\.papr: no such key \(there: paper, quick, stand-in, ablations\)"
    ):
        config.experiment(params, "papr", "mnist")
    with pytest.raises(UserError, match=r"runs\.x: no such run \(there: paper-mnist-0, "):
        config.run(params, "x")


def test_every_listed_run_can_be_built(params):
    assert set(config.runs(params)) == set(params["runs"])
