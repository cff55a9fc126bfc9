"""The command line; every stage of the pipeline is one call of it.

What a command needs is imported when it runs, so that ``--help`` answers at once.
"""

import argparse
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from paper_repro import system
from paper_repro.core.errors import UserError
from paper_repro.training.interrupt import endings

system.check()  # before anything that another Python or system lacks
system.use_own_cores()  # before anything that starts threads

METAVARS = {"key": "run", "name": "dataset"}  # what people call a function's argument


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paper_repro",
        description='Rerun "Generative Adversarial Networks" (arXiv:1406.2661).',
        epilog="`make quick` or `make repro` run all of it; the stages are in dvc.yaml.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, module: str, text: str, *on: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(module=f"paper_repro.{module}", function=name)
        for argument in on:
            command.add_argument(argument, metavar=METAVARS.get(argument))
        return command

    command = add("runs", "pipeline.run_list", "write DVC's lists of runs, copies of dvc.yaml")
    command.set_defaults(function="write_run_lists")
    add("fetch", "data.fetch", "download the data sets to data/raw")
    add("prepare", "data.prepare", "write a profile's part of a data set", "profile", "name")
    command = add("train", "training.train", "train a run listed in params.yaml", "key")
    command.add_argument("--fresh", action="store_true", help="discard its checkpoint")
    command.add_argument(
        "--adopt",
        action="store_true",
        help="go on from the newest checkpoint of the same recipe that other code made",
    )
    add("evaluate", "evaluation.evaluate", "measure a trained run's log-likelihood", "key")
    add("walk", "diagnostics.walk", "choose the width of a trained run's walk", "key")
    add(
        "sample_checks",
        "diagnostics.sample_checks",
        "look for copies, correlation and jumps",
        "key",
    )
    add("figure2", "figures.figure2", "draw a trained run's figure 2", "key")
    add("sheet", "figures.sheet", "draw a hundred samples of a trained run", "key")
    add("film", "figures.film", "make a GIF of what a run drew as it was trained", "key")
    add("figure3", "figures.figure3", "draw a trained run's figure 3", "key")
    add(
        "parzen_audit",
        "diagnostics.parzen_audit",
        "measure samples that no trained model made",
        "key",
    )
    add("figure1", "figures.figure1", "draw figure 1 from a run in one dimension", "profile")
    add("report", "report.report", "write a profile's results, table and page", "profile")
    add("weights", "report.weights", "publish a trained run's generator", "key")
    add(
        "sample_sets",
        "diagnostics.sample_sets",
        "measure a published run on ten sets of samples",
        "key",
    )
    add("mixing", "figures.mixing", "measure how a run's samples follow each other", "key")
    add("explore", "report.explore", "write a page on which a published generator draws", "profile")
    command = add("verify", "report.verify", "recompute a published number from its weights")
    command.add_argument("key", metavar="run", nargs="?", default=argparse.SUPPRESS)
    command.add_argument(
        "--all", action="store_true", dest="every_set", help="every set of samples, not the first"
    )
    command = add("score", "api", "measure samples of any model as the paper measures its own")
    command.set_defaults(function="print_score")
    command.add_argument("samples", help=".npy, .npz or .safetensors, or a folder of PNGs")
    command.add_argument("--data", default="mnist", help="the data set (mnist)")
    command.add_argument("--copies", action="store_true", help="look for training images, too")
    command.add_argument("--json", action="store_true", dest="as_json", help="for scripts")
    add("plan", "forecast.plan", "say what a repro of a profile's report will do", "profile")
    command = add(
        "repro", "forecast.repro", "run `dvc repro` of a profile, say what came out", "profile"
    )
    command.add_argument(
        "--allow-missing", action="store_true", help="finished runs stay, even without their models"
    )
    add("released", "forecast.stages", "see that `make add` will keep the released results")
    command = add("submit", "cluster.submit", "train the runs of a repro as jobs")
    command.add_argument("target", help="as `dvc repro` takes it, such as report@paper")
    command.add_argument("--on", choices=("slurm", "local"), default="slurm")
    command.add_argument("--gpus", metavar="0,1,…", help="local: devices, a run at a time each")
    command.add_argument("--jobs", type=int, metavar="N", help="local: runs at once on the CPU")
    command.add_argument("--time", metavar="4:00:00", help="Slurm: limit of a job; it goes on")
    command.add_argument("--mem", metavar="8G", help="Slurm: memory of a job")
    command.add_argument("--cpus", type=int, metavar="4", help="cores of a run")
    command.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTIONS",
        help="Slurm: more of sbatch's, as in --sbatch='--partition=gpu --gpus=1'",
    )
    command.add_argument("--then-repro", action="store_true", help="then run `dvc repro`")
    command.add_argument("--dry-run", action="store_true", help="submit nothing, say what would be")
    command = add("jobs", "cluster.jobs", "say what the jobs of this folder are doing")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    what.add_argument("--cancel", action="store_true", help="cancel those that Slurm has")
    command = add("job", "cluster.job", "train a run as `submit` asks for it", "key")
    command.add_argument("expected", metavar="stamp", help="of the recipe, data and code")
    command = add(
        "circumstances", "report.circumstances", "say when and on what machine results were made"
    )
    command.add_argument("profile", nargs="?", default="paper")
    command = add("bench", "benchmarks.bench", "time everything here against plain twins")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    command.add_argument("--page", action="store_true", help="only write the page anew")
    add("release", "report.release", "record the present results as the published release")
    command = add("readme", "report.readme", "fill the README's numbers from the reports")
    command.add_argument("--check", action="store_true", help="only say whether it is current")
    return parser


