"""`make install` in a small copy of the repository, with surroundings that could lead it astray."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT


def write_wheel(folder, name):
    """A package of one empty module."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


BACKEND = """
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    return shutil.copy("own-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def copy(folder):
    """A repository that locks one small package, which pip finds only with `links`."""
    shutil.copytree(ROOT / "paper_repro", folder / "paper_repro", ignore=lambda *_: ["__pycache__"])
    shutil.copy(ROOT / "Makefile", folder)
    (folder / ".git").mkdir()
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "requirements.lock").write_text("locked==1.0\n")
    links = folder.parent / "links"
    links.mkdir()
    write_wheel(links, "locked")
    write_wheel(folder, "own")
    return folder


def make(folder, *arguments, **variables):
    """Run make there with a plain environment and these variables."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "MAKE"))}
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=folder,
        env=plain | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A copy in a folder with spaces in its path, installed among hostile settings."""
    base = tmp_path_factory.mktemp("base")
    folder = copy(base / "my folder" / "x y")
    settings = base / "pip.conf"
    settings.write_text(
        "[global]\nno-index = true\nuser = true\nrequire-hashes = true\n"
        f"[install]\nfind-links = {(folder.parent / 'links').as_uri()}\n"
        f"constraint = {base}/absent.txt\n"
    )
    (base / "astray").mkdir()
    (base / "astray" / "pip.py").write_text("raise SystemExit('from PYTHONPATH')")
    pip = {f"PIP_{name}": base / name for name in ("TARGET", "PREFIX", "ROOT", "CONSTRAINT")}
    python = {f"PYTHON{name}": base / "astray" for name in ("PATH", "HOME", "USERBASE")}
    others = {"HOME": base / "home", "CONDA_PREFIX": base, "VIRTUAL_ENV": base / "other"}
    pip |= {"PIP_CONFIG_FILE": settings, "PIP_USER": 1, "PIP_REQUIRE_VIRTUALENV": 1}
    done = make(folder, "install", **pip, **python, **others)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_it_installs_into_its_own_folder_whatever_the_user_s_settings(installed):
    base = installed.parent.parent
    (packages,) = installed.glob(".venv/lib/python*/site-packages")
    assert set(base.rglob("locked.py")) == {packages / "locked.py"}
    assert set(base.rglob("own.py")) == {packages / "own.py"}
    again = make(installed, "install", PYTHONHOME=base / "astray")
    assert "Nothing to be done" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("python", ["gone", "/bin/false"])
def test_an_environment_whose_python_is_gone_or_unsupported_is_made_anew(
    installed, tmp_path, python
):
    link = installed / ".venv/bin/python"
    link.rename(tmp_path / "python")
    link.symlink_to(python)
    try:
        assert "-m venv --clear .venv" in make(installed, "--dry-run", "install").stdout
    finally:
        link.unlink()
        (tmp_path / "python").rename(link)
    assert "venv" not in make(installed, "--dry-run", "install").stdout


@pytest.mark.slow
def test_an_environment_that_was_moved_is_made_anew(installed, tmp_path):
    moved = installed.rename(tmp_path / "moved")
    try:
        assert "-m venv --clear .venv" in make(moved, "--dry-run", "install").stdout
    finally:
        moved.rename(installed)


def test_from_another_folder_it_says_what_to_do(tmp_path):
    spaced = tmp_path / "with  two spaces"
    spaced.symlink_to(ROOT)
    for folder, options in ((spaced, ("-f", spaced / "Makefile")), (tmp_path, ("-C", ROOT))):
        assert "make quick" in make(folder, *options, "help").stdout
    for place in (spaced, ROOT):
        elsewhere = make(tmp_path, "-f", place / "Makefile", "quick")
        assert (elsewhere.returncode, elsewhere.stdout) == (2, "")
        assert elsewhere.stderr.count("\n") == 1
        assert "make -C <that folder> quick" in elsewhere.stderr


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ("import ensurepip", "can't make environments: apt install python3-venv"),
        ("paper_repro/system.py", "CPython 3.15"),
    ],
)
def test_a_python_that_will_not_do_is_one_line_before_anything_is_made(tmp_path, lacks, told):
    folder, python = copy(tmp_path / "repository"), tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *"{lacks}"*) echo "CPython 3.15" >&2; exit 2;; esac\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    done = make(folder, "install", f"PYTHON={python}")
    assert (done.returncode, done.stdout) == (2, "")
    said, _ = done.stderr.splitlines()  # the second is make's
    assert told in said
    assert not (folder / ".venv").exists()


def test_an_environment_of_another_tool_is_left_alone(tmp_path):
    folder = copy(tmp_path / "repository")
    (folder / ".venv").mkdir()
    (folder / ".venv/pyvenv.cfg").write_text("uv = 0.9\n")
    done = make(folder, "install")
    assert done.returncode == 2
    assert ".venv is not from this Makefile: move it away" in done.stderr
    assert (folder / ".venv/pyvenv.cfg").read_text() == "uv = 0.9\n"
