"""The operations that differ between a disk and S3, behind one interface.

Everything else in the pipeline calls :func:`backend_of` (or a function of ``files.py`` that does)
and does not ask where a location is.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from lingo_model.atomic_files import sync_file, sync_folder
from pipeline.storage.disk_listing import (
    cannot_read,
    is_gone,
    list_folder,
    matching_paths,
    status_of,
)
from pipeline.storage.file_version import FileStamp
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path

L = TypeVar("L", Path, S3Path)


@dataclasses.dataclass(frozen=True)
class FileList:
    """The files below a folder.

    Attributes:
        files: the stamp of each file, by relative path, sorted.
        skipped_links: relative paths of links to folders that are not followed, with the target.
        linked_folders: the targets of the links to folders that were followed.
    """

    files: dict[str, FileStamp]
    skipped_links: dict[str, Path] = dataclasses.field(default_factory=dict)
    linked_folders: tuple[Path, ...] = ()


def backend_of(path: Location) -> Backend[Any]:
    """The backend that a location belongs to."""
    return _S3 if isinstance(path, S3Path) else _DISK


class Backend(ABC, Generic[L]):
    """Operations on locations of one kind. Writes are atomic and durable.

    Unless its description says otherwise, a method raises OSError if a file is missing, or if the
    disk or S3 refuses or does not answer.
    """

    @abstractmethod
    def absolute(self, path: L) -> L:
        """The absolute path. Symbolic links are kept, so a link keeps its path when its target
        changes."""

    @abstractmethod
    def stamp(self, path: L) -> FileStamp | None:
        """Size, modification time and ETag of a file, or None if there is no such file.

        On a disk it also gives the stamp of a folder. A link whose target is missing is an error.
        """

    @abstractmethod
    def readable_stamp(self, path: L) -> FileStamp:
        """The stamp of a file that can be opened.

        Raises:
            InputError: the file is missing or cannot be opened; names it and the reason.
        """

    @abstractmethod
    def list_files(self, folder: L, is_wanted: Callable[[str], bool]) -> FileList:
        """List the files below a folder. On a disk, links are followed; see :func:`list_folder`.

        Args:
            folder: the folder; may be missing.
            is_wanted: tells from a relative path whether the file or folder is listed. The path of
                a folder ends with a slash. A file is not listed if a folder above it is not wanted.
                On S3 it is asked for files only, so it must judge the folders of a path, too.

        Raises:
            InputError: a folder cannot be listed, a wanted file cannot be opened, or a link leads
                nowhere.
        """

    @abstractmethod
    def names_below(self, folder: L) -> set[str]:
        """The relative path of every file below a folder. Cheaper than :meth:`list_files`.

        Raises:
            InputError: a folder cannot be listed.
        """

    @abstractmethod
    def matching(self, folder: L, pattern: str) -> list[L]:
        """Files and folders in ``folder`` that match a pattern, sorted; see ``files_in``.

        Raises:
            InputError: a folder cannot be listed.
        """

    @abstractmethod
    def local_path(self, path: L) -> Path | None:
        """The path of a file on this machine, or None if the file must be downloaded first."""

    @abstractmethod
    def download(self, path: L, to: Path) -> None:
        """Copy a file to this machine."""

    @abstractmethod
    def sha256(self, path: L) -> str:
        """SHA-256 of a file's content, hexadecimal."""

    @abstractmethod
    def write_bytes(self, path: L, content: bytes) -> None:
        """Write a file."""

    @abstractmethod
    def write_parquet(self, path: L, table: pa.Table) -> None:
        """Write one table as one Parquet file."""

    @abstractmethod
    def open_for_parquet(self, path: L) -> Path | pa.BufferReader:
        """An argument for ``pyarrow.parquet.ParquetFile`` that reads the file."""

    @abstractmethod
    def remove(self, path: L) -> None:
        """Remove a file, or a folder with its content. Does nothing if it is absent."""


