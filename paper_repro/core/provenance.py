"""Where a number comes from: code, versions, device.

The code of a stage is the import closure of its module, read from the source and not from what
happens to be loaded, so that the same list serves the pipeline's dependencies, the key of a
checkpoint and the record of a run.
"""

import ast
import functools
import os
import platform
import re
import resource
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch

from paper_repro.core.circumstances import Commit, Environment, Gpu
from paper_repro.core.files import digest
from paper_repro.core.float32_matmul import are_exact, library

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
SOURCES = ("paper_repro", "params.yaml", "dvc.yaml", "profiles")  # what a commit must hold


def _module_file(name: str) -> Path | None:
    """Return the source of a first-party module; None for any other name and for packages.

    A package's own ``__init__`` holds nothing but its docstring (a test sees to it), so that it
    decides no number.
    """
    if name.split(".")[0] != PACKAGE.name:
        return None
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def _imports(path: Path) -> set[Path]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {file for name in names if (file := _module_file(name))}
    return found


def import_closure(*modules: str) -> list[Path]:
    """Return the first-party sources that modules reach by imports, their own among them."""
    reached: set[Path] = set()
    waiting = {ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in modules}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        waiting |= _imports(path) - reached
    return sorted(reached)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            body = node.body
            first = body[0] if body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = body[1:]
    return tree


def code_digest(*modules: str) -> str:
    """Return a hash of what a stage's code does: comments, docstrings and layout are left out."""
    return digest(
        {
            path.relative_to(ROOT).as_posix(): ast.dump(
                _without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
            )
            for path in import_closure(*modules)
        }
    )


def _git(*arguments: str) -> str:
    # What an outer git, as in a hook, says of its own repository is not about this one.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    program = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(program, env=own, capture_output=True, check=True, timeout=10)
    return done.stdout.decode(errors="replace").strip()


@functools.cache
def commit() -> Commit:
    """Return the commit that the code was run from, or why there is none.

    There is none either where the package lies, as a tarball, in a folder of another repository.
    """
    try:
        top = _git("rev-parse", "--show-toplevel")
        if Path(top).resolve() != ROOT:
            raise OSError("the package's folder is not the top of a repository")
        return {
            "commit": _git("rev-parse", "HEAD"),
            "uncommitted_changes": bool(_git("status", "--porcelain", "--", *SOURCES)),
        }
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        why = " ".join(said.decode(errors="replace").split())
        return {"commit": None, "uncommitted_changes": None, "git": why}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(device: torch.device) -> dict[str, Any]:
    """Return the device's name and how many threads torch uses."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else f"CPU, {_processor()}"
    return {"device": name, "threads": torch.get_num_threads()}


def gpu(device: torch.device) -> Gpu:
    """Return what a GPU is and does at present, as far as its name does not say."""
    name = torch.cuda.get_device_name(device)
    try:
        told = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        told = ""
    driver = re.search(r"\b\d+\.\d+(\.\d+)?\b", told)
    # Where MPS's daemon listens, each process becomes its client.
    pipe = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"), "control")
    return {
        "products": "float32" if are_exact(device) else "rounded",
        "driver": driver[0] if driver else None,
        "cuda": torch.version.cuda,
        "multiprocessors": torch.cuda.get_device_properties(device).multi_processor_count,
        "mig": "MIG" in name,
        "mps": pipe.exists(),
    }


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that this process has held so far: on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def versions() -> dict[str, str]:
    """Return the versions that decide numbers."""
    found = {"python": platform.python_version(), "platform": platform.system()}
    for name in ("paper_repro", "torch", "numpy", "scipy", "scikit-learn"):
        found[name] = metadata.version(name)
    return found


def environment(device: torch.device, *modules: str) -> Environment:
    """Return on what code, reached from modules, and on what machine a stage runs."""
    made = {
        **commit(),
        "code_sha256": code_digest(*modules),
        "versions": versions(),
        **hardware(device),
        "cores": os.cpu_count(),
        "float32_products": library(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        made["gpu"] = gpu(device)
    return cast("Environment", made)
