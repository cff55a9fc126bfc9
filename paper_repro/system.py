"""Which systems the locked versions run on, said in one line where they don't.

The Makefile runs this file before it makes an environment, and the command line runs it before all
else; so Pythons older than the supported ones must be able to read it.
"""

import os
import platform
import sys
from pathlib import Path

FIRST, LAST = (3, 11), (3, 14)  # Pythons; as requires-python in pyproject.toml
MACHINES = {"Linux": ("x86_64", "aarch64"), "Darwin": ("arm64",)}  # PyTorch has wheels for these
GLIBC, MACOS = (2, 28), (14,)  # the oldest that the wheels run on


def _numbers(version: str) -> "tuple[int, ...]":
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def problem() -> str:
    """Return what keeps the locked versions from this system and what to do, or ''."""
    system, machine = platform.system(), platform.machine()
    if check.__doc__ is None:
        return "docstrings are needed, and PYTHONOPTIMIZE=2 or -OO takes them away: unset it"
    if system == "Windows":
        return "Windows is not supported: use WSL, the Linux inside Windows"
    if machine not in MACHINES.get(system, ()):
        return (
            f"{system} on {machine} is not supported, PyTorch has no wheel for it: use Linux on "
            "x86_64 or aarch64, or macOS on Apple silicon, and a Python made for that processor"
        )
    if sys.implementation.name != "cpython" or not FIRST <= tuple(sys.version_info[:2]) <= LAST:
        return (
            f"CPython 3.{FIRST[1]} to 3.{LAST[1]} is needed, the locked versions have wheels for "
            f"these only; this is {platform.python_implementation()} {platform.python_version()}: "
            "make PYTHON=python3.13, for example"
        )
    name, version = platform.libc_ver()
    if system == "Linux" and (name != "glibc" or _numbers(version) < GLIBC):
        return (
            "this Linux is not supported, PyTorch has no wheel for its C library: use one with "
            f"glibc {GLIBC[0]}.{GLIBC[1]} or newer, as Debian 10 and Ubuntu 20.04, not Alpine"
        )
    if system == "Darwin" and _numbers(platform.mac_ver()[0]) < MACOS:
        return f"macOS {platform.mac_ver()[0]} is not supported: PyTorch needs {MACOS[0]} or newer"
    return ""


def _schedulable() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores(root: str = "/sys/fs/cgroup") -> int:
    """Return how many cores this process may use: in a job the job's, in a container its share.

    Parameters
    ----------
    root : where Linux shows control groups, of version 2 or 1.
    """
    found = _schedulable()
    for places in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            texts = [Path(root, place).read_text(encoding="utf-8") for place in places]
            quota, period = map(int, " ".join(texts).split())
        except (OSError, ValueError):  # not of that version; "max" is no number, -1 no limit
            continue
        if quota > 0 and period > 0:
            found = min(found, max(1, quota // period))
    return found


def use_own_cores() -> None:
    """Let numerical libraries start no more threads than there are cores for them here.

    They see which cores a process may run on, but not a container's share of their time.
    """
    ours = cores()
    if ours < _schedulable():
        os.environ.setdefault("OMP_NUM_THREADS", str(ours))


def other_checkout() -> str:
    """Return that the present folder is another checkout than this code's, or ''."""
    package = os.path.dirname(os.path.realpath(__file__))
    here = os.path.realpath("paper_repro")
    if here == package or not os.path.isfile(os.path.join(here, "system.py")):
        return ""
    return (
        f"this is the code of {os.path.dirname(package)}, and {os.getcwd()} is another checkout: "
        "type `make install` there and activate its own environment"
    )


def check() -> None:
    """End the process with one line where the system is not supported.

    Raises
    ------
    SystemExit
        With code 2.
    """
    found = problem()
    if found:
        print(f"paper_repro: {found}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    check()
