"""The files to translate: which there are, what columns they have, and ranges of their rows.

Reads: a file, or a folder of files in any format of ``pipeline/formats/read.py``, here or on S3.
Writes:
nothing but copies of what is on S3, which go with the process.
"""

from __future__ import annotations

import dataclasses
import itertools
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.describe import _group_rows, _rows_and_schema
from pipeline.formats.encoding import repaired_text
from pipeline.formats.parquet import open_parquet
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import MALFORMED, UNDECODABLE, Row, check_readable, format_of, reading
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location, stamp_of
from pipeline.storage.s3 import S3Path

_ROWS_PER_BATCH = 4096


# What Hive writes for a partition whose key is null.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


_Column: TypeAlias = "pa.Array | pa.ChunkedArray"


@dataclasses.dataclass(frozen=True)
class RowRange:
    """Rows of one file: the input's columns, and for each row None or what is wrong with it."""

    table: pa.Table
    problems: list[str | None]


@dataclasses.dataclass(frozen=True)
class Inspected:
    """A file as it is now. ``group_rows``: rows of each of Parquet's row groups, else None."""

    file: InputFile
    schema: pa.Schema
    group_rows: list[int] | None


def input_files(source: Location) -> tuple[Location, dict[str, FileStamp]]:
    """The folder that paths are relative to, and the files below it, sorted, each with its stamp;
    hidden and ``_`` names are not input.

    Raises:
        InputError: nothing there, or a file that cannot be read.
    """
    if isinstance(source, S3Path):
        return _input_on_s3(source)
    if not source.is_dir():
        check_readable(source)
        return source.parent, {source.name: _stamp(source)}
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    named = {path.relative_to(source).as_posix(): path for path in paths}
    files = {name: _stamp(path) for name, path in named.items() if _is_input(name)}
    for name in files:
        if repaired_text(name) is not None:
            raise InputError(f"{name!r} below {source}: the name is not UTF-8; rename the file")
    if not files:
        raise InputError(f"{source}: holds no file to translate; check the path")
    return source, files


def _input_on_s3(source: S3Path) -> tuple[S3Path, dict[str, FileStamp]]:
    files = {
        name: stamp
        for name, stamp in source.files().items()
        # What tools put where a folder should be has no bytes, and no such key without its slash.
        if _is_input(name) and (stamp.n_bytes or (source / name).is_file())
    }
    if files:
        return source, files
    stamp = source.stamp() if source.key else None
    if stamp is None:
        raise InputError(f"{source}: no such file, nor a folder with one to translate; check it")
    return source.parent, {source.name: stamp}


def _is_input(relative: str) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.split("/"))


def _stamp(path: Location) -> FileStamp:
    if isinstance(path, Path):
        check_readable(path)
    stamp = stamp_of(path)
    if stamp is None:
        raise InputError(f"{path}: went while it was looked at; run the command again")
    return stamp


def inspect_file(root: Location, relative: str) -> Inspected:
    """Size, digest, number of rows, and columns of one file, those of its hive partition last.

    Raises:
        InputError: the file is damaged, not UTF-8, or its rows do not fit together.
    """
    stamp = _stamp(root / relative)
    copies = LocalCopies(root)
    with copies.reading(relative) as path:
        n_rows, schema, group_rows = _rows_and_schema(path)
        sha256 = sha256_of_file(path)
    copies.forget()
    for name in partition_values(relative):
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    file = InputFile(path=relative, **stamp._asdict(), sha256=sha256, n_rows=n_rows)
    return Inspected(file, schema, group_rows)


def partition_values(relative: str) -> dict[str, str | None]:
    """Names and values of the hive partitions (``key=value`` folders) that a path lies in."""
    found = {}
    for part in relative.split("/")[:-1]:
        name, equals, value = part.partition("=")
        if name and equals:
            found[unquote(name)] = None if value == _NULL_PARTITION else unquote(value)
    return found


def is_unchanged(root: Location, file: InputFile) -> bool:
    """Whether a file still has the size, modification time and ETag that were seen."""
    return stamp_of(root / file.path) == file.stamp


