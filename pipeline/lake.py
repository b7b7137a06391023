"""The files to translate: which there are, what columns they have, and ranges of their rows.

Reads: a file, or a folder of files in any format of ``pipeline/readers.py``. Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.readers import check_readable, column_names, format_of, iter_rows, open_parquet
from pipeline.storage import sha256_of_file
from pipeline.table import InputFile

_ROWS_PER_INFERENCE = 10_000


@dataclasses.dataclass(frozen=True)
class RowRange:
    """Rows of one file: the input's columns, and for each row None or what is wrong with it."""

    table: pa.Table
    problems: list[str | None]


def input_files(source: Path) -> tuple[Path, list[Path]]:
    """The folder that paths are relative to, and the files, sorted; hidden and ``_`` names are
    not input.

    Raises:
        InputError: nothing there, or a file that cannot be read.
    """
    if not source.is_dir():
        check_readable(source)
        return source.parent, [source]
    files = sorted(
        path
        for path in source.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(source).parts)
    )
    if not files:
        raise InputError(f"{source}: holds no file to translate; check the path")
    for path in files:
        check_readable(path)
    return source, files


def inspect_file(path: Path, root: Path) -> tuple[InputFile, pa.Schema]:
    """Size, digest, number of rows, and columns of one file.

    Raises:
        InputError: the file is damaged, not UTF-8, or its rows do not fit together.
    """
    status = path.stat()
    n_rows, schema = _rows_and_schema(path)
    file = InputFile(
        path=str(path.relative_to(root)),
        n_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        sha256=sha256_of_file(path),
        n_rows=n_rows,
    )
    return file, schema


def is_unchanged(root: Path, file: InputFile) -> bool:
    """Whether a file still has the size and modification time that were seen."""
    try:
        found = (root / file.path).stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (file.n_bytes, file.modified_ns)


def joined_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """One schema for all files; a column that a file lacks is null there.

    Raises:
        InputError: a column has different types in two files; names both.
    """
    fields: dict[str, pa.Field] = {}
    first_seen: dict[str, str] = {}
    for path, schema in schemas.items():
        for field in schema:
            known = fields.get(field.name)
            if known is None or pa.types.is_null(known.type):
                fields[field.name] = field.with_nullable(True).remove_metadata()
                first_seen[field.name] = path
            elif known.type != field.type and not pa.types.is_null(field.type):
                raise InputError(
                    f"{path}: column {field.name!r} is {field.type}, in {first_seen[field.name]} "
                    f"it is {known.type}; cast one, or translate them into two tables"
                )
    return pa.schema(fields.values())


def read_range(
    path: Path, rename: Mapping[str, str], schema: pa.Schema, first_row: int, n_rows: int
) -> RowRange:
    """Rows ``first_row`` to ``first_row + n_rows`` of a file, columns renamed, as ``schema``."""
    if format_of(path) == "parquet":
        table = _parquet_rows(path, first_row, n_rows)
        table = table.rename_columns([rename.get(name, name) for name in table.column_names])
        columns = [
            table[field.name].cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in schema
        ]
        return RowRange(pa.Table.from_arrays(columns, schema=schema), [None] * table.num_rows)
    rows = list(itertools.islice(iter_rows(path), first_row, first_row + n_rows))
    values = [{rename.get(k, k): v for k, v in row.values.items()} for row in rows]
    return RowRange(pa.Table.from_pylist(values, schema=schema), [row.problem for row in rows])


def read_column(path: Path, rename: Mapping[str, str], column: str) -> Iterable[Any]:
    """Every value of one (renamed) column of a file, in order."""
    for row in iter_rows(path):
        yield next((v for k, v in row.values.items() if rename.get(k, k) == column), None)


def _parquet_rows(path: Path, first_row: int, n_rows: int) -> pa.Table:
    """Only the row groups that hold the range are read."""
    parquet = open_parquet(path)
    groups, skipped, seen = [], 0, 0
    for index in range(parquet.num_row_groups):
        size = parquet.metadata.row_group(index).num_rows
        if seen + size <= first_row:
            skipped += size
        elif seen < first_row + n_rows:
            groups.append(index)
        seen += size
    table: pa.Table = parquet.read_row_groups(groups)
    return table.slice(first_row - skipped, n_rows)


def _rows_and_schema(path: Path) -> tuple[int, pa.Schema]:
    file_format = format_of(path)
    if file_format == "parquet":
        metadata: pq.FileMetaData = open_parquet(path).metadata
        return metadata.num_rows, open_parquet(path).schema_arrow.remove_metadata()
    if file_format != "jsonl":
        names = column_names(path) or []
        schema = pa.schema([pa.field(name, pa.string()) for name in names])
        return sum(1 for _ in iter_rows(path)), schema
    n_rows, schema = 0, pa.schema([])
    for chunk in _chunks(row.values for row in iter_rows(path)):
        n_rows += len(chunk)
        try:
            # Keys are gathered by hand: from_pylist looks for them in the first row alone.
            keys = dict.fromkeys(key for values in chunk for key in values)
            found = pa.Table.from_pydict({k: [v.get(k) for v in chunk] for k in keys}).schema
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path}: rows give one key values of different types ({reason}); "
                "make them one type"
            ) from error
    return n_rows, schema


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, _ROWS_PER_INFERENCE)):
        yield chunk
