"""Reads ranges of rows, or one whole column, of an input file."""

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
    """Consecutive rows of one file.

    Attributes:
        table: the rows, with the columns of the reader's schema.
        problems: for each row, why it cannot be translated; None for a good row.
    """

    table: pa.Table
    problems: list[str | None]


class RangeReader:
    """Reads ranges of rows. Consecutive ranges of a file continue where the last one ended.

    Args:
        copies: gives the files local paths.
        rename: new names of columns, by old name.
        schema: the columns of the result. A column that a file does not have is null.
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
        """Read the rows from ``first_row`` to before ``first_row + n_rows``.

        Raises:
            InputError: the file is damaged.
            OSError: the file is missing, or S3 does not answer.
        """
        with self._copies.opened(relative) as path:
            stream = self._stream_at(path, relative, first_row)
            partitions = _renamed(partition_values(relative), self._rename)
            if isinstance(stream, _ParquetStream):
                return self._parquet_range(stream.take(first_row, n_rows), partitions)
            return self._text_range(stream.take(first_row, n_rows), partitions)

    def forget(self) -> None:
        """Close the file and delete its copy, because the file has changed."""
        self._stream = None
        self._copies.forget()

    def _stream_at(self, path: Path, relative: str, first_row: int) -> _ParquetStream | _TextStream:
        """The open stream if it can continue at ``first_row``, else a new one."""
        stream = self._stream
        if stream is None or relative != self._path or not stream.can_read_from(first_row):
            is_parquet = format_of(path) == "parquet"
            stream = _ParquetStream(path) if is_parquet else _TextStream(path)
            self._stream, self._path = stream, relative
        return stream

    def _text_range(self, rows: list[Row], partitions: Mapping[str, Any]) -> RowRange:
        values = [{**partitions, **_renamed(row.values, self._rename)} for row in rows]
        table = pa.Table.from_pylist(values, schema=self._schema)
        return RowRange(table, [row.problem for row in rows])

    def _parquet_range(self, table: pa.Table, partitions: Mapping[str, Any]) -> RowRange:
        table = table.rename_columns([self._rename.get(n, n) for n in table.column_names])
        columns = []
        problems: list[str | None] = [None] * table.num_rows
        for field in self._schema:
            if field.name in table.column_names:
                column = table[field.name]
            else:
                value = pa.scalar(partitions.get(field.name), field.type)
                column = pa.repeat(value, table.num_rows)
            column, repaired_rows = _repaired_column(column)
            for row in repaired_rows:
                problems[row] = UNDECODABLE
            columns.append(column.cast(field.type))
        return RowRange(pa.Table.from_arrays(columns, schema=self._schema), problems)


def _renamed(values: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, Any]:
    return {rename.get(name, name): value for name, value in values.items()}


class _TextStream:
    """The rows of a file that can only be read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._rows = iter_rows(path)
        self._next_row = 0

    def can_read_from(self, first_row: int) -> bool:
        """Whether the stream has not passed the row yet."""
        return first_row >= self._next_row

    def take(self, first_row: int, n_rows: int) -> list[Row]:
        n_skipped = first_row - self._next_row
        self._next_row = first_row + n_rows
        return list(itertools.islice(self._rows, n_skipped, n_skipped + n_rows))


class _ParquetStream:
    """The rows of a Parquet file, which can be read from any row group on."""

    def __init__(self, path: Path) -> None:
        self._parquet = open_parquet(path)
        self._group_starts = list(itertools.accumulate(row_group_sizes(self._parquet), initial=0))[
            :-1
        ]
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._rest: pa.RecordBatch | None = None
        self._next_row = 0

    def can_read_from(self, _first_row: int) -> bool:
        return True

    def take(self, first_row: int, n_rows: int) -> pa.Table:
        slices: list[pa.RecordBatch] = []
        end = first_row + n_rows
        batches = self._batches_from(first_row)
        while self._next_row < end:
            batch = self._rest if self._rest is not None else next(batches, None)
            if batch is None:
                break
            n_skipped = min(batch.num_rows, max(0, first_row - self._next_row))
            n_taken = min(batch.num_rows - n_skipped, end - self._next_row - n_skipped)
            slices.append(batch.slice(n_skipped, n_taken))
            rest = batch.slice(n_skipped + n_taken)
            self._rest = rest if rest.num_rows else None
            self._next_row += n_skipped + n_taken
        return pa.Table.from_batches(slices, schema=self._parquet.schema_arrow)

    def _batches_from(self, first_row: int) -> Iterator[pa.RecordBatch]:
        """Batches that begin at ``_next_row``, which becomes ``first_row`` or a row before it.

        The open batches are used if ``first_row`` is ahead in the same row group. Else reading
        starts anew at the row group of ``first_row``.
        """
        group = max(0, bisect_right(self._group_starts, first_row) - 1)
        is_behind = first_row < self._next_row
        if self._batches is None or is_behind or self._group_starts[group] > self._next_row:
            self._batches = self._parquet.iter_batches(
                _ROWS_PER_BATCH, row_groups=range(group, len(self._group_starts))
            )
            self._next_row, self._rest = self._group_starts[group], None
        return self._batches


def _repaired_column(column: _Column) -> tuple[_Column, list[int]]:
    """Replace bytes that are not UTF-8 by U+FFFD. Parquet readers do not check for them.

    Strings within lists and structs are not checked.

    Returns:
        the column, and the indices of the repaired rows.
    """
    value_type = column.type
    if pa.types.is_dictionary(value_type):
        value_type = value_type.value_type
    if not (pa.types.is_string(value_type) or pa.types.is_large_string(value_type)):
        return column, []
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(value_type).cast(pa.large_binary()).to_pylist()
        texts = [value and value.decode("utf-8", "surrogateescape") for value in raw]
        repaired = [text and repaired_text(text) for text in texts]
        merged = [new or text for new, text in zip(repaired, texts, strict=True)]
        rows = [row for row, new in enumerate(repaired) if new]
        return pa.array(merged, pa.large_string()), rows
    return column, []


def read_column(
    root: Location, relative: str, rename: Mapping[str, str], column: str
) -> Iterator[tuple[Any, bool]]:
    """Read every value of one column of a file, in order.

    Args:
        root: the folder that ``relative`` is relative to.
        relative: the file's relative path.
        rename: new names of columns, by old name.
        column: the column's new name.

    Yields:
        the value, and whether the row is readable. The value of a malformed row is None, because
        its cells may be shifted.

    Raises:
        InputError: the file is damaged.
        OSError: the file is missing, or S3 does not answer.
    """
    with LocalCopies(root).opened(relative) as path:
        yield from _column_of(path, relative, rename, column)


def _column_of(
    path: Path, relative: str, rename: Mapping[str, str], column: str
) -> Iterator[tuple[Any, bool]]:
    if format_of(path) == "parquet":
        parquet = open_parquet(path)
        names = parquet.schema_arrow.names
        if own_names := [name for name in names if rename.get(name, name) == column]:
            with read_errors_as_input_errors(path):
                for batch in parquet.iter_batches(_ROWS_PER_BATCH, columns=own_names):
                    yield from ((value, True) for value in batch.column(0).to_pylist())
            return
    partitions = _renamed(partition_values(relative), rename)
    for row in iter_rows(path):
        value = _renamed(row.values, rename).get(column, partitions.get(column))
        yield None if row.problem == MALFORMED else value, row.problem is None
