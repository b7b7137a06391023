"""Files that change while a run works on them are deferred to the next run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.table.manifest import RunManifest
from pipeline.table.table import Table
from pipeline.translate import reconcile
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun

pytestmark = pytest.mark.ray
CONFIG = TranslateConfig(rows_per_unit=20)
RESOURCES = TranslateResources(n_actors=2)


@pytest.mark.parametrize("change", ["rewritten", "deleted"])
def test_a_file_that_changes_during_the_run_is_deferred(
    running_ray: None,
    filled_lake: Path,
    bundle: Path,
    change: str,
    table: Path,
    leave_unfinished: Callable[..., Table],
    write_rows: Callable[[Path, list[str]], None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    leave_unfinished(filled_lake, bundle, table, CONFIG, n_units=2)  # two units of a.parquet
    if change == "deleted":
        (filled_lake / "a.parquet").unlink()
    else:
        write_rows(filled_lake / "a.parquet", ["I like cats."])

    manifest = translate_table(filled_lake, bundle, table, CONFIG, RESOURCES)

    assert manifest is not None
    assert {unit.path for unit in manifest.units_deferred} == {"a.parquet"}
    assert manifest.n_units_planned == manifest.n_units_deferred + manifest.n_units_emitted == 3 + 2
    assert {row["text"] for row in rows_of(table)} == set(
        pq.read_table(filled_lake / "b.parquet")["text"].to_pylist()
    )
    if change == "rewritten":
        after = translate_table(filled_lake, bundle, table, CONFIG, RESOURCES)
        assert after is not None
        assert after.rows.n_input == 1


def test_a_file_with_new_content_but_the_same_size_and_time_is_deferred(
    filled_lake: Path, bundle: Path, table: Path
) -> None:
    """Only its digest tells that it has changed."""
    path = filled_lake / "a.parquet"

    def change_the_file_first(run: TranslationRun) -> None:
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        run_in_process(run)

    manifest = translate_table(
        filled_lake, bundle, table, CONFIG, RESOURCES, run_units=change_the_file_first
    )

    assert manifest is not None
    assert {unit.path for unit in manifest.units_deferred} == {"a.parquet"}
    assert manifest.rows.n_input == 40
    assert not list((table / "data").rglob("_deferred"))


def test_a_file_that_is_deleted_while_its_ids_are_read_back_is_deferred(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    monkeypatch: pytest.MonkeyPatch,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    write_csv(lake / "a.csv", _1="A dog.")
    write_csv(lake / "b.csv", _2="A cat.")
    expected_row_ids = reconcile.expected_row_ids

    def delete_before_reading(root: Path, units: Any, config: TranslateConfig) -> Iterator[str]:
        units = list(units)
        if units[0].path == "a.csv":
            (root / "a.csv").unlink(missing_ok=True)
        yield from expected_row_ids(root, units, config)

    monkeypatch.setattr(reconcile, "expected_row_ids", delete_before_reading)
    manifest = night(TranslateConfig(id_column="id"))

    assert manifest is not None
    assert [unit.path for unit in manifest.units_deferred] == ["a.csv"]
    assert latest(table) == ["A cat."]
