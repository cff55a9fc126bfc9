import ast
import os
import platform
import re
import sys
from types import SimpleNamespace

import pytest

from paper_repro import system
from tests.small import ROOT, python

LINUX = {"system": "Linux", "machine": "x86_64", "libc_ver": ("glibc", "2.36")}
ARM = LINUX | {"machine": "aarch64", "libc_ver": ("glibc", "2.28")}
MAC = {"system": "Darwin", "machine": "arm64", "libc_ver": ("", ""), "mac_ver": ("15.1", (), "")}


@pytest.fixture
def pretend(monkeypatch):
    def change(found, python=(3, 12), implementation="cpython"):
        for name, value in found.items():
            monkeypatch.setattr(platform, name, lambda value=value: value)
        monkeypatch.setattr(platform, "python_version", lambda: ".".join(map(str, (*python, 0))))
        kind = SimpleNamespace(name=implementation)
        ours = {"version_info": (*python, 0, "final", 0), "implementation": kind}
        monkeypatch.setattr(system, "sys", SimpleNamespace(**vars(sys) | ours))

    return change


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13), (3, 14)])
@pytest.mark.parametrize("found", [LINUX, ARM, MAC, MAC | {"mac_ver": ("14.0", (), "")}])
def test_what_the_lock_has_wheels_for_is_supported(pretend, found, python):
    pretend(found, python)
    assert system.problem() == ""
    system.check()


@pytest.mark.parametrize(
    ("found", "python", "implementation", "told"),
    [
        (LINUX, (3, 10), "cpython", r"CPython 3\.11 to 3\.14 .* 3\.10\.0: make PYTHON="),
        (LINUX, (3, 15), "cpython", r"CPython 3\.11 to 3\.14 .* 3\.15\.0: make PYTHON="),
        (LINUX, (3, 11), "pypy", r"CPython 3\.11 to 3\.14 "),
        (LINUX | {"machine": "i686"}, (3, 12), "cpython", "Linux on i686 "),
        (LINUX | {"libc_ver": ("", "")}, (3, 12), "cpython", "not Alpine"),
        (LINUX | {"libc_ver": ("glibc", "2.17")}, (3, 12), "cpython", r"glibc 2\.28 or newer"),
        (MAC | {"machine": "x86_64"}, (3, 12), "cpython", "Darwin on x86_64 .*Apple silicon"),
        (MAC | {"mac_ver": ("13.6.1", (), "")}, (3, 12), "cpython", r"13\.6\.1 .* 14 or newer"),
        ({"system": "Windows", "machine": "AMD64"}, (3, 12), "cpython", "Windows .* WSL"),
        ({"system": "FreeBSD", "machine": "amd64"}, (3, 12), "cpython", "FreeBSD on amd64 "),
    ],
)
def test_any_other_is_refused_in_one_line(pretend, capsys, found, python, implementation, told):
    pretend(found, python, implementation)
    with pytest.raises(SystemExit, match="2"):
        system.check()
    assert re.fullmatch(f"paper_repro: .*{told}.*\n", capsys.readouterr().err)


def test_old_pythons_can_read_what_runs_before_the_check():
    for name in ("__init__", "__main__", "system", "core/__init__", "core/errors"):
        text = (ROOT / f"paper_repro/{name}.py").read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 6))


WINDOWS = "import platform\nplatform.system = lambda: 'Windows'\nimport paper_repro.__main__"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-c", WINDOWS], "Windows is not supported: use WSL"),  # which lacks a standard module
        (["-OO", "-m", "paper_repro", "runs"], "docstrings are needed"),
    ],
)
def test_the_command_line_checks_before_all_else(arguments, told):
    done = python(*arguments, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith(f"paper_repro: {told}")
    assert done.stderr.count("\n") == 1


def test_what_is_promised_is_what_is_checked():
    (first, last) = (f"{python[0]}.{python[1]}" for python in (system.FIRST, system.LAST))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={first},<{last[:2]}{int(last[2:]) + 1}"' in project
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"CPython {first} to {last}" in readme
    assert f"macOS {system.MACOS[0]} or newer on Apple silicon" in readme
    assert "Linux (x86_64 or aarch64, glibc 2.28 or newer" in readme


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "150000 100000"}, 1),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000"}, 8),
    ],
)
def test_cores_are_the_least_of_affinity_and_quota(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{content}\n")
    assert system.cores(str(tmp_path)) == expected


def test_the_code_of_one_checkout_does_not_run_in_another(tmp_path, monkeypatch, refused):
    for here in (ROOT, tmp_path):
        monkeypatch.chdir(here)
        assert system.other_checkout() == ""
    (tmp_path / "paper_repro").mkdir()
    (tmp_path / "paper_repro/system.py").touch()
    assert f"the code of {ROOT}, and {tmp_path} is another checkout" in refused("runs")
