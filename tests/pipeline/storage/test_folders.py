"""Folders appear whole or not at all; leftovers of killed processes are removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lingo_model.atomic_files import new_folder
from pipeline.storage.files import write_bytes


def names_in(folder: Path) -> list[str]:
    """Names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_content_is_synced_before_the_rename_and_the_rename_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def spied_fsync(descriptor: int) -> None:
        events.append("sync")
        fsync(descriptor)

    def spied_rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(Path, "rename", spied_rename)
    write_bytes(tmp_path / "file", b"content")
    assert events == ["sync", "rename", "sync"]
    events.clear()
    with new_folder(tmp_path / "folder") as staging:
        (staging / "a").write_text("1")
        (staging / "b").write_text("2")
    # Both files, the lock and the staging folder; the rename; the parent folder.
    assert events == ["sync"] * 4 + ["rename", "sync"]


def test_a_new_folder_appears_at_the_end(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "folder"
    with new_folder(final) as staging:
        (staging / "inner").mkdir()
        (staging / "inner" / "file").write_text("content")
        assert not final.exists()
        assert staging.parent == final.parent  # a rename works only within a file system
        assert staging.name.startswith(".")  # readers skip hidden folders
    assert (final / "inner" / "file").read_text() == "content"
    assert names_in(final.parent) == ["folder"]
    assert final.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_folder_is_removed(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_folder(tmp_path / "folder") as staging:
        (staging / "file").write_text("content")
        raise error
    assert names_in(tmp_path) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_running_one_kept(
    tmp_path: Path,
) -> None:
    code = """
import sys, time
from pathlib import Path
from lingo_model.atomic_files import new_folder

with new_folder(Path(sys.argv[1])) as staging:
    (staging / "file").write_text("content")
    print(staging.name, flush=True)
    time.sleep(60)
"""
    final = tmp_path / "folder"
    with subprocess.Popen(
        [sys.executable, "-c", code, final], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        staging = other.stdout.readline().strip()
        try:
            with pytest.raises(ValueError, match="planted"), new_folder(final):
                raise ValueError("planted")
            assert names_in(tmp_path) == [staging]
        finally:
            other.kill()
    assert names_in(tmp_path) == [staging]

    with new_folder(final):
        pass

    assert names_in(tmp_path) == ["folder"]


def test_an_existing_folder_is_not_changed(tmp_path: Path) -> None:
    write_bytes(tmp_path / "folder" / "existing", b"1")
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "folder") as staging:
        (staging / "file").write_text("content")
    assert names_in(tmp_path) == ["folder"]
    assert names_in(tmp_path / "folder") == ["existing"]
