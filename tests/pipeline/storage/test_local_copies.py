"""Local copies of files on S3."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.s3 import S3Path


def test_one_copy_is_kept_and_copies_of_dead_processes_are_deleted(
    s3: S3Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("x/a.csv", "b.csv"):
        (s3 / name).write_bytes(name.encode())
    finished = subprocess.Popen(["true"])
    finished.wait()
    dead_process = tmp_path / f"lingo-copy-{socket.gethostname()}-{finished.pid}-abc"
    other_machine = tmp_path / f"lingo-copy-another-machine-{finished.pid}-abc"
    for folder in (dead_process, other_machine):
        folder.mkdir()

    copies = LocalCopies(s3)
    first_copy = copies.path("x/a.csv")
    assert (first_copy.name, first_copy.read_text()) == ("a.csv", "x/a.csv")
    assert copies.path("x/a.csv") == first_copy
    assert copies.path("b.csv").read_text() == "b.csv"
    assert not first_copy.exists()
    copies.forget()
    assert list(tmp_path.iterdir()) == [other_machine]


def test_local_files_are_used_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    copies = LocalCopies(tmp_path)
    assert copies.path("a.csv") == tmp_path / "a.csv"
    copies.forget()
    assert (tmp_path / "a.csv").exists()


def test_an_error_names_the_file_and_not_its_copy(s3: S3Path) -> None:
    (s3 / "b.csv").write_bytes(b"x")
    copies = LocalCopies(s3)
    with (
        pytest.raises(InputError, match=rf"^{s3}/b\.csv: damaged$"),
        copies.opened("b.csv") as path,
    ):
        raise InputError(f"{path}: damaged")
