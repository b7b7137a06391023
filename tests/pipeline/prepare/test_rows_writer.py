"""Rows are written to numbered Parquet files of bounded size."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.prepare.rows_writer import RowsWriter

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("text", pa.string())])


@pytest.mark.parametrize(
    ("n_rows", "sizes"),
    [(0, [0]), (1, [1]), (3, [3]), (5, [5]), (6, [6]), (7, [6, 1]), (12, [6, 6]), (14, [6, 6, 2])],
)
def test_rows_go_to_numbered_files_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_rows: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(RowsWriter, "_BUFFER_ROWS", 3)
    monkeypatch.setattr(RowsWriter, "_ROWS_PER_FILE", 6)
    writer = RowsWriter(tmp_path / "rows", SCHEMA)
    for n in range(n_rows):
        writer.write({"n": n, "text": None if n % 2 else str(n)})
    writer.close()
    files = sorted((tmp_path / "rows").iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(len(sizes))]
    tables = [pq.read_table(file) for file in files]
    assert [table.num_rows for table in tables] == sizes
    assert all(table.schema.equals(SCHEMA) for table in tables)
    assert pa.concat_tables(tables).to_pylist() == [
        {"n": n, "text": None if n % 2 else str(n)} for n in range(n_rows)
    ]


def test_missing_keys_are_null_and_unknown_keys_are_dropped(tmp_path: Path) -> None:
    writer = RowsWriter(tmp_path / "rows", SCHEMA)
    writer.write({"n": 1})
    writer.write({"n": 2, "text": "late", "unknown": 5})
    writer.close()
    assert pq.read_table(tmp_path / "rows").to_pylist() == [
        {"n": 1, "text": None},
        {"n": 2, "text": "late"},
    ]


def test_long_rows_are_written_before_there_are_many(tmp_path: Path) -> None:
    writer = RowsWriter(tmp_path / "rows", SCHEMA)
    tracemalloc.start()
    for n in range(200):
        writer.write({"n": n, "text": f"{n} " * 250_000})  # about a megabyte each
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    writer.close()
    assert peak_bytes < 60e6
    (file,) = (tmp_path / "rows").iterdir()
    assert pq.ParquetFile(file).num_row_groups > 5
    assert pq.read_table(file)["n"].to_pylist() == list(range(200))


@pytest.mark.parametrize(
    "value", ["x" * 100, b"x" * 100, ["x" * 60, "y" * 60], {"a": ["x" * 60], "b": "y" * 60}]
)
def test_the_bytes_of_every_kind_of_value_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    monkeypatch.setattr(RowsWriter, "_BUFFER_BYTES", 300)
    column = pa.array([value])
    writer = RowsWriter(tmp_path / "rows", pa.schema([pa.field("value", column.type)]))
    for _ in range(20):
        writer.write({"value": value})
    writer.close()
    (file,) = (tmp_path / "rows").iterdir()
    assert pq.ParquetFile(file).num_row_groups >= 5
    assert pq.read_table(file)["value"].to_pylist() == column.to_pylist() * 20