def joined_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """One schema for all files; a column that a file lacks is null there, and of two types the
    wider is taken where it holds every value of the other.

    Raises:
        InputError: a column has types in two files of which neither holds the other, or is spelled
            otherwise; names both.
    """
    fields: dict[str, pa.Field] = {}
    spelled: dict[str, str] = {}
    first_seen: dict[str, str] = {}
    for path, schema in schemas.items():
        for field in schema:
            known = fields.get(field.name)
            spelling = spelled.setdefault(field.name.casefold(), field.name)
            if spelling != field.name:  # SQL engines ignore case
                raise InputError(
                    f"{path}: column {field.name!r} is {spelling!r} in {first_seen[spelling]}, and "
                    "case does not tell columns apart; spell them alike"
                )
            if known is None:
                fields[field.name] = field.with_nullable(True).remove_metadata()
                first_seen[field.name] = path
                continue
            kind = joined_type(known.type, field.type)
            if kind is None:
                raise InputError(
                    f"{path}: column {field.name!r} is {field.type}, in {first_seen[field.name]} "
                    f"it is {known.type}; cast one, or translate them into two tables"
                )
            if kind != known.type:
                fields[field.name] = known.with_type(kind)
                first_seen[field.name] = path
    return pa.schema(fields.values())


def joined_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds every value of both, None where there is none."""
    if one == other:
        return one
    for a, b in ((one, other), (other, one)):
        if pa.types.is_null(a):
            return b
        if pa.types.is_dictionary(a):
            return joined_type(a.value_type, b)
    if (one in _WIDER) and (other in _WIDER):
        common = [kind for kind in _WIDER[one] if kind in _WIDER[other]]
        return common[0] if common else None
    both = (one, other)
    if all(pa.types.is_list(t) or pa.types.is_large_list(t) for t in both):
        value = joined_type(one.value_type, other.value_type)
        large = any(pa.types.is_large_list(t) for t in both)
        return value and (pa.large_list(value) if large else pa.list_(value))
    if all(map(pa.types.is_timestamp, both)) and one.tz == other.tz:
        # Not to nanoseconds, which end in 2262.
        unit = next((u for u in ("us", "ms") if u in (one.unit, other.unit)), "s")
        return pa.timestamp(unit, one.tz) if "ns" not in (one.unit, other.unit) else None
    return None


_INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]


_UINTS = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


# For each type those that hold all its values, the narrowest first.
_WIDER: dict[pa.DataType, list[pa.DataType]] = {
    **{_INTS[i]: _INTS[i:] + [pa.float32()] * (i < 2) + [pa.float64()] * (i < 3) for i in range(4)},
    **{
        _UINTS[i]: _UINTS[i:] + _INTS[i + 1 :] + [pa.float32()] * (i < 2) + [pa.float64()] * (i < 3)
        for i in range(4)
    },
    pa.float16(): [pa.float16(), pa.float32(), pa.float64()],
    pa.float32(): [pa.float32(), pa.float64()],
    pa.float64(): [pa.float64()],
    pa.string(): [pa.string(), pa.large_string()],
    pa.large_string(): [pa.large_string()],
    pa.binary(): [pa.binary(), pa.large_binary()],
    pa.large_binary(): [pa.large_binary()],
    pa.date32(): [pa.date32(), pa.date64()],
    pa.date64(): [pa.date64()],
}


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
        self._starts = list(itertools.accumulate(_group_rows(self._parquet), initial=0))[:-1]
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
            with reading(path):
                for batch in parquet.iter_batches(_ROWS_PER_BATCH, columns=found):
                    yield from ((value, True) for value in batch.column(0).to_pylist())
            return
    partitions = {rename.get(k, k): v for k, v in partition_values(relative).items()}
    for row in iter_rows(path):
        values = {rename.get(k, k): v for k, v in row.values.items()}
        value = values.get(column, partitions.get(column))
        yield None if row.problem == MALFORMED else value, row.problem is None
