"""Folders are listed whole: what cannot be read is an error, and links are followed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.storage.disk_listing import list_folder, matching_paths, status_of
from pipeline.storage.files import files_in, names_below, stamp_of

ROOT = Path(__file__).parents[3]
_NOBODY = 65534


def write(path: Path, text: str = "x\n") -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def files_below(folder: Path) -> list[str]:
    """The relative paths of the listed files."""
    return sorted(list_folder(folder).files)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


_STATEMENTS = (
    "list_folder(folder).files",
    "names_below(folder)",
    "files_in(folder, 'd=*/*/c.txt')",
    "files_in(folder, 'd=2/b.txt')",
    "stamp_of(folder / 'd=2' / 'b.txt')",
    "stamp_of(folder / 'd=2' / 'missing.txt')",
)

_PROGRAM = f"""
import os, sys
from pathlib import Path
from pipeline.storage.disk_listing import list_folder
from pipeline.storage.files import files_in, names_below, stamp_of

folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(*[{_NOBODY}] * 3)
for statement in {_STATEMENTS}:
    try:
        print("no error:", eval(statement))
    except Exception as error:
        print(error)
"""


@pytest.mark.parametrize("mode", [0o000, 0o600], ids=["closed", "names-only"])
def test_a_folder_that_may_not_be_entered_is_an_error_that_names_it(
    open_folder: Path, mode: int
) -> None:
    """Modes do not bind the superuser, so the statements run as a user whom they bind."""
    write(open_folder / "d=1" / "a.txt")
    write(open_folder / "d=2" / "b.txt")
    write(open_folder / "d=2" / "deep" / "c.txt")
    if os.geteuid() == 0:
        os.chown(open_folder / "d=2", _NOBODY, -1)
    (open_folder / "d=2").chmod(mode)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, open_folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        (open_folder / "d=2").chmod(0o755)
    messages = done.stdout.splitlines()
    assert len(messages) == len(_STATEMENTS)
    for message in messages:
        assert str(open_folder / "d=2") in message
        assert "Permission denied" in message


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """A function ``failing(path, number)``: every call about the path raises this error."""

    def fail(path: Path, number: int) -> None:
        scandir, stat = os.scandir, os.stat

        def check(asked: Any) -> None:
            if not isinstance(asked, int) and os.fspath(asked) == os.fspath(path):
                raise OSError(number, os.strerror(number), os.fspath(path))

        def failing_scandir(asked: Any = ".") -> Any:
            check(asked)
            return scandir(asked)

        def failing_stat(asked: Any, *args: Any, **kwargs: Any) -> os.stat_result:
            check(asked)
            return stat(asked, *args, **kwargs)

        monkeypatch.setattr(os, "scandir", failing_scandir)
        monkeypatch.setattr(os, "stat", failing_stat)

    return fail


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ETIMEDOUT])
@pytest.mark.parametrize("name", ["d=2", "d=1/a.txt"])
def test_a_disk_that_fails_is_not_an_empty_folder(
    tmp_path: Path, failing: Callable[[Path, int], None], number: int, name: str
) -> None:
    write(tmp_path / "d=1" / "a.txt")
    write(tmp_path / "d=2" / "b.txt")
    failing(tmp_path / name, number)
    with pytest.raises(InputError) as error:
        names_below(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / name}: cannot be read (")
    with pytest.raises(OSError, match=r"\[Errno"):
        stamp_of(tmp_path / name)


def test_a_missing_file_folder_and_a_file_as_folder_are_absent(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    assert stamp_of(tmp_path / "b.txt") is None
    assert stamp_of(tmp_path / "none" / "b.txt") is None
    assert stamp_of(tmp_path / "a.txt" / "b.txt") is None
    assert names_below(tmp_path / "none") == names_below(tmp_path / "a.txt") == set()
    assert files_in(tmp_path / "none", "*") == files_in(tmp_path / "a.txt", "*/x") == []


def test_files_behind_links_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "archive" / "day=1" / "a.txt")
    write(tmp_path / "single.txt")
    lake = tmp_path / "lake"
    write(lake / "day=2" / "b.txt")
    (lake / "day=1").symlink_to(tmp_path / "archive" / "day=1")
    (lake / "day=1b").symlink_to("../archive/day=1")
    (lake / "c.txt").symlink_to(tmp_path / "single.txt")
    (tmp_path / "current").symlink_to(lake)

    for folder in (lake, tmp_path / "current"):
        assert files_below(folder) == ["c.txt", "day=1/a.txt", "day=1b/a.txt", "day=2/b.txt"]
    assert sorted(path.name for path in list_folder(lake).linked_folders) == ["day=1", "day=1"]


@pytest.mark.parametrize("target", [".", "..", "day=2", "day=2/deep", "../lake", "../.."])
def test_a_link_to_the_folder_itself_does_not_list_files_twice(tmp_path: Path, target: str) -> None:
    lake = tmp_path / "lake"
    write(lake / "day=2" / "b.txt")
    write(lake / "day=2" / "deep" / "c.txt")
    (lake / "link").symlink_to(target)
    listing = list_folder(lake)
    assert sorted(listing.files) == ["day=2/b.txt", "day=2/deep/c.txt"]
    assert listing.skipped_links == {"link": (lake / target).resolve()}


def test_links_that_lead_in_a_circle_outside_end(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.txt")
    write(tmp_path / "two" / "b.txt")
    (tmp_path / "one" / "two").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "x").symlink_to(tmp_path / "one")
    assert files_below(tmp_path / "lake") == ["x/a.txt", "x/two/b.txt"]


def test_a_link_to_a_folder_that_is_not_wanted_itself_is_followed(tmp_path: Path) -> None:
    write(tmp_path / ".store" / "a.txt")
    (tmp_path / "day=1").symlink_to(".store")
    listing = list_folder(tmp_path, lambda name: not name.startswith("."))
    assert list(listing.files) == ["day=1/a.txt"]


@pytest.mark.parametrize("target", ["/nowhere", "gone.txt", "self", "file.txt/below"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, target: str) -> None:
    write(tmp_path / "file.txt")
    link = tmp_path / "self"
    link.symlink_to(target)
    with pytest.raises(InputError, match=rf"self: a link to {target}, which cannot be read"):
        list_folder(tmp_path)
    if target != "file.txt/below":
        with pytest.raises(OSError, match="self"):
            status_of(link)


def test_a_file_below_a_link_that_leads_nowhere_is_not_absent(tmp_path: Path) -> None:
    (tmp_path / "day=1").symlink_to(tmp_path / "unmounted")
    with pytest.raises(OSError, match="day=1"):
        stamp_of(tmp_path / "day=1" / "deep" / "a.txt")


def test_folders_that_are_not_wanted_are_not_entered(
    tmp_path: Path, failing: Callable[[Path, int], None]
) -> None:
    write(tmp_path / "_tmp" / "a.txt")
    write(tmp_path / "b.txt")
    (tmp_path / "_dangling").symlink_to("nowhere")
    failing(tmp_path / "_tmp", errno.EACCES)
    assert list(list_folder(tmp_path, lambda name: not name.startswith("_")).files) == ["b.txt"]


def test_special_files_are_not_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path / "a.txt")
    assert files_below(tmp_path) == ["a.txt"]


def test_names_match_a_pattern_at_each_depth(tmp_path: Path) -> None:
    for name in ("d=1/r=1/m.json", "d=1/r=2/m.json", "d=1/r=2/n.json", "e/r=1/m.json", "d=2"):
        write(tmp_path / name)
    found = [path.relative_to(tmp_path).as_posix() for path in matching_paths(tmp_path, "d=*/r=*")]
    assert found == ["d=1/r=1", "d=1/r=2"]
    found = [path.relative_to(tmp_path).as_posix() for path in files_in(tmp_path, "d=*/r=*/m.json")]
    assert found == ["d=1/r=1/m.json", "d=1/r=2/m.json"]
