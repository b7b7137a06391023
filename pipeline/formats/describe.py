"""Number of rows and column types of a file, found without keeping its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.formats.parquet import open_parquet
from pipeline.formats.read import column_names, iter_rows
from pipeline.formats.rows import format_of

_ROWS_PER_INFERENCE = 10_000


def row_group_sizes(parquet: pq.ParquetFile) -> list[int]:
    metadata = parquet.metadata
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def _rows_and_schema(path: Path) -> tuple[int, pa.Schema, list[int] | None]:
    file_format = format_of(path)
    if file_format == "parquet":
        parquet = open_parquet(path)
        schema = parquet.schema_arrow.remove_metadata()
        return parquet.metadata.num_rows, schema, row_group_sizes(parquet)
    if file_format != "jsonl":
        names = column_names(path) or []
        schema = pa.schema([pa.field(name, pa.string()) for name in names])
        return sum(1 for _ in iter_rows(path)), schema, None
    n_rows, schema = _jsonl_schema(path)
    return n_rows, schema, None


def _jsonl_schema(path: Path) -> tuple[int, pa.Schema]:
    """Number of rows, and the types that hold every value of all of them."""
    n_rows, schema = 0, pa.schema([])
    integers: set[str] = set()
    try:
        for chunk in _chunks(path):
            n_rows += len(chunk)
            # Keys are gathered by hand: from_pylist looks for them in the first row alone.
            keys = dict.fromkeys(key for values in chunk for key in values)
            found = pa.Table.from_pydict({k: [v.get(k) for v in chunk] for k in keys}).schema
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
            integers |= {field.name for field in found if "int64" in str(field.type)}
        # Beside a fraction of another chunk, an integer must fit a double.
        mixed = [f for f in schema if f.name in integers and "double" in str(f.type)]
        for chunk in _chunks(path) if mixed else ():
            for field in mixed:
                pa.array([values.get(field.name) for values in chunk], field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: rows give one key values of different types, or too large ones "
            f"({reason}); make them one type"
        ) from error
    return n_rows, schema


def _chunks(path: Path) -> Iterator[list[dict[str, Any]]]:
    iterator = (row.values for row in iter_rows(path))
    while chunk := list(itertools.islice(iterator, _ROWS_PER_INFERENCE)):
        yield chunk
