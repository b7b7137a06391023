"""Lakes that move, and files of the same name in other folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.storage.files import write_bytes
from pipeline.table.manifest import RunManifest
from pipeline.translate.config import TranslateConfig

CONFIG = TranslateConfig(rows_per_unit=20)


def test_a_link_with_a_new_target_each_night_is_one_lake(
    tmp_path: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    for day, text in (("day1", "A dog.\n"), ("day2", "A cat.\n")):
        write_bytes(tmp_path / day / "data.txt", text.encode())
        (tmp_path / "current").unlink(missing_ok=True)
        (tmp_path / "current").symlink_to(tmp_path / day)
        night(CONFIG.model_copy(update={"lake": "snapshot"}), source=tmp_path / "current")

    assert latest(table) == ["A cat."]


def test_a_file_of_the_same_name_in_another_folder_is_refused(
    tmp_path: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    days = [tmp_path / "exports" / day for day in ("day1", "day2")]
    for day, text in zip(days, ("A dog.\n", "A cat.\n"), strict=True):
        write_bytes(day / "data.txt", text.encode())
    night(source=days[0])

    for source in (days[1], days[1] / "data.txt"):
        with pytest.raises(
            InputError,
            match=r"day2/data\.txt: would replace the rows of another file data\.txt, which run "
            ".* read from .*d",
        ):
            night(source=source)
    assert latest(table) == ["A dog."]
    night(source=days[0] / "data.txt")  # the same file by another name
    night(source=tmp_path / "exports")
    assert latest(table) == ["A cat.", "A dog.", "A dog."]


def test_a_moved_lake_is_continued_on_request(
    tmp_path: Path,
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    (lake / "a.txt").write_text("A dog.\n")
    (lake / "b.txt").write_text("A fish.\n")
    night()
    moved = lake.rename(tmp_path / "elsewhere")
    assert night(source=moved) is None  # nothing changed
    (moved / "a.txt").write_text("A cat.\n")

    with pytest.raises(
        InputError, match="if the lake has a new location, run once with --lake moved"
    ):
        night(source=moved)
    night(CONFIG.model_copy(update={"lake": "moved"}), source=moved)
    with pytest.raises(InputError, match="if the lake has a new location"):
        night(source=another_lake_at(lake))
    (moved / "b.txt").write_text("A bird.\n")
    night(source=moved)

    assert latest(table) == ["A bird.", "A cat."]


def another_lake_at(path: Path) -> Path:
    """Write another lake to the old path, with a file of the same name."""
    write_bytes(path / "a.txt", b"Another lake.\n")
    return path


def test_a_moved_snapshot_is_continued_on_request(
    tmp_path: Path,
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    snapshot, moved_once = (
        CONFIG.model_copy(update={"lake": kind}) for kind in ("snapshot", "moved")
    )
    (lake / "a.txt").write_text("A dog.\n")
    (lake / "b.txt").write_text("A fish.\n")
    night(snapshot)
    moved = lake.rename(tmp_path / "elsewhere")
    (moved / "a.txt").unlink()

    with pytest.raises(InputError, match="as a snapshot it would delete the rows of"):
        night(snapshot, source=moved)
    assert night(moved_once, source=moved) is not None  # only the location is new
    assert night(moved_once, source=moved) is None
    night(snapshot, source=moved)

    assert latest(table) == ["A fish."]