# What torch says of a processor's memory or a device's.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Stderr(io.FileIO):
    """Standard error that stops no work: what a full disk or a gone reader doesn't take is lost."""

    told = False

    def write(self, said: Any) -> int:
        """Write bytes, or say once on standard output that they are lost."""
        try:
            return super().write(said)
        except OSError as error:
            if not self.told:
                self.told = True
                with contextlib.suppress(OSError):
                    print(f"paper_repro: stderr: {error.strerror}; what is told there is lost")
            return len(said)


def _secure_streams() -> None:
    """Open the standard streams that are closed, and let none fail for a sign or on stderr."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # as by `2>&-`; the file takes that number, before others do
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
            if name == "stderr":
                with contextlib.suppress(OSError):  # past the buffer, which would keep what fails
                    os.write(1, b"paper_repro: stderr: closed; what is told there is lost\n")
    own = sys.__stderr__
    if own and own is sys.stderr:  # not a test's
        raw = io.BufferedWriter(_Stderr(own.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, own.encoding, line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # no name or sign that a locale lacks is an error
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit code."""
    for number in endings():  # from here on; training listens by itself
        signal.signal(number, _interrupt)
    _secure_streams()
    options = vars(_parser().parse_args(arguments))
    del options["command"]
    code = _run(**options)
    try:
        sys.stdout.flush()
    except OSError:  # told by now; Python would try once more as it ends, and tell it at length
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _run(module: str, function: str, **options: Any) -> int:
    """Call a command's function; return the exit code, having said in one line what went wrong."""
    try:
        elsewhere = system.other_checkout()
        if elsewhere:
            raise UserError(elsewhere)
        getattr(importlib.import_module(module), function)(**options)
        sys.stdout.flush()
    except UserError as error:
        print(f"paper_repro: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        print(
            f"paper_repro: {error.name} is not installed for {sys.executable}; type `make install` "
            "and `source .venv/bin/activate`",
            file=sys.stderr,
        )
        return 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in NO_MEMORY):
            raise
        print("paper_repro: out of memory; is a size in the parameters too large?", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has read enough, as `head` does
        return 128 + signal.SIGPIPE
    except OSError as error:  # a read-only folder, a folder where a file should be, a full disk
        where = f"{error.filename}: " if error.filename else ""
        print(f"paper_repro: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "paper_repro: interrupted; nothing is lost, the same command goes on or begins anew",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
