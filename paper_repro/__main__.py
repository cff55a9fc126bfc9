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

# By name: the module, what it does, its arguments. The module's function is of the same name, but:
FUNCTIONS = {"runs": "write_run_lists", "score": "print_score"}
METAVARS = {"key": "run", "name": "dataset"}  # what people call an argument
COMMANDS = {
    "runs": ("pipeline.run_list", "write DVC's lists of runs, copies of dvc.yaml"),
    "fetch": ("data.fetch", "download the data sets to data/raw"),
    "prepare": ("data.prepare", "write a profile's part of a data set", "profile", "name"),
    "train": ("training.train", "train a run listed in params.yaml", "key"),
    "evaluate": ("evaluation.evaluate", "measure a trained run's log-likelihood", "key"),
    "walk": ("diagnostics.walk", "choose the width of a trained run's walk", "key"),
    "sample_checks": ("diagnostics.sample_checks", "look for copies, correlation and jumps", "key"),
    "figure2": ("figures.figure2", "draw a trained run's figure 2", "key"),
    "sheet": ("figures.sheet", "draw a hundred samples of a trained run", "key"),
    "film": ("figures.film", "make a GIF of what a run drew as it was trained", "key"),
    "figure3": ("figures.figure3", "draw a trained run's figure 3", "key"),
    "parzen_audit": ("diagnostics.parzen_audit", "measure samples that no model made", "key"),
    "figure1": ("figures.figure1", "draw figure 1 from a run in one dimension", "profile"),
    "report": ("report.report", "write a profile's results, table and page", "profile"),
    "weights": ("report.weights", "publish a trained run's generator", "key"),
    "sample_sets": ("diagnostics.sample_sets", "measure a run on ten sets of samples", "key"),
    "mixing": ("figures.mixing", "measure how a run's samples follow each other", "key"),
    "explore": ("report.explore", "write a page on which a published generator draws", "profile"),
    "verify": ("report.verify", "recompute a published number from its weights"),
    "score": ("api", "measure samples of any model as the paper measures its own"),
    "plan": ("forecast.plan", "say what a repro of a profile's report will do", "profile"),
    "repro": ("forecast.repro", "run `dvc repro` of a profile, say what came out", "profile"),
    "released": ("forecast.stages", "see that `make add` will keep the released results"),
    "submit": ("cluster.submit", "train the runs of a repro as jobs"),
    "jobs": ("cluster.jobs", "say what the jobs of this folder are doing"),
    "job": ("cluster.job", "train a run as `submit` asks for it", "key"),
    "circumstances": ("report.circumstances", "say when and on what machine results were made"),
    "bench": ("benchmarks.bench", "time everything here against plain twins"),
    "release": ("report.release", "record the present results as the published release"),
    "readme": ("report.readme", "fill the README's numbers from the reports"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="paper_repro",
        description='Rerun "Generative Adversarial Networks" (arXiv:1406.2661).',
        epilog="`make quick` or `make repro` run all of it; the stages are in dvc.yaml.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    of = {}
    for name, (module, text, *arguments) in COMMANDS.items():
        of[name] = commands.add_parser(name, help=text, description=text)
        of[name].set_defaults(module=f"paper_repro.{module}", function=FUNCTIONS.get(name, name))
        for argument in arguments:
            of[name].add_argument(argument, metavar=METAVARS.get(argument))

    def flag(name: str, option: str, text: str, **more: Any) -> None:
        of[name].add_argument(option, action="store_true", help=text, **more)

    flag("train", "--fresh", "discard its checkpoint")
    adopt = "go on from the newest checkpoint of the same recipe that other code made"
    flag("train", "--adopt", adopt)
    of["verify"].add_argument("key", metavar="run", nargs="?", default=argparse.SUPPRESS)
    flag("verify", "--all", "every set of samples, not the first", dest="every_set")
    of["score"].add_argument("samples", help=".npy, .npz or .safetensors, or a folder of PNGs")
    of["score"].add_argument("--data", default="mnist", help="the data set (mnist)")
    flag("score", "--copies", "look for training images, too")
    flag("score", "--json", "for scripts", dest="as_json")
    flag("repro", "--allow-missing", "finished runs stay, even without their models")
    submit = of["submit"].add_argument
    submit("target", help="as `dvc repro` takes it, such as report@paper")
    submit("--on", choices=("slurm", "local"), default="slurm")
    submit("--gpus", metavar="0,1,…", help="local: devices, a run at a time each")
    submit("--per-gpu", type=int, metavar="N", help="local: or so many on each device")
    submit("--jobs", type=int, metavar="N", help="local: runs at once on the CPU")
    submit("--time", metavar="4:00:00", help="Slurm: limit of a job; it goes on")
    submit("--mem", metavar="8G", help="Slurm: memory of a job")
    submit("--cpus", type=int, metavar="4", help="cores of a run")
    more = "Slurm: more of sbatch's, as in --sbatch='--partition=gpu --gpus=1'"
    submit("--sbatch", action="append", default=[], metavar="OPTIONS", help=more)
    flag("submit", "--then-repro", "then run `dvc repro`")
    flag("submit", "--dry-run", "submit nothing, say what would be")
    what = of["jobs"].add_mutually_exclusive_group()
    what.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    what.add_argument("--cancel", action="store_true", help="cancel those that Slurm has")
    of["job"].add_argument("expected", metavar="stamp", help="of the recipe, data and code")
    of["circumstances"].add_argument("profile", nargs="?", default="paper")
    of["bench"].add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    flag("bench", "--gpu", "only training on a GPU")
    flag("bench", "--page", "only write the page anew")
    flag("readme", "--check", "only say whether it is current")
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
    code = 2
    try:
        elsewhere = system.other_checkout()
        if elsewhere:
            raise UserError(elsewhere)
        getattr(importlib.import_module(module), function)(**options)
        sys.stdout.flush()
        return 0
    except UserError as error:
        said, code = str(error), error.exit_code
    except ModuleNotFoundError as error:
        said = (
            f"{error.name} is not installed for {sys.executable}; type `make install` "
            "and `source .venv/bin/activate`"
        )
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in NO_MEMORY):
            raise
        said = "out of memory; is a size in the parameters too large?"
    except BrokenPipeError:  # the reader has read enough, as `head` does
        return 128 + signal.SIGPIPE
    except OSError as error:  # a read-only folder, a folder where a file should be, a full disk
        where = f"{error.filename}: " if error.filename else ""
        said = f"{where}{error.strerror or error}"
    except KeyboardInterrupt:
        said = "interrupted; the same command goes on from what is saved, or begins anew"
        code = 130
    print(f"paper_repro: {said}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
