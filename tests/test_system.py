import ast
import os
import platform
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from paper_repro import system
from paper_repro.__main__ import main
from tests.conftest import ROOT

LINUX = {"system": "Linux", "machine": "x86_64", "libc_ver": ("glibc", "2.36")}
MAC = {"system": "Darwin", "machine": "arm64", "libc_ver": ("", ""), "mac_ver": ("15.1", (), "")}


@pytest.fixture
def pretend(monkeypatch):
    def change(found, python=(3, 12), implementation="cpython"):
        for name, value in found.items():
            monkeypatch.setattr(platform, name, lambda value=value: value)
        monkeypatch.setattr(platform, "python_version", lambda: ".".join(map(str, (*python, 0))))
        monkeypatch.setattr(
            system,
            "sys",
            SimpleNamespace(
                version_info=(*python, 0, "final", 0),
                implementation=SimpleNamespace(name=implementation),
                stderr=sys.stderr,
                exit=sys.exit,
            ),
        )

    return change


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13), (3, 14)])
@pytest.mark.parametrize(
    "found",
    [
        LINUX,
        LINUX | {"machine": "aarch64", "libc_ver": ("glibc", "2.28")},
        MAC,
        MAC | {"mac_ver": ("14.0", (), "")},
    ],
)
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
    with pytest.raises(SystemExit) as end:
        system.check()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("paper_repro: ")
    assert error.count("\n") == 1
    assert re.search(told, error)


def test_old_pythons_can_read_what_runs_before_the_check():
    for name in ("__init__", "__main__", "system", "core/__init__", "core/errors"):
        text = (ROOT / f"paper_repro/{name}.py").read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 6))


def test_the_command_line_checks_before_all_else():
    """As where a module of the standard library is missing, on Windows, and types are older."""
    code = "import platform\nplatform.system = lambda: 'Windows'\nimport paper_repro.__main__"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr == (
        "paper_repro: Windows is not supported: use WSL, the Linux inside Windows\n"
    )


def test_pip_is_promised_what_is_checked():
    (first, last) = (f"{python[0]}.{python[1]}" for python in (system.FIRST, system.LAST))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={first},<{last[:2]}{int(last[2:]) + 1}"' in project


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


def test_the_code_of_one_checkout_does_not_run_in_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert system.other_checkout() == ""
    (tmp_path / "paper_repro").mkdir()
    (tmp_path / "paper_repro/system.py").write_text("")
    assert main(["runs"]) == 2
    said = capsys.readouterr().err
    assert f"this is the code of {ROOT}, and {tmp_path} is another checkout" in said
    monkeypatch.chdir(ROOT)
    assert system.other_checkout() == ""
