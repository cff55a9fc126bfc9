import contextlib
import copy
import json
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from paper_repro.core.errors import UserError
from paper_repro.core.params import OWN, PAPER, params_path, profiles, read_params, read_yaml
from paper_repro.core.recipe import recipe_of, recorded
from paper_repro.core.runs import runs
from paper_repro.data.settings import data_size
from paper_repro.diagnostics.mixing import MixingSettings
from paper_repro.diagnostics.parzen_audit import AuditSettings
from paper_repro.evaluation.trained_run import measure_of
from paper_repro.gan.model import recipe
from paper_repro.pipeline.presentation import presentation
from paper_repro.pipeline.run_list import require_current_lists, run_list, run_list_path
from paper_repro.theory.settings import Figure1
from tests.small import PROFILES, ROOT, read_from_root


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The repository's parameter files in a folder of their own, to be changed."""
    monkeypatch.chdir(tmp_path)
    for path in map(params_path, PROFILES):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / path).read_bytes())
        for name in ("runs.yaml", "dvc.yaml"):
            shutil.copy((ROOT / path).with_name(name), path.with_name(name))
    return tmp_path


def change(path, keys, value):
    """Write a parameter file anew with one value changed, or taken out if it is `...`."""
    content = read_yaml(path)
    place = content
    for key in keys[:-1]:
        place = place[key]
    if value is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    path.write_text(json.dumps(content))


def read_all(profile):
    """Everything that the product reads of a profile's parameters."""
    params = read_params(profile)
    found = {"presentation": presentation(params).model_dump(mode="json")}
    made = {}  # an experiment's seeds share all that is read of it
    for key, run in runs(params).items():
        if run.experiment not in made:
            made[run.experiment] = {
                "recipe": recipe_of(params, run.experiment).model_dump(mode="json"),
                "measure": measure_of(params, run).model_dump(mode="json"),
                "data": data_size(params, run.dataset).model_dump(mode="json"),
            }
        found[key] = run.model_dump() | made[run.experiment]
    found["parzen_audit"] = params.parse(AuditSettings, "parzen_audit").model_dump(mode="json")
    found["mixing"] = params.parse(MixingSettings, "mixing").model_dump(mode="json")
    found["figure1"] = params.parse(Figure1, "theory", "figure1").model_dump(mode="json")
    return found


MNIST = ("experiments", "mnist")
PAPERS = Path("params.yaml")
QUICK = Path("profiles/quick/params.yaml")


GENERATOR = "experiments.mnist.generator"
BIAS = {"layer": "relu", "units": 3, "init": {"uniform": 1.0}, "bias": "x"}


