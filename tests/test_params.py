import contextlib
import copy
import json
import re
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from paper_repro.core.errors import UserError
from paper_repro.core.params import OWN, PAPER, params_path, profiles, read_params, read_yaml
from paper_repro.core.recipe import recipe_of, recorded
from paper_repro.core.runs import measure_key, runs
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
    content = place = read_yaml(path)
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    if value is ...:
        del place[keys[-1]]
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
NEEDED = [("experiments",), ("measure",), ("seeds",), ("presentation",), ("data", "mnist")]
NEEDED += [(*MNIST, "parzen", "samples"), ("parzen_audit", "kmeans_centroids")]
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
        (QUICK, (*MNIST, "batch_size"), 0, "experiments.mnist.batch_size"),
        # A list comes whole from one file: what it lacks, it lacks there.
        (QUICK, (*MNIST, "generator"), [{"layer": "relu"}], f"{GENERATOR}.0.init: "),
        (QUICK, (*MNIST, "generator"), [BIAS], f"{GENERATOR}.0.bias: "),
        (QUICK, ("parzen_audit", "draws"), 1, "parzen_audit.draws"),
        *((PAPERS, keys, ..., keys[-1]) for keys in NEEDED),
    ],
)
def test_a_bad_or_missing_value_names_file_and_key_in_one_line(files, path, keys, value, named):
    change(path, keys, value)
    with pytest.raises(UserError, match=rf"\A{path}: .*{re.escape(named)}.*\Z"):
        read_all("quick" if path == QUICK else "paper")


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
    (profile, keys, value)
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
    for params in map(read_from_root, PROFILES):
        own = {run.experiment for run in runs(params).values()}
        found[params.profile] = own | {params.base(name) for name in own}
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
    names, needed, possible = set(stages[profile]), set(), set()
    for name, now in after.items():
        was = before[name]
        changed = {key for key in now if now[key] != was[key]}
        if "recipe" in changed:
            needed.add(f"train@{name}")
        if "data" in changed:
            needed.add(f"prepare@{profile}-{now['dataset']}")
        if "measure" in changed:
            needed.add(f"evaluate@{name}")
            others = ("parzen_audit", "sample_sets", "mixing", "walk")
            possible |= {f"{stage}@{name}" for stage in others}
        if changed and name == "figure1":
            possible.add(f"figure1@{profile}")
        if changed and name == "presentation":
            possible.add(f"report@{profile}")
        for key, stage in (("protocol", "weights"), ("diagnosed", "sample_checks")):
            if key in changed:
                possible |= {other for other in names if other.startswith(f"{stage}@")}
        if changed and name in ("parzen_audit", "mixing"):
            possible |= {other for other in names if other.startswith(f"{name}@")}
    return {(profile, stage) for stage in needed | (possible & names)}


@pytest.mark.parametrize(
    ("own", "keys", "value"), LEAVES, ids=[f"{profile}:{keys}" for profile, keys, _ in LEAVES]
)
def test_a_leaf_that_is_set_is_read_and_its_stages_go_stale(
    files, stages, committed, experiments, own, keys, value
):
    change(params_path(own), keys, another(keys[-1], value))
    concerned = [  # by the paper's also the others that read such an entry
        p
        for p in PROFILES
        if p == own or (own == PAPER and (keys[0] != "experiments" or keys[1] in experiments[p]))
    ]
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
    seen = stale(stages, params_path(own).as_posix(), ".".join(map(str, keys)))
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
ODD = ("[" * 10**5, "a: 2020-99-99", "a: 2020-01-01", "a: " + "9" * 5000)


@pytest.mark.parametrize("text", [ALIAS, *BROKEN, *ODD])
def test_a_damaged_parameter_file_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"\A{path}.*\Z"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("data", "mnits"), {"train": 1}, "data.mnits: nothing reads this; possible are cifar10"),
        (("data", "mnist"), 3, "data.mnist: must be a mapping, not 3"),
        (("measure", "mnits"), {}, "measure.mnits: nothing reads this"),
        (("presentation", "step_sizes"), ["mnits"], "experiments.mnits: no such key"),
        (("presentation", "protocol"), {"mnits": {}}, "protocol.mnits: nothing reads"),
        (("experiments", "dbn", "dataset"), "mnits", "data.mnits: no such key, but paper-dbn"),
        # On this the published runs' weights depend.
        (("presentation", "protocol"), ..., "presentation.protocol: no such key, but runs are pub"),
    ],
)
def test_what_nothing_would_read_or_weights_need_is_refused(files, keys, value, named):
    change(PAPERS, keys, value)
    with pytest.raises(UserError, match=rf"params\.yaml: .*{named}"):
        run_list(read_params())


def test_a_variant_on_other_data_is_not_measured_by_its_base(files):
    change(PAPERS, ("experiments", "dbn_tfd"), {"base": "dbn", "dataset": "tfd"})
    change(PAPERS, ("seeds", "dbn_tfd"), [0])
    found = runs(params := read_params())
    keys = {key: measure_key(params, found[key]) for key in ("paper-dbn-0", "paper-dbn_tfd-0")}
    assert keys == {"paper-dbn-0": "dbn", "paper-dbn_tfd-0": "tfd"}


def test_a_record_s_recipe_is_read_by_the_same_rules(params, tmp_path):
    values = recipe.experiment(params, "mnist").model_dump(mode="json")
    assert recorded(values, tmp_path) == recipe_of(params, "mnist")
    broken = copy.deepcopy(values)
    broken["generator"][0]["units"] = "many"
    with pytest.raises(UserError, match=r"experiment_parameters\.generator\.0\.units"):
        recorded(broken, tmp_path)
