"""The files to translate: which there are, what columns they have, and ranges of their rows.

Reads: a file, or a folder of files in any format of ``pipeline/formats/read.py``, here or on S3.
Writes:
nothing but copies of what is on S3, which go with the process.
"""

from __future__ import annotations

import dataclasses
from urllib.parse import unquote

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.describe import describe_file
from pipeline.formats.encoding import repaired_text
from pipeline.storage.backend import backend_of
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.files import stamp_of
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location

# What Hive writes for a partition whose key is null.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclasses.dataclass(frozen=True)
class InspectedFile:
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
    backend = backend_of(source)
    files = backend.list_files(source, _is_input)
    for name in files:
        if repaired_text(name) is not None:
            raise InputError(f"{name!r} below {source}: the name is not UTF-8; rename the file")
    if files:
        return source, files
    if not source.is_file() and source.is_dir():
        raise InputError(f"{source}: holds no file to translate; check the path")
    return source.parent, {source.name: backend.readable_stamp(source)}


def _is_input(relative: str) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.split("/"))


def inspect_file(root: Location, relative: str) -> InspectedFile:
    """Size, digest, number of rows, and columns of one file, those of its hive partition last.

    Raises:
        InputError: the file is damaged, not UTF-8, or its rows do not fit together.
    """
    stamp = backend_of(root).readable_stamp(root / relative)
    copies = LocalCopies(root)
    with copies.reading(relative) as path:
        description = describe_file(path)
        sha256 = sha256_of_file(path)
    copies.forget()
    schema = description.schema
    for name in partition_values(relative):
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    file = InputFile(path=relative, **stamp._asdict(), sha256=sha256, n_rows=description.n_rows)
    return InspectedFile(file, schema, description.row_group_sizes)


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
