"""Writes files whole or not at all, and confirms them on disk (or S3) before it returns."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.folders import sync_file, sync_folder
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path


def write_bytes(path: Location, content: bytes) -> None:
    """Write a file by temporary name, fsync and atomic rename; on S3, where a write is whole or
    not at all by itself, by one call."""
    if isinstance(path, S3Path):
        path.write_bytes(content)
        return
    with _temporary_name(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Location, value: Any) -> None:
    """Write a value as readable JSON with sorted keys; see :func:`write_bytes`."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """A value as the content of a JSON file."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode()


def write_parquet(path: Location, table: pa.Table) -> None:
    """Write one table as one Parquet file; see :func:`write_bytes`."""
    if isinstance(path, S3Path):
        path.write_bytes(parquet_bytes(table))
        return
    with _temporary_name(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        sync_file(temporary)


def parquet_bytes(table: pa.Table) -> bytes:
    """One table as the content of a Parquet file."""
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    return bytes(content.getvalue())


def read_parquet(path: Location, columns: list[str] | None = None) -> pa.Table:
    """The columns of one Parquet file, no more: a path such as ``run=1/`` adds none."""
    source = pa.BufferReader(path.read_bytes()) if isinstance(path, S3Path) else path
    with pq.ParquetFile(source) as file:
        return file.read(columns=columns)


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    """A name beside ``path`` that readers skip, renamed to ``path`` when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
