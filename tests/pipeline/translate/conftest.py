"""Fixtures for tests of ``translate``: lakes, nightly runs and the view ``latest``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest
from pipeline.table.query import connect, run_query
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.retry_quarantine import retry_quarantine


@pytest.fixture
def retry_here() -> Callable[..., RunManifest | None]:
    """``retry_quarantine`` without Ray: it does the units in this process."""
    return partial(retry_quarantine, run_units=run_in_process)


@pytest.fixture
def night(
    lake: Path, table: Path, bundle: Path, translate_here: Callable[..., RunManifest | None]
) -> Callable[..., RunManifest | None]:
    """A function ``night(config, source=lake)`` that does one run over the lake or other input."""

    def run(
        config: TranslateConfig = TranslateConfig(rows_per_unit=20), source: Location = lake
    ) -> RunManifest | None:
        return translate_here(source, bundle, table, config)

    return run


@pytest.fixture
def write_rows() -> Callable[[Path, list[str]], None]:
    """A function ``write_rows(path, texts)`` that writes a Parquet file.

    The columns are ``doc``, the row's number, and ``text``. A row group has 10 rows.
    """

    def write(path: Path, texts: list[str]) -> None:
        rows = {"doc": list(range(len(texts))), "text": texts}
        pq.write_table(pa.table(rows), path, row_group_size=10)

    return write


@pytest.fixture
def write_csv() -> Callable[..., None]:
    """A function ``write_csv(path, _1="A dog.")`` that writes the columns ``id`` and ``text``."""

    def write(path: Path, **texts: str) -> None:
        rows = "".join(f"{name[1:]},{text}\n" for name, text in texts.items())
        path.write_text(f"id,text\n{rows}")

    return write


@pytest.fixture
def filled_lake(lake: Path, write_rows: Callable[[Path, list[str]], None]) -> Path:
    """A lake of 90 rows in two files of several row groups."""
    sentences = [pair.source for pair in generate_pairs(90, seed=9, split="test")]
    write_rows(lake / "a.parquet", sentences[:50])
    write_rows(lake / "b.parquet", sentences[50:])
    return lake


@pytest.fixture
def rows_of() -> Callable[[Path], list[dict[str, Any]]]:
    """A function that gives every row of a table that a reader by glob sees, sorted by row id."""

    def rows(table: Path) -> list[dict[str, Any]]:
        arrow_table = pads.dataset(table / "data", partitioning="hive").to_table()
        columns = arrow_table.drop_columns(["run", "run_date"])
        return sorted(columns.to_pylist(), key=lambda row: row["row_id"])

    return rows


@pytest.fixture
def latest(query: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A function ``latest(table, columns="text")`` that gives the sorted rows of ``latest``.

    The rows of a single column are its values.
    """

    def rows(table: Location, columns: str = "text") -> list[Any]:
        tuples = query(table, f"SELECT {columns} FROM latest ORDER BY ALL")
        return [row[0] if len(row) == 1 else row for row in tuples]

    return rows


@pytest.fixture
def latest_by_text() -> Callable[[Path], dict[str, dict[str, Any]]]:
    """A function that gives the rows of a table's view ``latest`` by their text."""

    def rows(table: Path) -> dict[str, dict[str, Any]]:
        result = run_query(connect(table, None), "SELECT * FROM latest")
        assert result is not None
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
        assert len({row["row_id"] for row in rows}) == len(rows)
        return {row["text"]: row for row in rows}

    return rows


@pytest.fixture
def shown(query: Callable[..., list[Any]]) -> Callable[[Location], dict[str, list[Any]]]:
    """A function that gives the rows of every view, without times and random digits of run ids."""
    number = "split_part(run, '-', 1)"

    def rows(table: Location) -> dict[str, list[Any]]:
        shown = {
            view: query(table, f"SELECT {number}, * EXCLUDE run FROM {view} ORDER BY ALL")
            for view in ("translations", "latest", "quarantine", "tombstones")
        }
        shown["runs"] = query(
            table,
            f"SELECT {number}, * EXCLUDE (run, started_at, finished_at, retry_of), "
            "split_part(retry_of, '-', 1), finished_at >= started_at FROM runs ORDER BY ALL",
        )
        shown["lineage"] = query(table, "SELECT row_id, model, corpus FROM lineage ORDER BY ALL")
        return shown

    return rows
