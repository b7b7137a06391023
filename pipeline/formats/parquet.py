"""Rows of a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.formats.encoding import _checked
from pipeline.formats.rows import Row, check_readable


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        InputError: no such file, or not Parquet.
    """
    check_readable(path)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as Parquet ({reason}); write it again") from error


def parquet_rows(path: Path) -> Iterator[Row]:
    for batch in open_parquet(path).iter_batches(batch_size=4096):
        try:
            rows = [Row(values) for values in batch.to_pylist()]
        except UnicodeDecodeError:  # Parquet does not check that text is UTF-8
            rows = [_checked(values) for values in _with_escapes(batch)]
        yield from rows


def _with_escapes(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows of a batch; bytes of text that are not UTF-8 come as lone surrogates."""
    columns: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            raw = column.cast(pa.large_binary()).to_pylist()
            columns[name] = [v and v.decode("utf-8", "surrogateescape") for v in raw]
        else:
            columns[name] = column.to_pylist()
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