@pytest.mark.parametrize(
    ("path", "keys", "value", "named"),
    [
        (PAPERS, (*MNIST, "batch_size"), "100", "experiments.mnist.batch_size"),
        (PAPERS, (*MNIST, "sgd", "learning_rate"), 1e300, "mnist.sgd.learning_rate"),
        (PAPERS, (*MNIST, "sgd", "learning_rate_min"), 0.2, "must not be above learning_rate"),
        (PAPERS, (*MNIST, "sgd", "momentun"), 0.5, "experiments.mnist.sgd.momentun"),
        (PAPERS, (*MNIST, "sgd", "momentum", "end"), 1.0, "sgd.momentum.end"),
        (PAPERS, (*MNIST, "parzen", "sigma_log10_min"), 1.0, "must not be above sigma_log10_max"),
        (PAPERS, (*MNIST, "update"), "joint", "experiments.mnist.update"),
        (PAPERS, (*MNIST, "generator"), [], "experiments.mnist.generator"),
        (PAPERS, (*MNIST, "discriminator", 1, "keep"), 1.5, "mnist.discriminator.1.keep"),
        (PAPERS, (*MNIST, "epochs"), 151, "multiple of validate_every"),
        (PAPERS, (*MNIST, "k"), 2, "update: alternating"),
        (PAPERS, MNIST, 3, "experiments.mnist: must be a mapping"),
        (QUICK, ("experimentz",), {}, "experimentz: nothing reads this; possible are data, "),
        (QUICK, ("experiments",), None, "experiments: must be a mapping, not None"),
        (PAPERS, ("experiments", "tfd", "base"), "mnist_gaussian", "mnist_gaussian has a base"),
        (PAPERS, ("experiments", "tfd", "base"), "mnits", "experiments.mnits: no such key"),
        (PAPERS, ("measure", "mnist", "sigma_points"), 0, "measure.mnist.sigma_points"),
        (PAPERS, ("measure", "mnist", "sigma_points"), 10**9, "measure.mnist.sigma_points"),
        (PAPERS, ("measure", "mnist", "sigma_log10_min"), -6.0, "the same at four decimals"),
        (PAPERS, ("measure", "mnist"), ..., "measure.mnist: no such key"),
        (PAPERS, ("data", "mnist", "train"), -1, "data.mnist.train"),
        (PAPERS, ("seeds", "mnist", 0), -1, "seeds.mnist.0"),
        (PAPERS, ("seeds",), 3, "seeds: must be a mapping"),
        (PAPERS, ("presentation", "published"), "all", "presentation.published"),
        (PAPERS, ("theory", "figure1", "grid", "high"), -20.0, "must lie below high"),
        (PAPERS, ("parzen_audit", "draws"), 1, "parzen_audit.draws"),
        (QUICK, (*MNIST, "batch_size"), 0, "profiles/quick/params.yaml: experiments.mnist.batch"),
        # A list comes whole from one file: what it lacks, it lacks there.
        (QUICK, (*MNIST, "generator"), [{"layer": "relu"}], f"{QUICK}: {GENERATOR}.0.init: "),
        (QUICK, (*MNIST, "generator"), [BIAS], f"{QUICK}: {GENERATOR}.0.bias: "),
        (QUICK, ("parzen_audit", "draws"), 1, "profiles/quick/params.yaml: parzen_audit.draws"),
    ],
)
def test_a_bad_value_names_file_and_key_in_one_line(files, path, keys, value, named):
    change(path, keys, value)
    with pytest.raises(UserError) as caught:
        read_all("quick" if path == QUICK else "paper")
    assert str(caught.value).startswith(f"{path}: ")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        ("experiments",),
        (*MNIST, "parzen", "samples"),
        ("data", "mnist"),
        ("measure",),
        ("parzen_audit", "kmeans_centroids"),
        ("seeds",),
        ("presentation",),
    ],
)
def test_a_missing_key_is_named(files, keys):
    change(PAPERS, keys, ...)
    with pytest.raises(UserError, match=r"^params\.yaml: ") as caught:
        read_all("paper")
    assert keys[-1] in str(caught.value)


def test_a_profile_overlays_an_experiment_and_leaves_the_other_profile_alone(files):
    paper = recipe.experiment(read_params(), "mnist")
    quick = recipe.experiment(read_params("quick"), "mnist")
    assert (quick.batch_size, paper.batch_size) == (20, 100)
    assert quick.sgd == paper.sgd
    change(QUICK, (*MNIST, "k"), 7)
    assert recipe.experiment(read_params(), "mnist") == paper


def test_a_variant_follows_its_base_and_what_a_profile_changes_in_it(files):
    change(PAPERS, (*MNIST, "noise_dimension"), 50)
    for profile in ("paper", "ablations"):
        params = read_params(profile)
        base, variant = (recipe.experiment(params, n) for n in ("mnist", "mnist_gaussian"))
        assert variant == base.model_copy(update={"noise": "gaussian"})
        assert variant.noise_dimension == 50
    assert variant.epochs == 20
    # What a variant says itself is stronger than what a profile changes in its base.
    change(PAPERS, ("experiments", "mnist_gaussian"), {"base": "mnist", "epochs": 60})
    change(QUICK, ("experiments", "mnist_gaussian"), {})
    assert recipe.experiment(read_params("quick"), "mnist_gaussian").epochs == 60


def leaves(values, path=()):
    """Every key whose value is no mapping, with that value; of lists the items."""
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    elif isinstance(values, list) and values and isinstance(values[0], dict):
        for index, value in enumerate(values):
            yield from leaves(value, (*path, index))
    else:
        yield path, values


OTHER_NAMES = {
    "dataset": "cifar10",
    "noise": "uniform_one",
    "discriminator_loss": "sum",
    "generator_loss": "minimax",
    "update": "alternating",
    "selection": "last",
    "precision": "bfloat16",
    "device": "cpu",
    "fallback": "digits",
    "bias": 0.5,
    "base": "mnist",
}


