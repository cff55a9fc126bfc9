"""Command ``circumstances``: when, for how long and on what a profile's results were made."""

import pandas as pd

from paper_repro.core.circumstances import (
    MEASUREMENT,
    TRAINING,
    Measurement,
    Start,
    measured_by,
    read_circumstances,
)
from paper_repro.core.params import read_params
from paper_repro.core.runs import runs
from paper_repro.report.formatting import commit, duration


def circumstances(profile: str) -> None:
    """Print a line for each start of training and each measurement of a profile's runs.

    A damaged file, or an unknown profile, is a `UserError`.
    """
    lines = []
    for key, run in runs(read_params(profile)).items():
        training = read_circumstances(run, "train", TRAINING)
        found: list[tuple[str, Start | Measurement]] = [
            ("train", start) for start in (training["starts"] if training else [])
        ]
        measured = (
            (stage, read_circumstances(run, stage, MEASUREMENT)) for stage in measured_by(run)
        )
        found += [(stage, made) for stage, made in measured if made]
        lines += [
            {
                "run": key,
                "stage": stage,
                "started": str(made.get("started", "")),
                "time": duration(made["seconds"]) if "seconds" in made else "",
                "device": made["device"],
                "instructions": made.get("instructions", ""),
                "threads": made["threads"],
                "torch": made["versions"]["torch"],
                "commit": commit(made),
            }
            for stage, made in found
        ]
    print(pd.DataFrame(lines).to_string(index=False) if lines else "Nothing is recorded.")
