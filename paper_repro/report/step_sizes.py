"""Algorithm 1 beside the released code's update, at several learning rates (an ablation)."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import pandas as pd

from paper_repro.figures.step_sizes import UPDATES
from paper_repro.report.collect import LAST
from paper_repro.report.run_files import RunFiles


def step_sizes(
    runs: Sequence[RunFiles], name: Literal["curve.csv", "validation.csv"]
) -> pd.DataFrame:
    """Return one of the tables of all runs, with columns ``rate``, ``update`` and ``seed``."""
    tables = [
        run.table(name).assign(
            rate=run.parameters["sgd"]["learning_rate"],
            update=run.parameters["update"],
            seed=run.run.seed,
        )
        for run in runs
    ]
    return pd.concat(tables)


def compared(measured: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Return, for each rate and seed, the mean of the last estimates by both updates, in nats.

    None of an update that was not trained.
    """
    last = measured.groupby(["rate", "seed", "update"]).valid_nats.apply(
        lambda nats: nats.tail(LAST).mean()
    )
    table = last.unstack("update").reindex(columns=UPDATES)
    table["epochs"] = measured.groupby(["rate", "seed"]).epoch.max()
    table = table.sort_index(level="rate", ascending=False, sort_remaining=False).reset_index()
    return table.astype(object).where(table.notna(), None).to_dict("records")
