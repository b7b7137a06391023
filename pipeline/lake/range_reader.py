"""Reads ranges of rows, or one whole column, of an input file."""

from __future__ import annotations

import dataclasses
import itertools
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import types

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
from pipeline.formats.text_types import as_text_column, is_string_type, is_text_type
from pipeline.lake.column_selection import ColumnSelection
from pipeline.lake.files import partition_values
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location

_ROWS_PER_BATCH = 4096
_MAX_SHOWN_CHARACTERS = 200
_Column: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclasses.dataclass(frozen=True)
class RowRange:
    """Consecutive rows of one file.

    Attributes:
        table: the rows, with the columns of the reader's schema.
        problems: for each row, why it cannot be translated; None for a good row.
        details: for each row with a problem, more about it if anything is known.
        places: for each row, the line of the file where it begins, or its number in a file without
            lines. Both are counted from 1.
    """

    table: pa.Table
    problems: list[str | None]
    details: list[str | None]
    places: Sequence[int]


class RangeReader:
    """Reads ranges of rows. Consecutive ranges of a file continue where the last one ended.

    Args:
        copies: gives the files local paths.
        selection: the columns to read, and their new names.
        schema: the columns of the result. A column that a file does not have is null.
    """

    def __init__(self, copies: LocalCopies, selection: ColumnSelection, schema: pa.Schema) -> None:
        self._copies = copies
        self._selection = selection
        self._schema = schema
        self._fields_with_null = [field for field in schema if _has_null(field.type)]
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
            partitions = self._selection.applied_to(partition_values(relative))
            if isinstance(stream, _ParquetStream):
                table = stream.take(first_row, n_rows)
                return self._parquet_range(table, partitions, first_row)
            return self._text_range(stream.take(first_row, n_rows), partitions, first_row)

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

    def _text_range(
        self, rows: list[Row], partitions: Mapping[str, Any], first_row: int
    ) -> RowRange:
        values = [row.values for row in rows]
        if partitions or not self._selection.is_identity:
            values = [{**partitions, **self._selection.applied_to(row)} for row in values]
        for field in self._fields_with_null:
            if any(row.get(field.name) is not None for row in values):
                values = [_with_nulls(row, field) for row in values]
        return RowRange(
            pa.Table.from_pylist(values, schema=self._schema),
            [row.problem for row in rows],
            [None if row.problem is None else _detail(row) for row in rows],
            [row.line or number for number, row in enumerate(rows, first_row + 1)],
        )

    def _parquet_range(
        self, table: pa.Table, partitions: Mapping[str, Any], first_row: int
    ) -> RowRange:
        own_names = self._selection.output_names(table.column_names)
        own_columns = dict(zip(own_names, table.columns, strict=True))
        columns = []
        problems: list[str | None] = [None] * table.num_rows
        details: list[str | None] = [None] * table.num_rows
        for field in self._schema:
            if field.name in own_columns:
                column = own_columns[field.name]
            else:
                value = pa.scalar(partitions.get(field.name), field.type)
                column = pa.repeat(value, table.num_rows)
            if is_text_type(column.type) and is_string_type(field.type):
                column, repaired_rows = _repaired_column(column)
                for row in repaired_rows:
                    problems[row] = UNDECODABLE
                    details[row] = f"column {field.name!r} is not UTF-8"
            columns.append(column.cast(field.type))
        table = pa.Table.from_arrays(columns, schema=self._schema)
        places = range(first_row + 1, first_row + 1 + table.num_rows)
        return RowRange(table, problems, details, places)


def _detail(row: Row) -> str | None:
    """Why a row has its problem, with the beginning of its text if that is in no column."""
    if row.text is None:
        return row.detail
    start = row.text[:_MAX_SHOWN_CHARACTERS]
    return f"{row.detail or row.problem}; the row begins with {start!r}"


def _has_null(column_type: pa.DataType) -> bool:
    """Whether a type is null, or a struct or list that holds a null type."""
    if types.is_struct(column_type):
        return any(_has_null(field.type) for field in column_type)
    return bool(
        types.is_null(column_type)
        or (types.is_list(column_type) and _has_null(column_type.value_type))
    )


def _with_nulls(values: dict[str, Any], field: pa.Field) -> dict[str, Any]:
    """A row with null in place of each object without keys that has no type of its own."""
    return {**values, field.name: _with_null(values.get(field.name), field.type)}


def _with_null(value: Any, column_type: pa.DataType) -> Any:
    if types.is_null(column_type):
        return None if value == {} else value
    if isinstance(value, dict) and types.is_struct(column_type):
        return {f.name: _with_null(value[f.name], f.type) for f in column_type if f.name in value}
    if isinstance(value, list) and types.is_list(column_type):
        return [_with_null(item, column_type.value_type) for item in value]
    return value


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

    Args:
        column: a column of a text type.

    Returns:
        the column as strings, or as a dictionary of strings, and the indices of the repaired rows.
    """
    if not is_string_type(column.type):
        column = as_text_column(column)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = as_text_column(column).cast(pa.large_binary()).to_pylist()
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
    old_names = [old for old, new in rename.items() if new == column]
    if column not in rename:
        old_names.append(column)
    partitions = partition_values(relative)
    for row in iter_rows(path):
        if row.problem == MALFORMED:
            yield None, False
            continue
        values = {**partitions, **row.values}
        value = next((values[name] for name in old_names if name in values), None)
        yield value, row.problem is None
