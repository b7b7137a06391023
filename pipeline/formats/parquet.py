"""Rows of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.formats.encoding import checked_row
from pipeline.formats.rows import Row, check_readable, check_unique_names
from pipeline.formats.text_types import as_text_column, is_string_type

_ROWS_PER_BATCH = 4096


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        InputError: the file is missing or is not Parquet.
    """
    check_readable(path)
    try:
        return pq.ParquetFile(path.absolute())  # `ds:1/a.parquet` would be taken for a URI
    except (pa.ArrowInvalid, OSError) as error:
        reason = one_line(error)
        raise InputError(f"{path}: not readable as Parquet ({reason}); write it again") from error


def row_group_sizes(parquet: pq.ParquetFile) -> list[int]:
    """The number of rows of each row group."""
    metadata = parquet.metadata
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def parquet_rows(path: Path) -> Iterator[Row]:
    """Every row of a Parquet file. A row with text that is not UTF-8 is undecodable.

    Raises:
        InputError: the file is missing or is not Parquet, or two of its columns have one name.
    """
    parquet = open_parquet(path)
    check_unique_names(path, parquet.schema_arrow.names)
    for batch in parquet.iter_batches(batch_size=_ROWS_PER_BATCH):
        try:
            rows = [Row(values) for values in batch.to_pylist()]
        except UnicodeDecodeError:  # a Parquet writer need not check that text is UTF-8
            rows = [checked_row(values) for values in _with_escapes(batch)]
        yield from rows


def _with_escapes(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a batch. Bytes of text that are not UTF-8 become lone surrogates."""
    columns: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if is_string_type(column.type):
            raw = as_text_column(column).cast(pa.large_binary()).to_pylist()
            columns[name] = [v and v.decode("utf-8", "surrogateescape") for v in raw]
        else:
            columns[name] = column.to_pylist()
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
