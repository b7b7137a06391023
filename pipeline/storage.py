"""How files come to be: whole or not at all, and on disk before anyone is told of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file by temporary name, fsync and atomic rename."""
    with _temporary_name(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON with sorted keys; see :func:`write_bytes`."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode())


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write one table as one Parquet file; see :func:`write_bytes`."""
    with _temporary_name(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        sync_file(temporary)


def parquet_bytes(table: pa.Table) -> bytes:
    """One table as the content of a Parquet file."""
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    return bytes(content.getvalue())


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


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A staging folder beside ``final`` that becomes it by one rename, or vanishes on an error."""
    final.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".tmp", dir=final.parent))
    try:
        staging.chmod(0o755)  # mkdtemp gives 0700; other readers are meant to read this
        yield staging
        sync_tree(staging)
        staging.rename(final)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(final.parent)


def sync_file(path: Path) -> None:
    """Have the disk confirm a file's content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the disk confirm a folder's list of names, so that a rename survives a power cut."""
    sync_file(path)


def sync_tree(root: Path) -> None:
    """Have the disk confirm everything below ``root``."""
    for folder, _, files in os.walk(root):
        for name in files:
            sync_file(Path(folder) / name)
        sync_folder(Path(folder))


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class RowsWriter:
    """Rows to numbered Parquet files of bounded size, through a bounded buffer.

    For use in a folder that appears by one rename (:func:`new_folder`).
    """

    _BUFFER_ROWS = 10_000
    _ROWS_PER_FILE = 1_000_000

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self._n_files = 0
        self._n_rows_in_file = 0
        folder.mkdir(parents=True)

    def write(self, row: dict[str, Any]) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) >= self._BUFFER_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left; there is always one file, so that every reader finds a schema."""
        if self._rows or self._n_files == 0:
            self._flush()
        self._end_file()

    def _flush(self) -> None:
        if self._writer is None:
            path = self._folder / f"part-{self._n_files:05d}.parquet"
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
            self._n_files += 1
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._n_rows_in_file += len(self._rows)
        self._rows = []
        if self._n_rows_in_file >= self._ROWS_PER_FILE:
            self._end_file()

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._n_rows_in_file = None, 0
