"""Reads and writes files on this machine and on S3.

Writes are atomic, and the file is durable when the function returns.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.storage.backend import backend_of
from pipeline.storage.file_version import FileStamp
from pipeline.storage.location import Location

L = TypeVar("L", bound=Location)


def absolute(path: Location) -> Location:
    """The absolute path. Symbolic links are kept; see :meth:`Backend.absolute`."""
    absolute_path: Location = backend_of(path).absolute(path)
    return absolute_path


def resolved(path: Location) -> Location:
    """The absolute path without symbolic links. The file or folder may be missing.

    Raises:
        InputError: links lead in a circle.
    """
    try:
        return path.resolve()
    except RuntimeError as error:
        raise InputError(f"{path}: links lead in a circle; remove one of them") from error


def stamp_of(path: Location) -> FileStamp | None:
    """Size, modification time and ETag of a file, or None if there is no such file.

    Raises:
        OSError: the file cannot be accessed, which does not mean that it is absent.
    """
    return backend_of(path).stamp(path)


def sha256_of(path: Location) -> str:
    """SHA-256 of a file's content, hexadecimal.

    Raises:
        OSError: the file is missing, or S3 refuses or does not answer.
    """
    return backend_of(path).sha256(path)


def write_bytes(path: Location, content: bytes) -> None:
    """Write a file. On a disk: temporary name, fsync, atomic rename. On S3: one request."""
    backend_of(path).write_bytes(path, content)


def write_json(path: Location, value: Any) -> None:
    """Write a value as indented JSON with sorted keys; see :func:`write_bytes`."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """A value as the content of a JSON file."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode()


def write_parquet(path: Location, table: pa.Table) -> None:
    """Write one table as one Parquet file; see :func:`write_bytes`."""
    backend_of(path).write_parquet(path, table)


def read_parquet(path: Location, columns: list[str] | None = None) -> pa.Table:
    """Read columns of one Parquet file. A path such as ``run=1/`` adds no partition column."""
    with pq.ParquetFile(backend_of(path).open_for_parquet(path)) as file:
        return file.read(columns=columns)


def files_in(folder: L, pattern: str) -> list[L]:
    """Files and folders in a folder that match a pattern such as ``run=*/part-*.parquet``, sorted.

    A star stands for any characters except ``/``. The list is empty if the folder is missing.

    Raises:
        InputError: a folder cannot be listed.
    """
    paths: list[L] = backend_of(folder).matching(folder, pattern)
    return paths


def names_below(folder: Location) -> set[str]:
    """The relative path of every file below a folder. On S3, one request for 1,000 files."""
    return backend_of(folder).names_below(folder)


def remove_tree(path: Location) -> None:
    """Remove a file, or a folder with its content. Does nothing if it is absent."""
    backend_of(path).remove(path)
