"""Lists and inspects the input files of a translation.

Reads: a file or a folder of files, on this machine or on S3, in any format of
    ``pipeline/formats/read.py``.
Writes: temporary copies of files on S3, which are deleted when the process ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.describe import describe_file
from pipeline.formats.encoding import repaired_text
from pipeline.formats.parquet import open_parquet
from pipeline.formats.rows import read_errors_as_input_errors
from pipeline.formats.temporary_names import is_temporary_name
from pipeline.lake.column_selection import ALL_COLUMNS, ColumnSelection
from pipeline.storage.backend import backend_of
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.files import stamp_of
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location

# The name that Hive gives to the partition of rows whose key is null.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"

# Folders of file systems at the root of a disk. Most users may not list them.
_SYSTEM_FOLDERS = {"lost+found", "$RECYCLE.BIN", "System Volume Information"}

_N_NAMES_SHOWN = 3


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


@dataclasses.dataclass(frozen=True)
class LakeFiles:
    """The input files, and what a lake holds besides them.

    Attributes:
        root: the folder that paths are relative to.
        stamps: the stamp of each file by relative path, sorted.
        temporary_files: files and folders that are skipped because of their names, sorted.
        skipped_links: links to folders that are not followed, with the target; see
            :func:`~pipeline.storage.disk_listing.list_folder`.
        linked_folders: the targets of the links to folders that were followed.
    """

    root: Location
    stamps: dict[str, FileStamp]
    temporary_files: tuple[str, ...] = ()
    skipped_links: dict[str, Path] = dataclasses.field(default_factory=dict)
    linked_folders: tuple[Path, ...] = ()

    def is_skipped(self, relative: str) -> bool:
        """Whether a path exists but is not read, because of its name or of a link above it."""
        skipped = {*self.temporary_files, *self.skipped_links}
        parts = relative.split("/")
        return any("/".join(parts[: n + 1]) in skipped for n in range(len(parts)))


def input_files(source: Location) -> LakeFiles:
    """List the input files. Names that begin with ``.`` or ``_`` are not input.

    Temporary files and folders are skipped; see
    :func:`~pipeline.formats.temporary_names.is_temporary_name`. A folder such as ``host=a.tmp`` is
    a Hive partition and is not skipped.

    Args:
        source: a file, or a folder of files.

    Raises:
        InputError: there is no file, a file cannot be read, a folder cannot be listed, or a name is
            not UTF-8.
    """
    backend = backend_of(source)
    temporary_files: set[str] = set()

    def is_input(relative: str) -> bool:
        parts = relative.removesuffix("/").split("/")
        n_folders = len(parts) if relative.endswith("/") else len(parts) - 1
        if any(part.startswith((".", "_")) or part in _SYSTEM_FOLDERS for part in parts):
            return False
        for n, part in enumerate(parts, 1):
            if is_temporary_name(part) and (n > n_folders or "=" not in part):
                temporary_files.add("/".join(parts[:n]))
                return False
        return True

    listed = backend.list_files(source, is_input)
    for name in listed.files:
        if repaired_text(name) is not None:
            raise InputError(f"{name!r} below {source}: the name is not UTF-8; rename the file")
    skipped = tuple(sorted(temporary_files))
    if listed.files:
        return LakeFiles(source, listed.files, skipped, listed.skipped_links, listed.linked_folders)
    if not source.is_file() and source.is_dir():
        what = "no file to translate"
        if skipped:
            what += f", only {count_of(skipped, 'temporary file')}"
        raise InputError(f"{source}: holds {what}; check the path")
    return LakeFiles(source.parent, {source.name: backend.readable_stamp(source)})


def count_of(names: Sequence[str], noun: str) -> str:
    """The number of some things, and the first names, such as ``5 files (a, b, c, ...)``."""
    plural = "" if len(names) == 1 else "s"
    more = ", ..." if len(names) > _N_NAMES_SHOWN else ""
    return f"{len(names):,} {noun}{plural} ({', '.join(names[:_N_NAMES_SHOWN])}{more})"


def inspect_file(
    root: Location, relative: str, selection: ColumnSelection = ALL_COLUMNS
) -> InspectedFile:
    """Read a file to get its digest, its number of rows and its columns.

    Args:
        root: the folder that ``relative`` is relative to.
        relative: the file's relative path.
        selection: the columns that are needed. A JSONL key that is left out may have values of
            different types.

    Raises:
        InputError: the file is missing, damaged, of an unknown format or in another encoding, two
            columns have one name, or a column has values of different types.
    """
    stamp = backend_of(root).readable_stamp(root / relative)
    copies = LocalCopies(root)
    with copies.opened(relative) as path:
        description = describe_file(
            path, is_ignored=lambda name: selection.output_name(name) is None
        )
        sha256 = sha256_of_file(path)
        if description.format == "parquet":
            _check_pages(path)
    copies.forget()
    schema = description.schema
    for name in partition_values(relative):
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    file = InputFile(path=relative, **stamp._asdict(), sha256=sha256, n_rows=description.n_rows)
    return InspectedFile(file, schema, description.row_group_sizes)


def _check_pages(path: Path) -> None:
    """Read a Parquet file whole. Its columns and its number of rows are only in its footer.

    Raises:
        InputError: a part of the file is damaged.
    """
    parquet = open_parquet(path)
    with read_errors_as_input_errors(path):
        for _ in parquet.iter_batches():
            pass


def partition_values(relative: str) -> dict[str, str | None]:
    """Names and values of the Hive partitions (``name=value`` folders) in a relative path."""
    values: dict[str, str | None] = {}
    for part in relative.split("/")[:-1]:
        name, equals, value = part.partition("=")
        if name and equals:
            values[unquote(name)] = None if value == _NULL_PARTITION else unquote(value)
    return values


def is_unchanged(root: Location, file: InputFile) -> bool:
    """Whether a file still has the size, modification time and ETag that the plan saw.

    Raises:
        OSError: the file cannot be accessed, so it is not known.
    """
    return stamp_of(root / file.path) == file.stamp
