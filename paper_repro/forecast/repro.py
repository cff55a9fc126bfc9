"""``paper_repro repro``: DVC's repro of a profile, a line a stage, and its numbers at the end."""

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from paper_repro.core.errors import Interrupted
from paper_repro.forecast.plan import plan
from paper_repro.forecast.stages import needed_stages
from paper_repro.pipeline.run_list import run_list_path
from paper_repro.report.formatting import duration

STAGE = re.compile(r"(Running s|S)tage '(?:.*:)?(.+?)'")
# What DVC says besides: of its lock, and advice on git, staging and remotes.
ADVICE = re.compile(
    r"> |Updating lock|Generating lock|To track the changes|\tgit add|To enable auto|\tdvc config|"
    r"Use `dvc push`|'.*' didn't change|Data and pipelines are up to date"
)
DVC = [sys.executable, "-m", "dvc"]
SHORT = 5.0  # seconds, what a stage that trains nothing takes until one has been timed


class Progress:
    """Turns DVC's lines into one line of progress, rewritten on a terminal.

    Parameters
    ----------
    stages : how many DVC will look at.
    training : expected seconds of each stage that trains, by its name.
    rewrite : whether a line may be rewritten.
    """

    def __init__(self, stages: int, training: Mapping[str, float], *, rewrite: bool) -> None:
        self.stages, self.seen, self.stage = stages, 0, ""
        self.training, self.short = dict(training), list[float]()
        self.rewrite, self.began = rewrite, time.monotonic()

    def see(self, line: str) -> None:
        """Take one line of DVC's output, or of a stage's."""
        found = STAGE.match(line)
        if found:
            self._timed()
            self.seen += 1
            if found[1] == "Running s":
                self._show(found[2])
        elif line.strip() and not ADVICE.match(line) and self.stage in ("", "fetch"):
            self._print(line)  # other stages' results are in their files, their errors on stderr

    def _timed(self) -> None:
        if self.stage and self.training.pop(self.stage, None) is None:
            self.short.append(time.monotonic() - self.began)
        self.stage, self.began = "", time.monotonic()

    def _show(self, stage: str) -> None:
        self.stage = stage
        others = self.stages - self.seen + 1 - len(self.training)
        each = sum(self.short) / len(self.short) if self.short else SHORT
        left = sum(self.training.values()) + max(others, 1) * each
        text = f"{self.seen}/{self.stages} {stage.replace('@', ' ')}, about {duration(left)} left"
        # A training has a bar of its own, below.
        self._print(text, end="" if self.rewrite and stage not in self.training else "\n")

    def _print(self, text: str, end: str = "\n") -> None:
        print("\r\x1b[K" * self.rewrite + text, end=end, flush=True)

    def end(self) -> None:
        """Take away the line that would have been rewritten."""
        if self.rewrite:
            self._print("", end="")


def run_through(
    command: Sequence[str],
    environment: Mapping[str, str],
    see: Callable[[str], None] = lambda line: print(line, flush=True),
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """Return the exit code of a command; on SIGINT or SIGTERM it is told to end, and awaited.

    Parameters
    ----------
    see : is given what it prints, line by line; errors go where ours go.
    meanwhile : is called once it has begun.

    Raises
    ------
    Interrupted
        Then.
    """
    with subprocess.Popen(
        command,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
        # Let it end on SIGINT, by which it is told to, even where we were begun to ignore that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as child:
        try:
            meanwhile()
            assert child.stdout is not None
            for line in child.stdout:
                see(line.rstrip("\n"))
            return child.wait()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGINT)  # DVC leaves that to the stage that runs
            child.wait()
            raise Interrupted("interrupted; the same command goes on from there") from None


def repro(profile: str, *, allow_missing: bool = False) -> None:
    """Run ``dvc repro`` of a profile; say how far it is and, at the end, what came out.

    Parameters
    ----------
    allow_missing : whether the models of finished runs may be gone; else they are trained again.

    Raises
    ------
    UserError
        If the profile or a parameter is unknown, or the pipeline can't be read.
    SystemExit
        With DVC's exit code, if that is not 0. It has said why.
    """
    training = plan(profile)
    pipeline = run_list_path(profile).with_name("dvc.yaml").as_posix()
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb"
    progress = Progress(
        len(needed_stages(pipeline)), training, rewrite=sys.stdout.isatty() and not plain
    )
    command = [*DVC, "repro", pipeline, *(["--allow-missing"] if allow_missing else [])]
    load_ending = partial(importlib.import_module, "paper_repro.report.ending")  # takes seconds
    try:
        code = run_through(command, os.environ, progress.see, meanwhile=load_ending)
    finally:
        progress.end()
    if code:
        raise SystemExit(code)
    load_ending().ending(profile)