def another(key, value):
    """A value that a leaf may have and does not have yet; None where no other goes alone."""
    if isinstance(value, bool):
        return not value
    if key in OTHER_NAMES and isinstance(value, str | None):
        return OTHER_NAMES[key] if OTHER_NAMES[key] != value else None
    if key in ("epochs", "chains", "samples") and isinstance(value, int):
        return value * 2
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.75 if value else 0.25
    if value is None:
        return 123
    if isinstance(value, list) and value and isinstance(value[0], int | float):
        return [*value[:-1], value[-1] + 1]
    return None


LEAVES = [
    (params_path(profile).as_posix(), keys, value)
    for profile in PROFILES
    for keys, value in leaves(read_yaml(ROOT / params_path(profile)))
    if another(keys[-1], value) is not None
]


@pytest.fixture(scope="module")
def stages():
    """By profile, DVC's stages and the parameters that each tracks, (file, dotted key)."""
    found = {}
    with Repo(str(ROOT)) as repo:
        for stage in repo.index.stages:
            folder = Path(stage.path).parent.relative_to(ROOT)
            profile = PAPER if folder == Path() else folder.name
            tracked = {
                (Path(dep.def_path).as_posix(), key) for dep in stage.params for key in dep.params
            }
            found.setdefault(profile, {})[stage.name] = tracked
    return found


@pytest.fixture(scope="module")
def committed():
    """What the product reads of the committed parameters."""
    with contextlib.chdir(ROOT):
        return {profile: read_all(profile) for profile in PROFILES}


@pytest.fixture(scope="module")
def experiments():
    """By profile, the experiments that it runs, and their bases."""
    found = {}
    for profile in PROFILES:
        params = read_from_root(profile)
        own = {run.experiment for run in runs(params).values()}
        bases = {params.base(name) for name in own}
        found[profile] = own | bases
    return found


def stale(stages, path, key):
    """The stages that DVC sees change with a leaf, by profile."""
    return {
        (profile, name)
        for profile in PROFILES
        for name, tracked in stages[profile].items()
        if any(p == path and (key == k or key.startswith(f"{k}.")) for p, k in tracked)
    }


def read_anew(before, after, profile, stages):
    """The stages whose numbers rest on what the product reads differently now."""
    found, names = set(), set(stages[profile])
    for name, now in after.items():
        was = before[name]
        if now == was:
            continue
        if "recipe" in now:  # a run
            dataset = now["dataset"]
            found |= {f"train@{name}"} if now["recipe"] != was["recipe"] else set()
            found |= {f"prepare@{profile}-{dataset}"} if now["data"] != was["data"] else set()
            if now["measure"] != was["measure"]:
                others = {f"{s}@{name}" for s in ("parzen_audit", "sample_sets", "mixing", "walk")}
                found |= {f"evaluate@{name}"} | (others & names)
        if name in ("parzen_audit", "mixing"):
            found |= {stage for stage in names if stage.startswith(f"{name}@")}
        found |= {f"figure1@{profile}"} & names if name == "figure1" else set()
        if name == "presentation":
            found |= {f"report@{profile}"} & names
            judged = now["protocol"] != was["protocol"]
            found |= {stage for stage in names if judged and stage.startswith("weights@")}
            looked = now["diagnosed"] != was["diagnosed"]
            found |= {stage for stage in names if looked and stage.startswith("sample_checks@")}
    return {(profile, stage) for stage in found}


