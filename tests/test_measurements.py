"""The table of measurements: each number of a record once, where it belongs."""

from types import SimpleNamespace

import pandas as pd
import pytest

from paper_repro.diagnostics.sample_sets import AUTHORS_GRIDS
from paper_repro.evaluation.evaluate import over_folds
from paper_repro.report.measurements import CONSECUTIVE, IN_TRAINING, by_default, measurements

IMAGES = ("first_images", "all_images")
GRID = {"0.1": -9.0, "0.2": -5.0, "0.3": -7.0}


def estimate(test_mean, means=GRID, **more):
    """What `evaluation.json` holds of one set of test images."""
    found = {"sigma": 0.2, "valid_mean": -5.0, "test_mean": test_mean, "test_se": 1.5}
    return found | {"test_images": 40, "samples": 50, "valid_mean_by_sigma": means} | more


def run(key="a", best=2, sets=(), chains=False, **evaluation):
    """A trained run's files: validated at epochs 1 to 3, its `sets` by every grid of the authors'.

    By another grid than the first a set has ten nats more for each grid before, and a nat more if σ
    was chosen on all images.
    """
    curve = {"epoch": [1, 2, 3], "valid_nats": [-9.0, -5.0, -6.0], "valid_se": [0.3, 0.2, 0.1]}
    validation = pd.DataFrame(curve | {"sigma": [0.3, 0.2, 0.1], "d_valid": [0.5] * 3})
    one = {"sigma": 0.2, "valid_mean": -4.0, "test_se": 1.0}
    by_grid = [
        {
            grid: {name: one | {"test_mean": mean + 10 * i + j} for j, name in enumerate(IMAGES)}
            for i, grid in enumerate(AUTHORS_GRIDS)
        }
        for mean in sets
    ]
    records = {"generator.json": {"epoch": 3}, "sample_sets.json": {"sets": by_grid}}
    return SimpleNamespace(
        run=SimpleNamespace(key=key),
        trained=True,
        training={"best_epoch": best, "epochs": 3},
        evaluation={"selected": estimate(-7.0), "last": estimate(-8.0)} | evaluation,
        published=bool(sets),
        chains=chains,
        table=lambda name: {"validation.csv": validation}[name],
        measured=lambda name, kind: records[name],
    )


def test_the_training_curve_and_both_epochs_that_were_evaluated_are_there():
    table = measurements([run(), run("b", best=3), SimpleNamespace(trained=False)])
    curve = table[(table.run == "a") & (table.sampling == IN_TRAINING)]
    assert curve.epoch.tolist() == [1, 2, 3]
    assert curve.valid_mean.tolist() == [-9.0, -5.0, -6.0]
    assert curve.valid_se.tolist() == [0.3, 0.2, 0.1]
    assert curve.test_mean.isna().all()
    evaluated = table[by_default(table)].set_index(["run", "epoch"])
    assert evaluated.test_mean.to_dict() == {("a", 2): -7.0, ("a", 3): -8.0, ("b", 3): -8.0}
    assert evaluated[["set", "chain", "fold"]].isna().all(axis=None)


def test_folds_are_counted_and_their_mean_stands_before_them():
    folds = [estimate(mean, test_images=10 + i) for i, mean in enumerate((-3.0, -4.0, -8.0))]
    table = measurements([run(best=3, last=over_folds(folds))])
    whole, *each = table[table.sampling == CONSECUTIVE].itertuples()
    assert pd.isna([whole.fold, whole.sigma]).all()
    assert whole.test_mean == -5.0
    assert whole.test_se == pytest.approx(7**0.5 / 3**0.5)  # variance 7, divisor 2
    found = [(row.fold, row.test_mean, row.test_images) for row in each]
    assert found == [(1, -3.0, 10), (2, -4.0, 11), (3, -8.0, 12)]


@pytest.mark.parametrize(
    ("means", "ends"),
    [
        (GRID, False),
        (GRID | {"0.1": -4.0}, True),
        (GRID | {"0.3": -4.0}, True),
        ({"0.2": -5.0}, True),
    ],
)
def test_a_sigma_at_an_end_of_its_grid_is_told(means, ends):
    table = measurements([run(best=3, last=estimate(-8.0, means))])
    (told,) = table[by_default(table)].end_of_grid
    assert told == ends


def test_sets_of_samples_have_a_row_by_grid_and_images():
    table = measurements([run(sets=(1.0, 3.0))])
    sets = table[table["set"].notna()]
    assert len(sets) == 2 * len(AUTHORS_GRIDS) * 2
    assert set(sets.epoch) == {3}
    means = sets.groupby(["grid", "images"]).test_mean.mean()
    for i, grid in enumerate(AUTHORS_GRIDS):
        assert [means[grid, name] for name in IMAGES] == [2 + 10 * i, 3 + 10 * i]
    assert sets[by_default(sets)].test_mean.tolist() == [1.0, 3.0]
    assert sets.chain.isna().all()


def test_chains_of_each_run_and_runs_have_a_spread_each():
    """As the module says that Table 1 will select them."""
    thinned = estimate(150.0)
    first = run("dbn-0", best=3, sets=(0.0, 2.0, 4.0), chains=True, thinned=thinned)
    second = run("dbn-1", best=3, sets=(7.0, 8.0, 9.0), chains=True, thinned=thinned)
    table = measurements([run("mnist-0", sets=(220.0, 221.0)), first, second])
    chains = table[table.chain.notna() & table["set"].notna() & by_default(table)]
    by_run = chains.groupby("run").test_mean.agg(["mean", "std"])
    assert by_run["mean"].to_dict() == {"dbn-0": 2.0, "dbn-1": 8.0}
    assert by_run["std"].to_dict() == {"dbn-0": 2.0, "dbn-1": 1.0}
    evaluated = table[table["set"].isna() & by_default(table)]
    assert evaluated.set_index("run").chain.dropna().to_dict() == {"dbn-0": 0, "dbn-1": 0}
    apart = table[table.sampling == "thinned"]
    assert apart.test_mean.tolist() == [150.0, 150.0]
    assert apart.chain.isna().all()
