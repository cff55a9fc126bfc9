"""Slurm, by its own commands: what is queued, a new job, a cancelled one."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paper_repro.cluster.job import log_path
from paper_repro.core.errors import UserError

SCRIPT = Path(__file__).with_name("job.sh")
WARNING = "TERM@300"  # to the step, so many seconds before the limit; Slurm may be a minute early
ANSWER_SECONDS = 120.0
FIELDS = {"JobID": 30, "Name": 300, "State": 30, "NodeList": 100, "RestartCnt": 10}
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
}
NO_CONFIGURATION = ": fatal: Could not establish a configuration source"


class NoCluster(UserError):
    """Slurm is not installed here, or only its commands are."""


@dataclass(frozen=True)
class Job:
    """A job of this folder, as the queue has it."""

    number: str
    key: str  # a run's, or of a job that runs `dvc repro`
    stamp: str
    state: str
    node: str
    restarts: int

    @property
    def alive(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in ENDED


def _name(key: str, stamp: str) -> str:
    """Return a job's name, which tells apart copies of the repository and versions of a run."""
    folder = hashlib.sha256(os.fsencode(Path.cwd().resolve())).hexdigest()[:8]
    return f"{key}.{folder}.{stamp}"


def _ask(*command: str) -> str:
    """Return what a command of Slurm prints (`UserError` with its own words if it fails)."""
    # What an outer job says of itself is not about the new one; SBATCH_* are the user's wishes.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name == "SLURM_CONF" or not name.startswith(("SLURM_", "SQUEUE_"))
    }
    try:
        answer = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
        )
    except FileNotFoundError:
        raise NoCluster(
            f"{command[0]}: not found; run this where Slurm's commands are, or with `--on local`"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{command[0]}: {error}; run the same command again") from None
    if answer.returncode:
        said = answer.stderr.decode(errors="replace").splitlines()
        if said and said[-1].endswith(NO_CONFIGURATION):
            raise NoCluster(
                f"{command[0]}: no cluster is set up here; run this where one is, or with "
                "`--on local`"
            )
        raise UserError("; ".join(said) or f"{command[0]}: exit {answer.returncode}")
    return answer.stdout.decode(errors="replace")


def queue() -> dict[str, Job]:
    """Return this folder's jobs by key, the newest of each, for as long as Slurm knows them.

    Raises
    ------
    UserError
        If there is no Slurm, or it doesn't answer.
    """
    form = ",".join(f"{name}:{width}|" for name, width in FIELDS.items())
    answer = _ask("squeue", "--me", "--noheader", "--states=all", f"--Format={form}")
    ours = re.escape(_name("KEY", "STAMP")).replace("KEY", r"([\w-]+)").replace("STAMP", r"(\w+)")
    found: dict[str, Job] = {}
    for line in answer.splitlines():  # among them a site's own, and those of other jobs
        if match := re.match(rf"(\d+) *\|{ours} *\|([^|]*)\|([^|]*)\| *(\d*)", line.strip()):
            number, key, stamp, state, node, restarts = match.groups()
            job = Job(number, key, stamp, state.strip(), node.strip(), int(restarts or 0))
            if key not in found or int(found[key].number) < int(number):
                found[key] = job
    return found


def command(
    key: str, stamp: str, arguments: Sequence[str], after: Sequence[str], options: Sequence[str]
) -> list[str]:
    """Return the call of sbatch that submits a job.

    Parameters
    ----------
    arguments : of Python, in the job.
    after : jobs that must have succeeded.
    options : of sbatch, the user's, which override ours.
    """
    return [
        *("sbatch", "--parsable", "--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append"),
        f"--job-name={_name(key, stamp)}",
        f"--chdir={Path.cwd()}",
        f"--output={log_path(key)}",
        f"--signal={WARNING}",
        *([f"--dependency=afterok:{':'.join(after)}"] if after else []),
        "--kill-on-invalid-dep=yes",
        *options,
        *(str(SCRIPT), sys.executable, key, *arguments),
    ]


def submit(call: Sequence[str]) -> str:
    """Submit a job by a `command`; return its number (`UserError` with sbatch's own words)."""
    said = _ask(*call)  # a site's own lines may stand beside the number, and a cluster's after it
    match re.findall(r"^(\d+)(?:;\S+)?$", said, re.MULTILINE):
        case [str(number)]:
            return number
    raise UserError(
        f"sbatch: gave no job's number, but {' '.join(said.split())!r}; a job may have been "
        "submitted: see squeue"
    )


def cancel(jobs: Iterable[Job]) -> None:
    """Cancel jobs; a training that runs saves first (`UserError` as `queue`)."""
    _ask("scancel", *(job.number for job in jobs))
