"""Describes a file: its format, its columns with their types, and its number of rows.

:func:`describe_columns` reads no rows. :func:`describe_file` counts them, and so reads every row of
a file that is not Parquet.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.formats.delimited import read_header
from pipeline.formats.json_types import type_conflict
from pipeline.formats.options import DEFAULT_OPTIONS, ReadOptions
from pipeline.formats.parquet import open_parquet, row_group_sizes
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import (
    Format,
    Row,
    check_is_table,
    check_readable,
    check_unique_names,
    format_of,
)
from pipeline.formats.text_column import TEXT_COLUMN

_ROWS_PER_CHUNK = 10_000


@dataclasses.dataclass(frozen=True)
class FileColumns:
    """The format and the columns of a file, as far as they are known without reading its rows.

    Args:
        format: the file's format.
        schema: the columns. They are text unless the file is Parquet. None for JSONL, because each
            of its rows has its own keys.
    """

    format: Format
    schema: pa.Schema | None


@dataclasses.dataclass(frozen=True)
class FileDescription:
    """The format, the columns and the number of rows of a file.

    Args:
        format: the file's format.
        schema: the columns. The types of JSONL's keys hold every value of every row.
        n_rows: the number of rows, unreadable ones included.
        row_group_sizes: the number of rows of each row group; None unless the file is Parquet.
    """

    format: Format
    schema: pa.Schema
    n_rows: int
    row_group_sizes: list[int] | None


def describe_columns(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> FileColumns:
    """Find a file's format and columns. Reads no rows.

    Raises:
        InputError: the file cannot be read, or two of its columns have one name.
    """
    check_readable(path)
    file_format = format_of(path, options.encoding)
    check_is_table(path, file_format)
    match file_format:
        case "text":
            schema = _text_columns([TEXT_COLUMN])
        case "tsv" | "csv":
            schema = _text_columns(read_header(path, file_format, options))
        case "parquet":
            schema = open_parquet(path).schema_arrow.remove_metadata()
        case "jsonl":
            return FileColumns(file_format, None)
    check_unique_names(path, schema.names)
    return FileColumns(file_format, schema)


def describe_file(
    path: Path,
    options: ReadOptions = DEFAULT_OPTIONS,
    *,
    is_ignored: Callable[[str], bool] = lambda _name: False,
) -> FileDescription:
    """Find a file's format, columns and number of rows.

    Args:
        path: the file.
        options: how the file is read.
        is_ignored: tells by its name whether the values of a JSONL key are not needed. Such a key
            is null in the result, and may have values of any types.

    Raises:
        InputError: the file is missing, damaged, or in another encoding than UTF-8, two of its
            columns have one name, or no type holds all values of a JSONL key.
    """
    file_format = format_of(path, options.encoding)
    check_is_table(path, file_format)
    match file_format:
        case "parquet":
            parquet = open_parquet(path)
            schema, n_rows = parquet.schema_arrow.remove_metadata(), parquet.metadata.num_rows
            check_unique_names(path, schema.names)
            return FileDescription(file_format, schema, n_rows, row_group_sizes(parquet))
        case "jsonl":
            n_rows, schema = _jsonl_rows_and_schema(path, options, is_ignored)
        case _:
            schema = describe_columns(path, options).schema
            n_rows = sum(1 for _ in iter_rows(path, options))
    return FileDescription(file_format, schema, n_rows, None)


def _text_columns(names: list[str]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in names])


def _jsonl_rows_and_schema(
    path: Path, options: ReadOptions, is_ignored: Callable[[str], bool]
) -> tuple[int, pa.Schema]:
    """The number of rows, and for each key a type that holds its value in every row."""
    n_rows, schema = 0, pa.schema([])
    integer_keys: set[str] = set()
    try:
        for chunk in _chunks(path, options):
            n_rows += len(chunk)
            # Not from_pylist, which takes the keys from the first row only.
            keys = dict.fromkeys(key for values in chunk for key in values)
            columns = {
                key: [None] * len(chunk) if is_ignored(key) else [row.get(key) for row in chunk]
                for key in keys
            }
            chunk_schema = pa.Table.from_pydict(columns).schema
            schema = pa.unify_schemas([schema, chunk_schema], promote_options="permissive")
            integer_keys |= {field.name for field in chunk_schema if "int64" in str(field.type)}
        # A key with integers in one chunk and fractions in another becomes double. Converting the
        # values raises an error if one of the integers has no exact double.
        mixed = [f for f in schema if f.name in integer_keys and "double" in str(f.type)]
        for chunk in _chunks(path, options) if mixed else ():
            for field in mixed:
                pa.array([values.get(field.name) for values in chunk], field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        reason = type_conflict(_needed_rows(path, options, is_ignored)) or one_line(error)
        raise InputError(
            f"{path}: a key has values of different types, or a value that is too large "
            f"({reason}); give each key values of one type, or leave the key out "
            "(translate: --drop KEY)"
        ) from error
    return n_rows, schema


def _needed_rows(
    path: Path, options: ReadOptions, is_ignored: Callable[[str], bool]
) -> Iterator[Row]:
    """The rows of a file without the keys that are not needed."""
    for row in iter_rows(path, options):
        values = {key: value for key, value in row.values.items() if not is_ignored(key)}
        yield dataclasses.replace(row, values=values)


def _chunks(path: Path, options: ReadOptions) -> Iterator[list[dict[str, Any]]]:
    """The values of the rows, in lists of bounded length."""
    values = (row.values for row in iter_rows(path, options))
    while chunk := list(itertools.islice(values, _ROWS_PER_CHUNK)):
        yield chunk
