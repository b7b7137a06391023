"""Maintenance of a translation table: compaction, orphan files, and unfinished runs.

Nothing here changes a published row or the view ``latest``.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from lingo_model import InputError
from lingo_model.atomic_files import sync_folder, sync_tree
from pipeline.errors import RunError
from pipeline.schemas import MEMORY
from pipeline.storage.files import remove_tree, write_json
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.location import Location
from pipeline.table.disk_table import DiskTable
from pipeline.table.manifest import (
    IDENTITY,
    MEMORY_FOLDER,
    QUARANTINE_FOLDER,
    RUN_MANIFEST,
    RUN_REPORT,
    TOMBSTONES_FOLDER,
    CompactedPart,
    RunManifest,
    TableIdentity,
    run_path,
)
from pipeline.table.open_table import open_table

_ROWS_PER_FILE = 1_000_000
# Of renameat2(2).
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def abort_unfinished(root: Location) -> str | None:
    """Discard a table's unfinished run, even if its plan is damaged.

    On S3 no other process may work on the run.

    Returns:
        the run's id, or None if there is no unfinished run.

    Raises:
        InputError: ``root`` is no table, or another process writes to it.
    """
    TableIdentity.load(root / IDENTITY)
    table = open_table(root)
    with table.locked():
        return table.discard_unfinished()


def remove_orphan_files(root: Location, *, dry_run: bool = False) -> dict[Location, int]:
    """Delete the files and folders that no run refers to. With ``dry_run``, only list them.

    Returns:
        the orphans with their sizes in bytes.

    Raises:
        InputError: ``root`` is no table, or another process writes to it.
    """
    TableIdentity.load(root / IDENTITY)
    table = open_table(root)
    with table.locked():
        orphans = table.orphan_files()
        if not dry_run:
            for path in orphans:
                remove_tree(path)
    return orphans


def compact(root: Location, *, rows_per_file: int = _ROWS_PER_FILE) -> tuple[int, int]:
    """Merge the files of each run into few large ones.

    A run's folder is exchanged for the new one in a single step. A reader that listed the old
    files and did not open them yet must list again.

    Returns:
        the number of files before and after.

    Raises:
        InputError: ``root`` is no table, it is on S3, another process writes to it, or this system
            cannot exchange two folders.
    """
    TableIdentity.load(root / IDENTITY)
    table = open_table(root)
    if not isinstance(table, DiskTable):
        raise InputError(
            f"{root}: cannot be compacted, because S3 cannot exchange two folders in one step; "
            "set a larger rows_per_unit to get larger files"
        )
    n_before = n_after = 0
    with table.locked():
        for run in table.published():
            folder = table.data / run_path(run)
            n_files = len(run.compacted) or len(run.units)
            wanted = _batches(run, folder, rows_per_file)
            n_before += n_files
            n_after += min(len(wanted), n_files)
            if len(wanted) < n_files:
                _compact_run(table, run, folder, wanted)
    return n_before, n_after


_Rows = list[tuple[str, int]]
"""Ids of units, and how many rows of each are in the table."""


def _batches(run: RunManifest, folder: Path, rows_per_file: int) -> list[_Rows]:
    """The units of each new file."""
    units = [unit for part in run.compacted for unit in part.units] or [
        (unit.unit_id, pq.read_metadata(folder / unit.file_name).num_rows) for unit in run.units
    ]
    batches: list[_Rows] = []
    n_rows = 0
    for unit_id, size in units:
        if not batches or n_rows + size > rows_per_file:
            batches.append([])
            n_rows = 0
        batches[-1].append((unit_id, size))
        n_rows += size
    return batches


def _compact_run(table: DiskTable, run: RunManifest, folder: Path, batches: list[_Rows]) -> None:
    new = table.staging / f"compact-{run.run_id}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    sources = [folder / part.file_name for part in run.compacted] or [
        folder / unit.file_name for unit in run.units
    ]
    schema = pq.read_schema(sources[0])
    batches_of_rows = (
        batch for source in sources for batch in pq.ParquetFile(source).iter_batches()
    )
    rest = next(batches_of_rows, None)
    parts = []
    for units in batches:
        name = f"part-{fingerprint_of([unit_id for unit_id, _ in units])[:24]}.parquet"
        missing = sum(n_rows for _, n_rows in units)
        with pq.ParquetWriter(new / name, schema, compression="zstd") as writer:
            while missing and rest is not None:
                writer.write_batch(rest.slice(0, missing))
                n_written = min(missing, rest.num_rows)
                missing -= n_written
                rest = rest.slice(n_written)
                if not rest.num_rows:
                    rest = next(batches_of_rows, None)
        if missing:
            raise RunError(f"{folder}: {missing} rows fewer than its manifest says; not compacted")
        parts.append(CompactedPart(file_name=name, units=tuple(units)))
    for below in (QUARANTINE_FOLDER, TOMBSTONES_FOLDER):
        if (folder / below).is_dir():
            shutil.copytree(folder / below, new / below, copy_function=os.link)
    memory = sorted((folder / MEMORY_FOLDER).glob("part-*.parquet"))
    if memory:
        (new / MEMORY_FOLDER).mkdir()
        name = f"part-{run.run_id}.parquet"
        with pq.ParquetWriter(new / MEMORY_FOLDER / name, MEMORY, compression="zstd") as writer:
            for file in memory:
                writer.write_table(pq.read_table(file, partitioning=None))
    if (folder / RUN_REPORT).exists():
        os.link(folder / RUN_REPORT, new / RUN_REPORT)
    manifest = run.model_copy(update={"compacted": tuple(parts)})
    write_json(new / RUN_MANIFEST, manifest.model_dump(mode="json"))
    sync_tree(new)
    exchange(new, folder)
    sync_folder(folder.parent)
    shutil.rmtree(new)


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders in one step.

    Raises:
        InputError: this system or disk cannot.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = os.fsencode(one), os.fsencode(other)
    if (
        renameat2 is None
        or renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0
    ):
        reason = os.strerror(ctypes.get_errno()) if renameat2 is not None else "no renameat2"
        raise InputError(
            f"{other}: cannot be exchanged for another folder here ({reason}); compact the table "
            "on Linux, on a disk of its own"
        )
