"""Compaction: merges the small files of each run of a translation table into large ones.

The new folder of a run is built in ``_staging/`` and then exchanged for the old one in a single
step. Published rows and the view ``latest`` do not change.

Reads: the files of published runs.
Writes: fewer files with the same rows, and each run's manifest with the list of them.
Run: ``lingo table compact TABLE``.
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
from pipeline.storage.backend import naming_file
from pipeline.storage.files import absolute, files_in, write_json
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
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
    restored_file,
    run_path,
)
from pipeline.table.open_table import open_table

_ROWS_PER_FILE = 1_000_000
# Constants of renameat2(2).
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def compact(root: Location, *, rows_per_file: int = _ROWS_PER_FILE) -> tuple[int, int]:
    """Merge the files of each run into few large ones.

    A reader that listed the old files but has not opened them yet must list again.

    Args:
        root: the table's folder.
        rows_per_file: the maximum number of rows of a merged file.

    Returns:
        the number of files before and after.

    Raises:
        InputError: ``root`` is not a table, it is on S3, another process writes to it, or this
            system cannot exchange two folders.
        RunError: a run has fewer rows than its manifest says.
    """
    TableIdentity.load(root / IDENTITY)
    # Absolute: pyarrow takes a relative path such as `a:b/t` for a URI.
    table = open_table(absolute(root))
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
            new_files = _units_by_file(run, folder, rows_per_file)
            n_before += n_files
            n_after += min(len(new_files), n_files)
            if len(new_files) < n_files:
                _compact_run(table, run, folder, new_files)
    return n_before, n_after


_UnitRows = tuple[str, int]
"""The id of a unit, and the number of its rows in the table."""


def _units_by_file(run: RunManifest, folder: Path, rows_per_file: int) -> list[list[_UnitRows]]:
    """The units of each new file. A unit of more than ``rows_per_file`` rows gets its own file."""
    units = [unit for part in run.compacted for unit in part.units] or [
        (unit.unit_id, pq.read_metadata(folder / unit.file_name).num_rows) for unit in run.units
    ]
    files: list[list[_UnitRows]] = []
    n_rows = 0
    for unit_id, size in units:
        if not files or n_rows + size > rows_per_file:
            files.append([])
            n_rows = 0
        files[-1].append((unit_id, size))
        n_rows += size
    return files


def _compact_run(
    table: DiskTable, run: RunManifest, folder: Path, new_files: list[list[_UnitRows]]
) -> None:
    new_folder = table.staging / f"compact-{run.run_id}"
    shutil.rmtree(new_folder, ignore_errors=True)
    new_folder.mkdir(parents=True)
    parts = _merge_rows(run, folder, new_folder, new_files)
    for name in (QUARANTINE_FOLDER, TOMBSTONES_FOLDER):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, new_folder / name, copy_function=os.link)
    if run.n_rows_restored:
        name = restored_file(run.run_id)
        os.link(folder / name, new_folder / name)
    _merge_memory(folder / MEMORY_FOLDER, new_folder / MEMORY_FOLDER, f"part-{run.run_id}.parquet")
    if (folder / RUN_REPORT).exists():
        os.link(folder / RUN_REPORT, new_folder / RUN_REPORT)
    manifest = run.model_copy(update={"compacted": tuple(parts)})
    write_json(new_folder / RUN_MANIFEST, manifest.model_dump(mode="json"))
    sync_tree(new_folder)
    exchange(new_folder, folder)
    sync_folder(folder.parent)
    shutil.rmtree(new_folder)


def _merge_rows(
    run: RunManifest, folder: Path, new_folder: Path, new_files: list[list[_UnitRows]]
) -> list[CompactedPart]:
    """Write the rows of a run to new files, in the same order."""
    old_files = [folder / part.file_name for part in run.compacted] or [
        folder / unit.file_name for unit in run.units
    ]
    schema = pq.read_schema(old_files[0])
    batches = (batch for file in old_files for batch in pq.ParquetFile(file).iter_batches())
    batch = next(batches, None)
    parts = []
    for units in new_files:
        name = f"part-{fingerprint_of([unit_id for unit_id, _ in units])[:KEY_DIGITS]}.parquet"
        n_missing = sum(n_rows for _, n_rows in units)
        file = new_folder / name
        with naming_file(file), pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while n_missing and batch is not None:
                writer.write_batch(batch.slice(0, n_missing))
                n_written = min(n_missing, batch.num_rows)
                n_missing -= n_written
                batch = batch.slice(n_written)
                if not batch.num_rows:
                    batch = next(batches, None)
        if n_missing:
            raise RunError(
                f"{folder}: has {n_missing} rows fewer than its manifest says, so it was not "
                "compacted; restore its files from a copy"
            )
        parts.append(CompactedPart(file_name=name, units=tuple(units)))
    return parts


def _merge_memory(old_folder: Path, new_folder: Path, name: str) -> None:
    """Merge the files of a run's translation memory into one. Does nothing if there are none."""
    files = files_in(old_folder, "part-*.parquet")
    if not files:
        return
    new_folder.mkdir()
    new_file = new_folder / name
    with naming_file(new_file), pq.ParquetWriter(new_file, MEMORY, compression="zstd") as writer:
        for file in files:
            writer.write_table(pq.read_table(file, partitioning=None))


def exchange(first: Path, second: Path) -> None:
    """Exchange two folders in one step.

    Raises:
        InputError: this system or disk cannot exchange two folders.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    paths = os.fsencode(first), os.fsencode(second)
    if (
        renameat2 is None
        or renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) != 0
    ):
        reason = os.strerror(ctypes.get_errno()) if renameat2 is not None else "no renameat2"
        raise InputError(
            f"{second}: cannot be exchanged for another folder here ({reason}); compact the table "
            "on a local disk of a Linux machine"
        )
