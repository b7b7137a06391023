"""Orphan files are deleted; the files of published and unfinished runs are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.table.compaction import compact
from pipeline.table.maintenance import abort_unfinished, remove_orphan_files
from pipeline.table.manifest import RunManifest
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig


def test_files_that_no_run_refers_to_are_deleted(
    two_run_table: Path, all_rows: Callable[[Path], dict[str, list[Any]]]
) -> None:
    before = all_rows(two_run_table)
    runs = sorted((two_run_table / "data").glob("*/*"))
    kept = {path for path in two_run_table.rglob("*") if path.name != "_lock"}
    orphans = [
        two_run_table
        / "_staging"
        / "000009-beef"
        / "part-x.parquet",  # killed before it had a plan
        runs[0] / "part-unknown.parquet",
        runs[0] / "_memory" / ".part-a.parquet.12.tmp",
        runs[1] / "_deferred" / "part-y.parquet",
        runs[1].parent / "run=000007-dead" / "part-z.parquet",
    ]
    for path in orphans:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")

    listed = remove_orphan_files(two_run_table, dry_run=True)

    assert sum(listed.values()) == 25
    assert all(path.exists() for path in orphans)
    assert remove_orphan_files(two_run_table) == listed
    assert not any(path.exists() for path in orphans)
    remove_orphan_files(two_run_table)  # empty folders
    remaining = {path for path in two_run_table.rglob("*") if path.name != "_lock"}
    assert remaining == kept
    assert all_rows(two_run_table) == before


def test_an_unfinished_run_keeps_its_files(
    two_run_table: Path,
    lake: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
    leave_unfinished: Callable[..., Table],
    keyed_config: TranslateConfig,
) -> None:
    put_rows(lake, "d.parquet", "tuvwxy")
    leave_unfinished(lake, bundle, two_run_table, keyed_config)
    assert remove_orphan_files(two_run_table) == {}
    compact(two_run_table)
    run = translate_here(lake, bundle, two_run_table, keyed_config)
    assert run is not None
    assert run.rows.n_input == 6


def test_a_folder_that_is_no_table_is_refused(tmp_path: Path) -> None:
    for function in (remove_orphan_files, compact, abort_unfinished):
        with pytest.raises(InputError, match="not a translation table"):
            function(tmp_path)
