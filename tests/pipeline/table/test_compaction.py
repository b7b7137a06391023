"""Compaction merges files and changes no row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from pipeline.documents.translation_memory import TranslationMemory
from pipeline.table.compaction import compact, exchange
from pipeline.table.maintenance import remove_orphan_files
from pipeline.table.manifest import RunManifest, run_path
from pipeline.table.open_table import open_table
from pipeline.translate.config import TranslateConfig


def parts(table: Path) -> list[Path]:
    """The files of translated rows."""
    return sorted(table.glob("data/*/*/part-*.parquet"))


def test_compaction_merges_files_and_changes_no_row(
    two_run_table: Path,
    bundle: Path,
    tmp_path: Path,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
    all_rows: Callable[[Path], dict[str, list[Any]]],
    keyed_config: TranslateConfig,
) -> None:
    before = all_rows(two_run_table)
    assert len(before["latest"]) == 14
    assert len(parts(two_run_table)) == 8

    assert compact(two_run_table) == (8, 2)

    assert len(parts(two_run_table)) == 2
    assert all_rows(two_run_table) == before
    assert compact(two_run_table) == (2, 2)
    assert remove_orphan_files(two_run_table) == {}
    assert list((two_run_table / "_staging").iterdir()) == []
    lake = tmp_path / "lake"
    assert translate_here(lake, bundle, two_run_table, keyed_config) is None
    put_rows(lake, "b.parquet", "klmn")  # the old ids are read from the merged file
    put_rows(lake, "a.parquet", "bcdefgh", text="sleeps")
    run = translate_here(lake, bundle, two_run_table, keyed_config)
    assert run is not None
    assert run.n_rows_deleted == 3
    assert (run.rows.n_reused, run.rows.n_translated) == (11, 0)  # the memory is merged as well
    latest_keys = {row[0] for row in all_rows(two_run_table)["latest"]}
    assert latest_keys == set("bcdefghklmn")


def test_merged_files_have_a_maximum_number_of_rows(
    two_run_table: Path, all_rows: Callable[[Path], dict[str, list[Any]]]
) -> None:
    before = all_rows(two_run_table)
    compact(two_run_table, rows_per_file=9)
    sizes = [pq.read_metadata(part).num_rows for part in parts(two_run_table)]
    assert sorted(sizes) == [6, 8, 9]
    assert all_rows(two_run_table) == before


def test_a_reader_sees_all_rows_of_a_run_while_it_is_compacted(two_run_table: Path) -> None:
    """At every moment the folder exists and holds all rows."""
    first = next(path for path in parts(two_run_table)).parent
    expected = sum(pq.read_metadata(part).num_rows for part in first.glob("part-*"))
    row_counts: list[int] = []
    problems: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                query = f"SELECT count(*) FROM '{first}/part-*.parquet'"
                row_counts.append(duckdb.connect().sql(query).fetchall()[0][0])
            except duckdb.IOException as error:
                # A file was listed before the exchange and opened after it.
                if "No files found" in str(error):
                    problems.append(error)
            except Exception as error:  # noqa: BLE001 - any error of a reader
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while not (row_counts or problems):
        time.sleep(0.01)
    n_before = len(row_counts)
    copy = two_run_table / "copy"
    for _ in range(30):  # back and forth
        if not copy.exists():
            copy.mkdir()
            for part in first.glob("part-*"):
                (copy / part.name).write_bytes(part.read_bytes())
        exchange(copy, first)
    done.set()
    reader.join()
    assert problems == []
    assert set(row_counts) == {expected}
    assert len(row_counts) > n_before


def test_the_merged_translation_memory_finds_all_segments(two_run_table: Path) -> None:
    compact(two_run_table)
    runs = open_table(two_run_table).published()
    memory = TranslationMemory(
        [two_run_table / "data" / run_path(run) / "_memory" for run in runs], two_run_table / "none"
    )
    assert set(memory.find(["The dog a plays.", "The dog a sleeps.", "no"])) == {
        "The dog a plays.",
        "The dog a sleeps.",
    }
