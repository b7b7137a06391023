"""Keeping a translation table tidy: small files into large ones, and what no run refers to away.

Neither changes a row, nor what ``latest`` shows.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.schemas import MEMORY as MEMORY_SCHEMA
from pipeline.storage.files import write_json
from pipeline.storage.folders import sync_folder, sync_tree
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.location import Location, remove_tree
from pipeline.storage.s3 import S3Path
from pipeline.table.manifest import (
    DEFERRED,
    MEMORY,
    PLAN,
    QUARANTINE,
    REPLAY,
    RETRACTED,
    RUN_MANIFEST,
    RUN_REPORT,
    CompactedPart,
    RunManifest,
    load_identity,
    run_folder,
)
from pipeline.table.store import LocalTable, S3Table, open_table

_ROWS_PER_FILE = 1_000_000


_AT_FDCWD = -100


_RENAME_EXCHANGE = 2


@dataclasses.dataclass(frozen=True)
class Garbage:
    """What no run refers to: files and folders, and the bytes that they take."""

    paths: tuple[Location, ...]
    n_bytes: int


def collect_garbage(root: Location, *, dry_run: bool = False) -> Garbage:
    """Find what no run refers to, and delete it unless ``dry_run``: what killed processes left, and
    files in a run's folder that its manifest does not name. An unfinished run keeps its own.

    Raises:
        InputError: no table there, or another process writes to it.
    """
    load_identity(root)
    table = open_table(root)
    with table.locked():
        if isinstance(table, S3Table):
            sizes = dict(_unreferenced_on_s3(table))
            found = Garbage(tuple(sizes), sum(sizes.values()))
        else:
            assert isinstance(table, LocalTable)
            paths = tuple(sorted(_unreferenced(table)))
            found = Garbage(paths, sum(map(_n_bytes, paths)))
        for path in () if dry_run else found.paths:
            if isinstance(path, Path) and path.is_dir():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)
        return found


def _unreferenced_on_s3(table: S3Table) -> Iterator[tuple[S3Path, int]]:
    """Files of runs that are neither published nor unfinished, and in published ones those that no
    manifest names, with their sizes.

    Files first, then plans, then manifests: what a run puts meanwhile was either not listed, or its
    plan is found, or its manifest.
    """
    files = table.data.files()
    scratch = table.staging.files()
    unfinished = table.unfinished()
    kept = {run_folder(run): _files_of(run) for run in table.published()}
    in_work = "" if unfinished is None else unfinished.run
    for name, stamp in files.items():
        run = "/".join(name.split("/")[:2])
        is_named = name.removeprefix(f"{run}/") in kept.get(run, ())
        if not is_named and not run.endswith(f"/run={in_work}"):
            yield table.data / name, stamp.n_bytes
    for name, stamp in scratch.items():
        if not name.endswith(f"/{PLAN}") and name.split("/")[0] != in_work:
            yield table.staging / name, stamp.n_bytes


def _unreferenced(table: LocalTable) -> Iterator[Path]:
    for folder in table.staging.glob("*"):
        if not (folder / PLAN).exists():
            yield folder
        else:
            yield from folder.rglob(".*.tmp")
    yield from table.root.glob(".*.tmp")
    manifests = {table.data / run_folder(run): run for run in table.published()}
    for folder in table.data.glob("run_date=*/run=*"):
        if folder not in manifests:
            yield folder
            continue
        named = _files_of(manifests[folder])
        for path in folder.rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in named:
                yield path
        for left_over in (DEFERRED, REPLAY):
            if (folder / left_over).is_dir() and not any((folder / left_over).iterdir()):
                yield folder / left_over


def _files_of(run: RunManifest) -> set[str]:
    parts = {unit.file_name for unit in run.units}
    merged = {part.file_name for part in run.compacted}
    return (
        {RUN_MANIFEST, RUN_REPORT}
        | {f"{folder}/part-{run.run}.parquet" for folder in (RETRACTED, MEMORY)}
        | (merged or parts)
        | {f"{folder}/{part}" for folder in (QUARANTINE, MEMORY) for part in parts}
    )


def _n_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def compact(root: Location, *, rows_per_file: int = _ROWS_PER_FILE) -> tuple[int, int]:
    """Merge the files of each run into few; returns how many there were and are.

    A run's folder is exchanged for the new one in a single step, so a reader finds all of the one
    or all of the other; one that has listed the old files and not yet opened them must list again.

    Raises:
        InputError: no table there, another process writes to it, or this system cannot exchange
            two folders.
    """
    load_identity(root)
    table = open_table(root)
    if not isinstance(table, LocalTable):
        raise InputError(
            f"{root}: compacting needs a folder on a disk: on S3 nothing can be exchanged in one "
            "step; use larger units there (rows_per_unit)"
        )
    n_before = n_after = 0
    with table.locked():
        for run in table.published():
            folder = table.data / run_folder(run)
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


def _compact_run(table: LocalTable, run: RunManifest, folder: Path, batches: list[_Rows]) -> None:
    new = table.staging / f"compact-{run.run}"
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
    for below in (QUARANTINE, RETRACTED):
        if (folder / below).is_dir():
            shutil.copytree(folder / below, new / below, copy_function=os.link)
    memory = sorted((folder / MEMORY).glob("part-*.parquet"))
    if memory:
        (new / MEMORY).mkdir()
        name = f"part-{run.run}.parquet"
        with pq.ParquetWriter(new / MEMORY / name, MEMORY_SCHEMA, compression="zstd") as writer:
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
