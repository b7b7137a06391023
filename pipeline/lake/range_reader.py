"""Reads ranges of rows of an input file."""

from __future__ import annotations

import dataclasses
import itertools
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.formats.encoding import repaired_text
from pipeline.formats.parquet import open_parquet, row_group_sizes
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import (
    MALFORMED,
    UNDECODABLE,
    Row,
    format_of,
    read_errors_as_input_errors,
)
from pipeline.lake.files import partition_values
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location

_ROWS_PER_BATCH = 4096
_Column: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclasses.dataclass(frozen=True)
class RowRange:
    """Rows of one file: the input's columns, and for each row None or what is wrong with it."""

    table: pa.Table
    problems: list[str | None]


class RangeReader:
    """Reads ranges of rows, each file mostly once: ranges that follow one another go on in it.

    Args:
        copies: where the files are. rename: other names for columns. schema: the columns to give.
    """

    def __init__(
        self,
        copies: LocalCopies,
        rename: Mapping[str, str],
        schema: pa.Schema,
    ) -> None:
        self._copies = copies
        self._rename = rename
        self._schema = schema
        self._path = ""
        self._stream: _ParquetStream | _TextStream | None = None

    def read(self, relative: str, first_row: int, n_rows: int) -> RowRange:
        """Rows ``first_row`` to ``first_row + n_rows`` of a file.

        Raises:
            InputError: the file is damaged.
        """
        with self._copies.reading(relative) as path:
            return self._read(path, relative, first_row, n_rows)

    def _read(self, path: Path, relative: str, first_row: int, n_rows: int) -> RowRange:
        if relative != self._path or self._stream is None or not self._stream.reaches(first_row):
            parquet = format_of(path) == "parquet"
            self._stream = _ParquetStream(path) if parquet else _TextStream(path)
            self._path = relative
        partitions = {
            self._rename.get(name, name): value
            for name, value in partition_values(relative).items()
        }
        if isinstance(self._stream, _TextStream):
            rows = self._stream.take(first_row, n_rows)
            values = [
                partitions | {self._rename.get(k, k): v for k, v in row.values.items()}
                for row in rows
            ]
            table = pa.Table.from_pylist(values, schema=self._schema)
            return RowRange(table, [row.problem for row in rows])
        table = self._stream.take(first_row, n_rows)
        table = table.rename_columns([self._rename.get(n, n) for n in table.column_names])
        columns = []
        problems: list[str | None] = [None] * table.num_rows
        for field in self._schema:
            if field.name in table.column_names:
                column = table[field.name]
            else:
                value = pa.scalar(partitions.get(field.name), field.type)
                column = pa.repeat(value, table.num_rows)
            column, repaired = _checked_text(column)
            for row in repaired:
                problems[row] = UNDECODABLE
            columns.append(column.cast(field.type))
        return RowRange(pa.Table.from_arrays(columns, schema=self._schema), problems)

    def forget(self) -> None:
        """Let go of the file, which is no more what it was."""
        self._stream = None
        self._copies.forget()


class _TextStream:
    """Rows of a file that can be read from its beginning only."""

    def __init__(self, path: Path) -> None:
        self._rows = iter_rows(path)
        self._next_row = 0

    def reaches(self, first_row: int) -> bool:
        return first_row >= self._next_row

    def take(self, first_row: int, n_rows: int) -> list[Row]:
        skipped = first_row - self._next_row
        self._next_row = first_row + n_rows
        return list(itertools.islice(self._rows, skipped, skipped + n_rows))


class _ParquetStream:
    """Rows of a Parquet file, from any row group on."""

    def __init__(self, path: Path) -> None:
        self._parquet = open_parquet(path)
        self._starts = list(itertools.accumulate(row_group_sizes(self._parquet), initial=0))[:-1]
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._rest: pa.RecordBatch | None = None
        self._next_row = 0

    def reaches(self, _first_row: int) -> bool:
        return True

    def take(self, first_row: int, n_rows: int) -> pa.Table:
        found: list[pa.RecordBatch] = []
        end = first_row + n_rows
        batches = self._from(first_row)
        while self._next_row < end:
            batch = self._rest if self._rest is not None else next(batches, None)
            if batch is None:
                break
            n_skipped = min(batch.num_rows, max(0, first_row - self._next_row))
            n_taken = min(batch.num_rows - n_skipped, end - self._next_row - n_skipped)
            found.append(batch.slice(n_skipped, n_taken))
            rest = batch.slice(n_skipped + n_taken)
            self._rest = rest if rest.num_rows else None
            self._next_row += n_skipped + n_taken
        return pa.Table.from_batches(found, schema=self._parquet.schema_arrow)

    def _from(self, first_row: int) -> Iterator[pa.RecordBatch]:
        """Batches from ``_next_row`` on, which is ``first_row`` or before it in its row group."""
        group = max(0, bisect_right(self._starts, first_row) - 1)
        passed = first_row < self._next_row
        if self._batches is None or passed or self._starts[group] > self._next_row:
            self._batches = self._parquet.iter_batches(
                _ROWS_PER_BATCH, row_groups=range(group, len(self._starts))
            )
            self._next_row, self._rest = self._starts[group], None
        return self._batches


def _checked_text(column: _Column) -> tuple[_Column, list[int]]:
    """A column with U+FFFD for bytes that are not UTF-8, which Parquet does not look at, and the
    rows that had such. Text within lists and structs is left as it is."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return column, []
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(kind).cast(pa.large_binary()).to_pylist()
        texts = [value and value.decode("utf-8", "surrogateescape") for value in raw]
        repaired = [text and repaired_text(text) for text in texts]
        whole = [r or t for r, t in zip(repaired, texts, strict=True)]
        rows = [row for row, found in enumerate(repaired) if found]
        return pa.array(whole, pa.large_string()), rows
    return column, []


def read_column(
    root: Location, relative: str, rename: Mapping[str, str], column: str
) -> Iterator[tuple[Any, bool]]:
    """Every value of one (renamed) column of a file, in order, and whether the row is readable; of
    a malformed one, whose cells may be anything, it is None."""
    with LocalCopies(root).reading(relative) as path:
        yield from _column_of(path, relative, rename, column)


def _column_of(
    path: Path, relative: str, rename: Mapping[str, str], column: str
) -> Iterator[tuple[Any, bool]]:
    if format_of(path) == "parquet":
        parquet = open_parquet(path)
        names = parquet.schema_arrow.names
        if found := [name for name in names if rename.get(name, name) == column]:
            with read_errors_as_input_errors(path):
                for batch in parquet.iter_batches(_ROWS_PER_BATCH, columns=found):
                    yield from ((value, True) for value in batch.column(0).to_pylist())
            return
    partitions = {rename.get(k, k): v for k, v in partition_values(relative).items()}
    for row in iter_rows(path):
        values = {rename.get(k, k): v for k, v in row.values.items()}
        value = values.get(column, partitions.get(column))
        yield None if row.problem == MALFORMED else value, row.problem is None
