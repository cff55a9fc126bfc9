"""Which of a profile's runs are looked at, published and judged."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeInt

from paper_repro.core.params import Count, Model, Params
from paper_repro.core.records import Trained
from paper_repro.core.runs import Run

ABLATIONS = "ablations"  # a study with a page of its own, not a report beside the paper


class Protocol(Model):
    """Which runs of an experiment are judged; see ``reports/paper/protocol.md``."""

    epochs: Count
    seeds: tuple[NonNegativeInt, ...]


class Presentation(Model):
    """What is looked at closely and published; it changes no training, but `protocol` a verdict."""

    diagnosed: tuple[str, ...] = ()  # experiments whose first seed's samples are looked at closely
    checked: tuple[str, ...] = ()  # and those of which they are only compared with training images
    published: tuple[str, ...] = ()  # runs whose weights are in git
    mixing: tuple[str, ...] = ()  # experiments whose first seed's samples are followed in order
    step_sizes: tuple[str, ...] = ()  # experiments that are a study of their own in that profile
    # By experiment: the runs that are judged, fixed before they were trained.
    protocol: dict[str, Protocol] = Field(default_factory=dict)

    def judges(self, run: Run, epochs: int) -> bool:
        """Return whether a run, if it has that length, is one of those that are judged."""
        named = self.protocol.get(run.experiment)
        return named is not None and run.seed in named.seeds and epochs == named.epochs


def presentation(params: Params) -> Presentation:
    """Return what a profile says of its presentation (`UserError` as `Params.parse`)."""
    return params.parse(Presentation, "presentation")


def checked_runs(shown: Presentation, listed: Mapping[str, Run]) -> list[str]:
    """Return which runs' samples are compared with training images.

    Of an experiment all that are published, else the first.
    """
    found = []
    for name in dict.fromkeys((*shown.diagnosed, *shown.checked)):
        keys = [key for key, run in listed.items() if run.experiment == name]
        found += [key for key in keys if key in shown.published] or keys[:1]
    return found


def reported(
    shown: Presentation, run: Run, trained: Trained
) -> tuple[Literal["best", "last"], int]:
    """Return of which generator a run's number and its published weights are, and its epoch.

    The last for a run that is judged, as the protocol says; else the one that its recipe selects.
    """
    if shown.judges(run, trained["epochs"]):
        return "last", trained["epochs"]
    return trained["selected"], trained["best_epoch"]


def report_stage(profile: str) -> str:
    """Return the stage that writes a profile's page."""
    return f"{'study' if profile == ABLATIONS else 'report'}@{profile}"
