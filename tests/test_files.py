import errno
import os

import pytest

from paper_repro.core import files
from paper_repro.core.errors import UserError


def test_written_files_have_ordinary_permissions(tmp_path):
    files.write_text(tmp_path / "sub/a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "sub/a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_json_comes_back_in_its_order_and_holds_finite_numbers_only(tmp_path):
    path, content = tmp_path / "a.json", {"b": [1, 2.5], "a": {"ü": None}}
    files.write_json(path, content)
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            files.write_json(path, {"a": number})
    assert list(files.read_json(path).items()) == list(content.items())


def test_digest_ignores_the_order_of_keys_and_nothing_else():
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1})
    assert files.digest({"a": 1}) != files.digest({"a": 1.5})


def test_a_file_system_without_locks_is_one_line(tmp_path, monkeypatch):
    def refusing(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "lockf", refusing)
    refusal = pytest.raises(UserError, match=r"lock: this file system has no locks \(No locks")
    with refusal, files.held(tmp_path / "lock", "busy"):
        pass
