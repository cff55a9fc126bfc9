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
    folder = base / "my folder" / "x y"
    folder.mkdir(parents=True)
    copy(folder)
    settings = base / "pip.conf"
    settings.write_text(
        "[global]\nno-index = true\nuser = true\nrequire-hashes = true\n"
        f"[install]\nfind-links = {(folder.parent / 'links').as_uri()}\n"
        f"constraint = {base}/absent.txt\n"
    )
    (base / "astray").mkdir()
    (base / "astray" / "pip.py").write_text("raise SystemExit('from PYTHONPATH')")
    done = make(
        folder,
        "install",
        HOME=base / "home",
        PIP_CONFIG_FILE=settings,
        PIP_USER=1,
        PIP_TARGET=base / "target",
        PIP_PREFIX=base / "prefix",
        PIP_ROOT=base / "root",
        PIP_REQUIRE_VIRTUALENV=1,
        PIP_CONSTRAINT=base / "absent.txt",
        PYTHONPATH=base / "astray",
        PYTHONHOME=base / "astray",
        PYTHONUSERBASE=base / "user",
        CONDA_PREFIX=base / "conda",
        VIRTUAL_ENV=base / "other",
    )
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
@pytest.mark.parametrize("python", [None, "import sys; sys.exit(2)"])
def test_an_environment_whose_python_is_gone_or_unsupported_is_made_anew(
    installed, tmp_path, python
):
    link = installed / ".venv/bin/python"
    link.rename(tmp_path / "python")
    if python is None:
        link.symlink_to(tmp_path / "gone")
    else:
        link.write_text(f"#!{sys.executable}\n{python}\n")
        link.chmod(0o755)
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
    assert "make -C <that folder> help" in make(tmp_path, "-f", spaced / "Makefile", "help").stderr
    assert "make quick" in make(spaced, "-f", spaced / "Makefile", "help").stdout
    elsewhere = make(tmp_path, "-f", ROOT / "Makefile", "quick")
    assert elsewhere.returncode == 2
    assert elsewhere.stdout == ""
    assert elsewhere.stderr.count("\n") == 1
    assert "make -C <that folder> quick" in elsewhere.stderr
    assert "make quick" in make(tmp_path, "-C", ROOT, "help").stdout
    assert "make quick" in make(ROOT, "-f", ROOT / "Makefile", "help").stdout


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ("import ensurepip", "can't make environments: apt install python3-venv"),
        ("paper_repro/system.py", "CPython 3.15"),
    ],
)
def test_a_python_that_will_not_do_is_one_line_before_anything_is_made(tmp_path, lacks, told):
    folder = tmp_path / "repository"
    folder.mkdir()
    copy(folder)
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *"{lacks}"*) echo "CPython 3.15" >&2; exit 2;; esac\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    done = make(folder, "install", f"PYTHON={python}")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert told in lines[0]
    assert len(lines) == 2  # the second is make's
    assert not (folder / ".venv").exists()


def test_an_environment_of_another_tool_is_left_alone(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    copy(folder)
    (folder / ".venv").mkdir()
    (folder / ".venv/pyvenv.cfg").write_text("uv = 0.9\n")
    done = make(folder, "install")
    assert done.returncode == 2
    assert ".venv is not from this Makefile: move it away" in done.stderr
    assert (folder / ".venv/pyvenv.cfg").read_text() == "uv = 0.9\n"
