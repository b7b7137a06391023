"""Rows are written to numbered Parquet files of bounded size."""

from __future__ import annotations

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
