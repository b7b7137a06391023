"""The files to translate: which there are, what columns they have, and ranges of their rows.

Reads: a file, or a folder of files in any format of ``pipeline/formats/read.py``, here or on S3.
Writes:
nothing but copies of what is on S3, which go with the process.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.describe import _rows_and_schema
from pipeline.formats.encoding import repaired_text
from pipeline.formats.rows import check_readable
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location, stamp_of
from pipeline.storage.s3 import S3Path

# What Hive writes for a partition whose key is null.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


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
