"""The view ``latest`` holds the newest version of each row that is still in the lake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.table.manifest import RunManifest
from pipeline.translate.config import TranslateConfig

CONFIG = TranslateConfig(rows_per_unit=20)


def sentences_of(name: str, n_rows: int) -> list[str]:
    """Different sentences."""
    return [f"The {name} number {i} plays." for i in range(n_rows)]


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_the_latest_rows_are_the_rows_of_the_lake(
    bundle: Path,
    kind: str,
    lake: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    latest_by_text: Callable[[Path], dict[str, dict[str, Any]]],
) -> None:
    config = TranslateConfig.model_validate(CONFIG.model_dump() | {"lake": kind})
    a, b = sentences_of("dog", 25), sentences_of("cat", 10)
    write_rows(lake / "a.parquet", a)
    write_rows(lake / "b.parquet", b)
    first = translate_here(lake, bundle, table, config)
    assert first is not None
    assert set(latest_by_text(table)) == {*a, *b}

    changed = [*a[:10], "A new row.", *a[11:20]]
    write_rows(lake / "a.parquet", changed)
    write_rows(lake / "c.parquet", ["The fish swims."])
    (lake / "b.parquet").unlink()
    second = translate_here(lake, bundle, table, config)

    assert second is not None
    leaves = kind == "snapshot"
    assert second.n_rows_deleted == 5 + (10 if leaves else 0)
    rows = latest_by_text(table)
    assert set(rows) == {*changed, "The fish swims.", *([] if leaves else b)}
    assert (second.rows.n_input, second.rows.n_reused, second.rows.n_translated) == (21, 19, 2)
    assert rows[a[3]]["status"] == "reused"  # from the translation memory of the first run
    assert rows["A new row."]["status"] == "translated"
    assert translate_here(lake, bundle, table, config) is None
    if leaves:  # a run that only deletes rows
        (lake / "c.parquet").unlink()
        third = translate_here(lake, bundle, table, config)
        assert third is not None
        assert (third.rows.n_input, third.n_rows_deleted) == (0, 1)
        assert set(latest_by_text(table)) == set(changed)


def test_rows_with_an_id_column_are_deleted_by_id(
    bundle: Path,
    lake: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    latest_by_text: Callable[[Path], dict[str, dict[str, Any]]],
) -> None:
    config = CONFIG.model_copy(update={"id_column": "doc"})

    def write(**texts: str) -> None:
        rows = {"doc": list(texts), "text": list(texts.values())}
        pq.write_table(pa.table(rows), lake / "a.parquet")

    write(x="The dog plays.", y="The cat plays.", z="The fish plays.")
    translate_here(lake, bundle, table, config)
    write(w="The bird plays.", x="The dog plays.", z="The fish swims.")
    manifest = translate_here(lake, bundle, table, config)

    assert manifest is not None
    assert manifest.n_rows_deleted == 1
    assert {row["row_id"]: text for text, row in latest_by_text(table).items()} == {
        "w": "The bird plays.", "x": "The dog plays.", "z": "The fish swims."
    }  # fmt: skip


def test_a_row_whose_new_version_is_quarantined_has_no_latest_version(
    bundle: Path,
    lake: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    latest_by_text: Callable[[Path], dict[str, dict[str, Any]]],
) -> None:
    config = CONFIG.model_copy(update={"max_source_characters": 100})
    for texts in (["A dog.", "A cat."], ["A dog.", "A cat. " * 20], ["A dog.", "A cat."]):
        write_rows(lake / "a.parquet", texts)
        translate_here(lake, bundle, table, config)
        assert set(latest_by_text(table)) == {text for text in texts if len(text) <= 100}


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_the_rows_of_a_file_that_becomes_empty_are_deleted(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    kind: str,
    latest: Callable[..., list[Any]],
) -> None:
    config = TranslateConfig.model_validate(CONFIG.model_dump() | {"lake": kind})
    (lake / "a.txt").write_text("A dog plays.\nA cat plays.\n")
    (lake / "b.txt").write_text("A fish swims.\n")
    night(config)
    (lake / "a.txt").write_text("")

    emptied = night(config)

    assert emptied is not None
    assert (emptied.rows.n_input, emptied.n_rows_deleted) == (0, 2)
    assert latest(table) == ["A fish swims."]
    assert night(config) is None
    (lake / "a.txt").write_text("A dog plays.\n")
    night(config)
    assert latest(table) == ["A dog plays.", "A fish swims."]
