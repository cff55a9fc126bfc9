"""Rows and seeds of ``results.json`` with only the numbers that a test is about."""

from paper_repro.report.results import Row, Seed, Verdict

EMPTY = {"sets": None, "thinned": None, "folds": [], "test_se": 2.0}


def seed(run="r", **values):
    return Seed.model_construct(**{"run": run} | EMPTY | values)


def row(experiment="mnist", seeds=(), kind="interim", **values):
    """A row of MNIST; its mean is that of the seeds' numbers."""
    numbers = [one.number for one in seeds if hasattr(one, "number")]
    mean = sum(numbers) / len(numbers) if numbers else None
    made = Row(experiment=experiment, dataset="MNIST", status="ok", verdict=Verdict(kind=kind))
    return made.model_copy(update={"seeds": list(seeds), "mean": mean} | values)