class _Disk(Backend[Path]):
    def absolute(self, path: Path) -> Path:
        return Path(os.path.normpath(path.absolute()))

    def stamp(self, path: Path) -> FileStamp | None:
        status = status_of(path)
        return None if status is None else _stamp_of(status)

    def readable_stamp(self, path: Path) -> FileStamp:
        try:
            with path.open("rb"):
                status = path.stat()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); check the path"
            ) from error
        return _stamp_of(status)

    def list_files(self, folder: Path, is_wanted: Callable[[str], bool]) -> FileList:
        listing = list_folder(folder, is_wanted)
        stamps = {}
        for name, status in sorted(listing.files.items()):
            try:
                with (folder / name).open("rb"):
                    stamps[name] = _stamp_of(status)
            except OSError as error:
                if not is_gone(folder / name, error):
                    raise cannot_read(folder / name, error) from error
        return FileList(stamps, listing.skipped_links, tuple(listing.linked_folders))

    def names_below(self, folder: Path) -> set[str]:
        return set(list_folder(folder).files)

    def matching(self, folder: Path, pattern: str) -> list[Path]:
        return sorted(matching_paths(folder, pattern))

    def local_path(self, path: Path) -> Path:
        return path

    def download(self, path: Path, to: Path) -> None:
        shutil.copyfile(path, to)

    def sha256(self, path: Path) -> str:
        return sha256_of_file(path)

    def write_bytes(self, path: Path, content: bytes) -> None:
        with naming_file(path), _temporary_name(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def write_parquet(self, path: Path, table: pa.Table) -> None:
        with naming_file(path), _temporary_name(path) as temporary:
            # pyarrow takes a relative path such as `run:7/a.parquet` for a URI.
            pq.write_table(table, temporary.absolute(), compression="zstd")
            sync_file(temporary)

    def open_for_parquet(self, path: Path) -> Path:
        return path.absolute()

    def remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class _ObjectStore(Backend[S3Path]):
    def absolute(self, path: S3Path) -> S3Path:
        return path

    def stamp(self, path: S3Path) -> FileStamp | None:
        return path.stamp()

    def readable_stamp(self, path: S3Path) -> FileStamp:
        stamp = path.stamp() if path.key else None
        if stamp is None:
            raise InputError(
                f"{path}: no such file, and no folder with a file to translate; check the path"
            )
        return stamp

    def list_files(self, folder: S3Path, is_wanted: Callable[[str], bool]) -> FileList:
        # Some tools mark a folder by an empty object whose key ends with a slash. Only a request
        # for the key without the slash tells such an object from an empty file.
        return FileList(
            {
                name: stamp
                for name, stamp in folder.files().items()
                if is_wanted(name) and (stamp.n_bytes or (folder / name).is_file())
            }
        )

    def names_below(self, folder: S3Path) -> set[str]:
        return set(folder.files())

    def matching(self, folder: S3Path, pattern: str) -> list[S3Path]:
        return sorted(folder.glob(pattern))

    def local_path(self, path: S3Path) -> None:
        return None

    def download(self, path: S3Path, to: Path) -> None:
        path.download(to)

    def sha256(self, path: S3Path) -> str:
        return path.sha256()

    def write_bytes(self, path: S3Path, content: bytes) -> None:
        path.write_bytes(content)

    def write_parquet(self, path: S3Path, table: pa.Table) -> None:
        path.write_bytes(parquet_bytes(table))

    def open_for_parquet(self, path: S3Path) -> pa.BufferReader:
        return pa.BufferReader(path.read_bytes())

    def remove(self, path: S3Path) -> None:
        path.remove_tree()
        path.unlink(missing_ok=True)


def _stamp_of(status: os.stat_result) -> FileStamp:
    return FileStamp(status.st_size, status.st_mtime_ns, None)


_DISK, _S3 = _Disk(), _ObjectStore()


def parquet_bytes(table: pa.Table) -> bytes:
    """``table`` as the content of a Parquet file."""
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    return bytes(content.getvalue())


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Add the name of a file to the errors of writing it. "No space left" alone has no name.

    Raises:
        OSError: with a file name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def _temporary_name(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside ``path``, and rename it to ``path`` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
