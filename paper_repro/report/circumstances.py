"""Command ``circumstances``: when, for how long and on what a profile's results were made."""

from collections.abc import Iterator

import pandas as pd

from paper_repro.core.circumstances import MEASURING, Measurement, Start
from paper_repro.core.params import read_params
from paper_repro.report.formatting import commit, duration
from paper_repro.report.run_files import RunFiles, run_files


def _stages(files: RunFiles) -> Iterator[tuple[str, Start | Measurement | None]]:
    """Yield a run's starts of training and its measurements; None for what is not recorded."""
    if not files.has("training.json") or files.record["status"] == "not run":
        return
    training = files.circumstances("train")
    yield from (("train", start) for start in (training["starts"] if training else [None]))
    for stage in MEASURING:
        name = "evaluation" if stage == "evaluate" else stage
        if files.trained and files.has(f"{name}.json"):
            yield stage, files.circumstances(stage)


def circumstances(profile: str) -> None:
    """Print a line for each start of training and each measurement of a profile's runs.

    Raises
    ------
    UserError
        If the profile or a parameter is unknown, or a file is damaged.
    """
    lines = []
    for files in run_files(read_params(profile)):
        for stage, made in _stages(files):
            line = {"run": files.run.key, "stage": stage}
            if made is not None:
                line |= {
                    "started": str(made.get("started", "")),
                    "time": duration(made["seconds"]) if "seconds" in made else "",
                    "device": made["device"],
                    "threads": str(made["threads"]),
                    "torch": made["versions"]["torch"],
                    "commit": commit(made),
                }
            lines.append(line | ({} if made else {"started": "not recorded"}))
    print(pd.DataFrame(lines).fillna("").to_string(index=False) if lines else "No run is trained.")
