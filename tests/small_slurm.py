"""A Slurm of two small nodes on this machine: no systemd, loopback only, a folder of its own."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

DAEMONS = ("munged", "slurmctld", "slurmd")
CONF = """
ClusterName=small
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
# A requeued job may start once old credentials have expired: by default after two minutes.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=10
MinJobAge=3600
PropagateResourceLimits=NONE
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=2000
PartitionName=normal Nodes=n1,n2 Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


def why_not():
    """Say why there can be no Slurm here; an empty text if there can."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian has the daemons, for ordinary users too
    if missing := [name for name in (*DAEMONS, "sbatch", "srun") if not shutil.which(name)]:
        return f"{', '.join(missing)} not installed (Debian: slurmctld slurmd munge slurm-client)"
    if not _local_name():
        asked_for = ["unshare", "--uts", "true"]
        if os.getuid() or not shutil.which("unshare") or subprocess.run(asked_for).returncode:
            return "this machine's name is not on loopback, and we may not give it another"
    return ""


def _local_name():
    """Whether daemons, which bind to what the machine's name stands for, bind to loopback."""
    with contextlib.suppress(OSError):
        return socket.gethostbyname(socket.gethostname()).startswith("127.")
    return False


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running():
    """Keep a Slurm running; `SLURM_CONF` in the environment names it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    for name in ("state", "spool.n1", "spool.n2"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munged's socket must be open to all
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, user=getpass.getuser(), ports=_free_ports(3)))
    own = ["unshare", "--uts", "sh", "-c", 'hostname localhost; exec "$@"', ""]
    if _local_name():
        own = []
    munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
    options = [f"--{option}={folder}/munge.{name}" for option, name in munge.items()]
    with mock.patch.dict(os.environ, SLURM_CONF=str(conf)):
        try:
            start("munged", *options, f"--seed-file={folder}/munge.seed", "--num-threads=2")
            start(*own, "slurmctld", "-c", "-f", str(conf))
            for node in ("n1", "n2"):
                start(*own, "slurmd", "-c", "-N", node, "-f", str(conf))
            wait_for(lambda: asked("sinfo", "-h", "-p", "normal", "-t", "idle", "-o", "%D") == "2")
            yield
        finally:
            _stop(folder)
            shutil.rmtree(folder)


def start(*command):
    """Start a daemon, which leaves its terminal and writes its process into a file."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def asked(*command):
    """Return what a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def wait_for(true, seconds=90):
    """Return what `true` returns, as soon as that is true."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.2)
    return found


def _stop(folder):
    with contextlib.suppress(AssertionError):
        if numbers := asked("squeue", "--noheader", "--format=%A").split():
            asked("scancel", *numbers)
            wait_for(lambda: not asked("squeue", "--noheader"), 20)
    files = sorted(folder.glob("*.pid"), reverse=True)  # munged last
    processes = [int(path.read_text()) for path in files if path.read_text().strip()]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not any(Path(f"/proc/{n}").exists() for n in processes), 10)
