"""Tombstones: rows whose ids leave a file, move to another file or come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.location import Location
from pipeline.table.compaction import compact
from pipeline.table.manifest import RunManifest
from pipeline.translate import tombstones
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun

CONFIG = TranslateConfig(rows_per_unit=20)
BY_ID = CONFIG.model_copy(update={"id_column": "id"})


def test_an_id_that_moved_to_another_file_stays(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _5="A cat.", _7="A hat.")
    night(BY_ID)
    write_csv(lake / "b.csv", _5="A cat.", _6="A fish.")
    night(BY_ID)
    write_csv(lake / "a.csv", _1="A dog.")

    third = night(BY_ID)

    assert third is not None
    assert third.n_rows_deleted == 1  # row 7; row 5 is in b.csv
    assert latest(table, "row_id, text") == [("1", "A dog."), ("5", "A cat."), ("6", "A fish.")]


def test_an_id_that_moves_to_another_file_in_the_same_run_stays(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _5="A cat.", _7="A hat.")
    night(BY_ID)
    write_csv(lake / "a.csv", _1="A dog.")
    write_csv(lake / "b.csv", _5="A cat.")

    second = night(BY_ID)

    assert second is not None
    assert second.n_rows_deleted == 1  # row 7
    assert latest(table, "row_id") == ["1", "5"]


@pytest.mark.parametrize("stays", [False, True])
def test_an_id_that_is_quarantined_from_another_file_has_no_latest_row(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    stays: bool,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    config = BY_ID.model_copy(update={"max_source_characters": 20})
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat.")
    night(config)
    if not stays:
        write_csv(lake / "a.csv", _1="A dog.")
    write_csv(lake / "b.csv", _2="A cat that is too long.")

    night(config)

    assert latest(table, "row_id") == ["1"]


def test_ids_of_a_deleted_file_that_are_in_another_file_stay(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    config = BY_ID.model_copy(update={"lake": "snapshot"})
    write_csv(lake / "old.csv", _1="A dog.", _2="A cat.")
    night(config)
    write_csv(lake / "new.csv", _1="A dog.")
    night(config)
    (lake / "old.csv").unlink()
    night(config)

    assert latest(table, "row_id") == ["1"]


def test_the_ids_of_a_compacted_file_are_read_once(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    monkeypatch: pytest.MonkeyPatch,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    for n in range(1, 6):
        write_csv(lake / f"{n}.csv", **{f"_{n}": "A dog.", f"_{n}0": "A cat."})
    night(BY_ID)
    compact(table)
    write_csv(lake / "1.csv", _1="A dog.")
    files: list[Location] = []
    read_parquet = tombstones.read_parquet
    monkeypatch.setattr(
        tombstones,
        "read_parquet",
        lambda path, columns: files.append(path) or read_parquet(path, columns),
    )

    night(BY_ID)

    assert len([path for path in files if "compact" in path.name or "run=000001" in str(path)]) == 2
    assert latest(table, "row_id") == sorted(
        ["1", *(f"{n}{z}" for n in range(2, 6) for z in ("", "0"))]
    )


@pytest.mark.parametrize("before", ["emptied", "deleted"])
def test_a_file_that_comes_back_before_the_run_ends_keeps_its_rows(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    before: str,
    latest: Callable[..., list[Any]],
    bundle: Path,
) -> None:
    """A writer empties or deletes the file and writes it again while the run works."""
    config = CONFIG.model_copy(update={"lake": "snapshot"})
    for name in ("a.txt", "b.txt"):
        (lake / name).write_text(f"A dog plays in {name}.\n")
    night(config)
    (lake / "b.txt").write_text("A cat plays.\n")
    if before == "emptied":
        (lake / "a.txt").write_text("")
    else:
        (lake / "a.txt").unlink()

    def bring_the_file_back(run: TranslationRun) -> None:
        run_in_process(run)
        (lake / "a.txt").write_text("A fish swims.\n")

    translate_table(lake, bundle, table, config, run_units=bring_the_file_back)
    assert latest(table) == ["A cat plays.", "A dog plays in a.txt."]

    night(config)

    assert latest(table) == ["A cat plays.", "A fish swims."]
