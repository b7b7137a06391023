"""Writes rows to numbered Parquet files of bounded size."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.backend import naming_file


class RowsWriter:
    """Writes rows to ``part-00000.parquet``, ``part-00001.parquet`` and so on in a new folder.

    Some megabytes of rows are held in memory. The files are not synced to the disk one by one:
    write to a folder that is published by :func:`lingo_model.atomic_files.new_folder`.

    Args:
        folder: the folder to create.
        schema: the schema of every file.
    """

    _BUFFER_ROWS = 10_000
    _BUFFER_BYTES = 2**24
    _ROWS_PER_FILE = 1_000_000

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._n_buffered_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._n_files = 0
        self._n_rows_in_file = 0
        self._path = folder
        folder.mkdir(parents=True)

    def write(self, row: dict[str, Any]) -> None:
        """Add one row."""
        self._rows.append(row)
        self._n_buffered_bytes += _approximate_n_bytes(row)
        # Rows can hold whole documents, so their number alone bounds no memory.
        if len(self._rows) >= self._BUFFER_ROWS or self._n_buffered_bytes >= self._BUFFER_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows. If there were none, write one empty file with the schema."""
        if self._rows or self._n_files == 0:
            self._flush()
        self._end_file()

    def _flush(self) -> None:
        table = pa.Table.from_pylist(self._rows, schema=self._schema)
        if self._writer is None:
            self._path = self._folder / f"part-{self._n_files:05d}.parquet"
            self._n_files += 1
        with naming_file(self._path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
            self._writer.write_table(table)
        self._n_rows_in_file += len(self._rows)
        self._rows, self._n_buffered_bytes = [], 0
        if self._n_rows_in_file >= self._ROWS_PER_FILE:
            self._end_file()

    def _end_file(self) -> None:
        if self._writer is not None:
            with naming_file(self._path):
                self._writer.close()
        self._writer, self._n_rows_in_file = None, 0


def _approximate_n_bytes(value: Any) -> int:
    """The size of a value in memory. Exact for long texts, which matter most."""
    match value:
        case str():
            return sys.getsizeof(value)
        case bytes():
            return len(value)
        case dict():
            return sum(map(_approximate_n_bytes, value.values()))
        case list() | tuple():
            return sum(map(_approximate_n_bytes, value))
        case _:
            return 8
