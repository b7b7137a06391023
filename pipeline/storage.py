"""How files come to be: whole or not at all, and on disk (or S3) before anyone is told of them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BeforeValidator, WithJsonSchema

from lingo_model import InputError
from pipeline.s3 import SCHEME, FileStamp, S3Path

LOCK = ".lock"

Location = Path | S3Path
"""A file or folder, on this machine or on S3."""


def absolute(place: Location) -> Location:
    """A place by its whole path; a link that points elsewhere each night is one place."""
    return place if isinstance(place, S3Path) else Path(os.path.normpath(place.absolute()))


def location(text: str | Location) -> Location:
    """What a path or ``s3://`` URI names.

    Raises:
        InputError: another scheme, or a URI without a bucket.
    """
    if isinstance(text, S3Path | Path):
        return text
    if text.startswith(SCHEME):
        try:
            return S3Path.parse(text)
        except ValueError as error:
            raise InputError(str(error)) from error
    if "://" in text:
        raise InputError(f"{text!r}: needs a path of this machine, or s3://BUCKET/FOLDER")
    return Path(text)


LocationField = Annotated[
    Location, BeforeValidator(location), WithJsonSchema({"type": "string", "format": "path"})
]
"""A location among settings and parameters, where it comes as text."""


def stamp_of(path: Location) -> FileStamp | None:
    """What tells cheaply whether a file is still the same, or None where there is none."""
    if isinstance(path, S3Path):
        return path.stamp()
    try:
        status = path.stat()
    except OSError:
        return None
    return FileStamp(status.st_size, status.st_mtime_ns, None)


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


def files_in(folder: Location, pattern: str) -> list[Location]:
    """What is in a folder by a pattern such as ``part-*.parquet``, sorted."""
    return sorted(folder.glob(pattern))


def names_below(folder: Location) -> set[str]:
    """Every file below a folder, by its path from there; on S3 by few calls, however many."""
    if isinstance(folder, S3Path):
        return set(folder.files())
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def remove_tree(path: Location) -> None:
    """Remove a folder and all that is in it; one that is not there is well."""
    if isinstance(path, S3Path):
        path.remove_tree()
    elif path.exists():
        shutil.rmtree(path)


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
    """A staging folder beside ``final`` that becomes it by one rename, or vanishes on an error.

    Those that killed processes left are removed.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    prefix, suffix = f".{final.name}.", ".tmp"
    for folder in final.parent.iterdir():
        lock = folder / LOCK
        if folder.name.startswith(prefix) and folder.name.endswith(suffix) and lock.exists():
            with contextlib.suppress(OSError, InputError), locked(folder):
                shutil.rmtree(folder)
    staging = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=final.parent))
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(InputError):  # where there are no locks, nothing is removed
                stack.enter_context(locked(staging))
            staging.chmod(0o755)  # mkdtemp gives 0700; other readers are meant to read this
            yield staging
            sync_tree(staging)
            staging.rename(final)
            (final / LOCK).unlink()
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(final.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, a file in it; it ends with the process, however that ends.

    Raises:
        InputError: another process holds it, or the file system has no locks.
    """
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: another process works on this; wait for it to end"
            ) from error
        except OSError as error:
            raise InputError(
                f"{folder}: its file system has no locks ({error.strerror}); put it on another"
            ) from error
        yield


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
