"""Checks that a lake and a table do not harm each other, and that no row is lost or doubled."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from lingo_model import InputError
from pipeline.lake.files import LakeFiles, count_of
from pipeline.storage.file_version import InputFile
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.published_files import PublishedFile


def check_apart(lake: LakeFiles, source: Location, table: Location) -> None:
    """Refuse a table whose files would be input, and an input that is part of the table.

    A table in a folder of the lake whose name begins with ``.`` or ``_`` is allowed: such folders
    are not input.

    Args:
        lake: the files of the lake.
        source: the lake.
        table: the table's folder. It may be missing.

    Raises:
        InputError: one is in the other. Symbolic links are resolved.
    """
    source, table = source.resolve(), table.resolve()
    if _is_below(source, table):
        raise InputError(
            f"{source}: is in the folder of the table {table}; name another input or another output"
        )
    if source.is_file():
        return
    for target in lake.linked_folders:
        if _is_below(target, table):
            raise InputError(
                f"{target}: is in the folder of the table {table}, and a link in the input "
                f"{source} leads to it; remove the link or name another output"
            )
    folders: tuple[Location, ...] = (source, *lake.linked_folders)
    for folder in folders:
        if _is_below(table, folder) and not _is_hidden(table, folder):
            raise InputError(
                f"{table}: is in the input {source}, so its rows would be translated again; name "
                "an output outside of the input"
            )


def _is_below(path: Location, folder: Location) -> bool:
    """Whether a path is a folder itself or below it. Both are on a disk, or both on S3."""
    if isinstance(path, S3Path) or isinstance(folder, S3Path):
        if not isinstance(path, S3Path) or not isinstance(folder, S3Path):
            return False
        is_in_folder = not folder.key or f"{path.key}/".startswith(f"{folder.key}/")
        return path.bucket == folder.bucket and is_in_folder
    return path.is_relative_to(folder)


def _is_hidden(path: Location, folder: Location) -> bool:
    parts = path.relative_to(folder).parts  # type: ignore[arg-type]
    return any(part.startswith((".", "_")) for part in parts)


def overwrite_notes(
    root: Location,
    new_files: Iterable[InputFile],
    gone: Mapping[str, PublishedFile],
    present: Collection[str],
) -> Iterator[str]:
    """Warn of rows that are probably twice in a table whose row ids come from the files' paths.

    Such are the rows of a file that was renamed or moved, and those of a folder that a writer
    overwrote under new file names, as Spark and Polars do.

    Args:
        root: the folder that paths are relative to.
        new_files: the files that the table does not have.
        gone: the files of the table that the lake no longer has.
        present: the paths of the files of the table that the lake still has.
    """
    gone_digests = {file.seen.sha256 for file in gone.values()}
    gone_by_folder = _by_folder(gone)
    # In a folder in which some files stay, others may be deleted because of their age.
    overwritten = gone_by_folder.keys() - _by_folder(present).keys()
    doubtful: dict[str, list[str]] = {}
    for file in new_files:
        folder = _folder_of(file.path)
        if file.n_rows and (file.sha256 in gone_digests or folder in overwritten):
            doubtful.setdefault(folder, []).append(file.path)
    for folder, paths in doubtful.items():
        where = root / folder if folder != "." else root
        copies = gone_by_folder.get(folder, [])
        replaced = count_of(copies, "file") if copies else "files elsewhere"
        yield (
            f"{where}: {count_of(paths, 'new file')} may hold the rows of {replaced}, gone since; "
            "rows of deleted files stay, so rows may be in `latest` twice: use --lake snapshot if "
            "files are overwritten or renamed"
        )


def _by_folder(paths: Iterable[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(_folder_of(path), []).append(path)
    return folders


def _folder_of(path: str) -> str:
    return PurePosixPath(path).parent.as_posix()
