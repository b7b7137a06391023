"""Lists and inspects the input files of a translation.

Reads: a file or a folder of files, on this machine or on S3, in any format of
    ``pipeline/formats/read.py``.
Writes: temporary copies of files on S3, which are deleted when the process ends.
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

# The name that Hive gives to the partition of rows whose key is null.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclasses.dataclass(frozen=True)
class InspectedFile:
    """A file as it is now.

    Attributes:
        file: the file's size, digest and number of rows.
        schema: its columns. The columns of its Hive partitions follow the file's own.
        group_rows: the sizes of its Parquet row groups; None for other formats.
    """

    file: InputFile
    schema: pa.Schema
    group_rows: list[int] | None


def input_files(source: Location) -> tuple[Location, dict[str, FileStamp]]:
    """List the input files. Names that begin with ``.`` or ``_`` are not input.

    Args:
        source: a file, or a folder of files.

    Returns:
        the folder that paths are relative to, and the stamp of each file by relative path, sorted.

    Raises:
        InputError: there is no file, a file cannot be read, or a name is not UTF-8.
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
    """Read a file to get its digest, its number of rows and its columns.

    Args:
        root: the folder that ``relative`` is relative to.
        relative: the file's relative path.

    Raises:
        InputError: the file is missing or damaged, or a column has values of different types.
    """
    stamp = backend_of(root).readable_stamp(root / relative)
    copies = LocalCopies(root)
    with copies.opened(relative) as path:
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
    """Names and values of the Hive partitions (``name=value`` folders) in a relative path."""
    values: dict[str, str | None] = {}
    for part in relative.split("/")[:-1]:
        name, equals, value = part.partition("=")
        if name and equals:
            values[unquote(name)] = None if value == _NULL_PARTITION else unquote(value)
    return values


def is_unchanged(root: Location, file: InputFile) -> bool:
    """Whether a file still has the size, modification time and ETag that the plan saw."""
    return stamp_of(root / file.path) == file.stamp