@pytest.mark.parametrize(
    ("path", "keys", "value"),
    LEAVES,
    ids=[f"{path.split('/')[-2] if '/' in path else 'paper'}:{keys}" for path, keys, _ in LEAVES],
)
def test_a_leaf_that_is_set_is_read_and_its_stages_go_stale(
    files, stages, committed, experiments, path, keys, value
):
    change(Path(path), keys, another(keys[-1], value))
    own = {params_path(profile).as_posix(): profile for profile in PROFILES}[path]
    concerned = (own,)
    if own == PAPER:  # of the others, those that read such an entry
        concerned = [p for p in PROFILES if keys[0] != "experiments" or keys[1] in experiments[p]]
        concerned = dict.fromkeys((own, *concerned))
    changed, expected, refused = False, set(), False
    for profile in concerned:
        try:
            after, listed = read_all(profile), run_list(read_params(profile))
        except UserError as error:
            # It was read, and does not go with another value.
            said = ("one of", "end in", "Extra inputs")  # the last of a base of another family
            refused = str(keys[-1]) in str(error) or any(text in str(error) for text in said)
            assert refused
            continue
        if listed != (ROOT / run_list_path(profile)).read_text():
            with pytest.raises(UserError, match=r"run `paper_repro runs`"):
                require_current_lists()
            return  # every repro says so in its first stage
        changed = changed or after != committed[profile]
        expected |= read_anew(committed[profile], after, profile, stages)
    # Where the paper does not run an experiment itself, another profile may have its own value.
    used = keys[0] != "experiments" or any(
        keys[1] in experiments[p] and (p == own or not read_params(p).own.has(keys))
        for p in concerned
    )
    assert changed or refused or not used, "set, and nothing reads it"
    seen = stale(stages, path, ".".join(map(str, keys)))
    assert seen >= expected
    if not refused and keys[0] in OWN:  # what no profile lays its own over
        assert seen == expected


def test_every_profile_is_tested_and_its_committed_list_of_runs_is_current():
    with contextlib.chdir(ROOT):
        assert set(profiles()) == set(PROFILES)
        require_current_lists()


def test_yaml_is_read_as_dvc_reads_it(tmp_path):
    # YAML 1.2: 1e-6 is a number (a string for a YAML 1.1 reader), `no` is a string.
    path = tmp_path / "params.yaml"
    path.write_text("a: 1e-6\nb: no\n")
    assert read_yaml(path) == {"a": 1e-6, "b": "no"}


ALIAS = "a: &a [*a]"  # with one, `dvc exp run -S` would set a leaf in several places
BROKEN = ("a: [1", "a: 1\na: 2", "- 1", "", "\x00")
ODD = ("[" * 10**5, "a: 2020-99-99", "a: " + "9" * 5000)


@pytest.mark.parametrize("text", [ALIAS, *BROKEN, *ODD])
def test_a_damaged_parameter_file_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("data", "mnits"), {"train": 1}, "data.mnits: nothing reads this; possible are cifar10"),
        (("measure", "mnits"), {}, "measure.mnits: nothing reads this"),
        (("presentation", "protocol"), {"mnits": {}}, "protocol.mnits: nothing reads"),
    ],
)
def test_what_nothing_would_read_is_refused(files, keys, value, named):
    change(Path("params.yaml"), keys, value)
    with pytest.raises(UserError, match=rf"params\.yaml: .*{named}"):
        run_list(read_params())


def test_published_runs_need_the_key_that_their_weights_depend_on(files):
    change(Path("params.yaml"), ("presentation", "protocol"), ...)
    with pytest.raises(UserError, match=r"presentation\.protocol: no such key, but runs are pub"):
        run_list(read_params())


def test_an_absent_file_says_where_to_run_and_an_unknown_profile_which_there_are(files):
    with pytest.raises(UserError, match="repository's root"):
        read_yaml(files / "absent" / "params.yaml")
    known = r"\(there: paper, ablations, quick, stand-in\)"
    with pytest.raises(UserError, match=f"no profile 'papr' {known}"):
        read_params("papr")


def test_epochs_hold_short_last_batches(params):
    e = recipe.experiment(params, "mnist")
    assert e.updates_per_epoch(50_000) == 500
    assert e.updates_per_epoch(50_001) == 501
    k2 = e.model_copy(update={"update": "alternating", "k": 2})
    assert k2.updates_per_epoch(50_100) == 251


def test_a_record_s_recipe_is_read_by_the_same_rules(params, tmp_path):
    values = recipe.experiment(params, "mnist").model_dump(mode="json")
    assert recorded(values, tmp_path) == recipe_of(params, "mnist")
    broken = copy.deepcopy(values)
    broken["generator"][0]["units"] = "many"
    with pytest.raises(UserError, match=r"experiment_parameters\.generator\.0\.units"):
        recorded(broken, tmp_path)
