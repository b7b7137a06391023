"""Atomic folders: complete under the final name, or absent."""

from pathlib import Path

import pytest

from lingo_model import InputError
from lingo_model.atomic_files import locked, new_folder


def test_the_folder_appears_complete_and_without_its_lock(tmp_path: Path) -> None:
    final = tmp_path / "parent" / "final"
    with new_folder(final) as staging:
        (staging / "part").mkdir()
        (staging / "part" / "file").write_text("content")
        assert staging.parent == final.parent
        assert not final.exists()
    assert [path.name for path in final.parent.iterdir()] == ["final"]
    assert [path.name for path in final.iterdir()] == ["part"]
    assert (final / "part" / "file").read_text() == "content"
    assert final.stat().st_mode & 0o777 == 0o755


def test_an_error_removes_the_staging_folder(tmp_path: Path) -> None:
    def write() -> None:
        with new_folder(tmp_path / "final") as staging:
            (staging / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []


def test_staging_folders_in_use_are_kept_and_abandoned_ones_removed(tmp_path: Path) -> None:
    in_use, abandoned = tmp_path / ".final.a.tmp", tmp_path / ".final.b.tmp"
    for folder in (in_use, abandoned):
        folder.mkdir()
        (folder / ".lock").touch()
    with locked(in_use), new_folder(tmp_path / "final"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".final.a.tmp", "final"}


def test_other_folders_are_kept(tmp_path: Path) -> None:
    others = [".final.x.tmp", ".other.x.tmp", "final.x"]  # the first one has no lock file
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / ".other.x.tmp" / ".lock").touch()
    with new_folder(tmp_path / "final"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*others, "final"}


def test_a_lock_that_is_held_is_refused_by_name(tmp_path: Path) -> None:
    with locked(tmp_path):
        second = locked(tmp_path)
        with pytest.raises(InputError, match=r"another process is using it \(process \d+\)"):
            second.__enter__()
    with locked(tmp_path):
        pass
