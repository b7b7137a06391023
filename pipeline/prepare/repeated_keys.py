"""Finds pairs that repeat a pair of another partition: equal targets, and near-duplicates.

Each pair that may be such a repetition gives one or more keys. The keys are sorted into partitions
of their own. There, the first pair of each key stays, and later pairs with the key are repeated.

Reads: the keys of all partitions, in the work folder.
Writes: the places of repeated pairs, by the partition of the pairs, in the work folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.prepare.job import Job
from pipeline.prepare.near import near_keys
from pipeline.prepare.spill import read_partition, write_spill
from pipeline.prepare.tasks import TaskResult
from pipeline.prepare.texts import Hashes, PairTexts, mix64

_RANK_BITS = np.uint64(40)

_KEYS = pa.schema(
    [
        pa.field("key", pa.uint64()),
        pa.field("place", pa.uint64()),
        pa.field("partition", pa.int32()),
        pa.field("is_near", pa.bool_()),
    ]
)
_PLACES = pa.schema([pa.field("place", pa.uint64()), pa.field("is_near", pa.bool_())])
_NEAR_SALT = np.uint64(0xD6E8FEB86659FD93)  # keeps the two kinds of keys apart

Places = npt.NDArray[np.uint64]
"""The rank of a row's part and its number in one number, in the order of reading."""


@dataclasses.dataclass(frozen=True)
class KeyTask:
    """One partition of keys.

    Args:
        job: the run.
        partition: the number of the partition.
        files: the names of the files with keys, one for each partition of pairs.
    """

    job: Job
    partition: int
    files: tuple[str, ...]


def places(rows: pa.Table) -> Places:
    """The places of spilled rows."""
    return places_of(rows["rank"].to_numpy(), rows["number"].to_numpy())


def places_of(rank: npt.NDArray[np.int32], number: npt.NDArray[np.int64]) -> Places:
    """The places of rows with some ranks and numbers."""
    joined: Places = (rank.astype(np.uint64) << _RANK_BITS) + number.astype(np.uint64)
    return joined


def key_rows(job: Job, rows: pa.Table, partition: int, batches: Iterable[PairTexts]) -> pa.Table:
    """The keys of spilled rows that can be equal to those of other partitions.

    Args:
        job: the run.
        rows: the rows.
        partition: their partition.
        batches: their texts.
    """
    place = places(rows)
    tables = [_KEYS.empty_table()]

    def add(keys: Hashes, numbers: npt.NDArray[np.int64], *, is_near: bool) -> None:
        columns = [keys, place[numbers], np.full(len(keys), partition, np.int32)]
        tables.append(pa.table([*columns, np.full(len(keys), is_near)], schema=_KEYS))

    if job.config.duplicates.by == "target":
        add(rows["duplicate_key"].to_numpy(), np.arange(len(rows)), is_near=False)
    if job.config.duplicates.near:
        n_rows = 0
        for texts in batches:
            signed = near_keys(texts, job.config.leaks)
            add(mix64(signed.hashes ^ _NEAR_SALT), signed.rows + n_rows, is_near=True)
            n_rows += len(texts)
    return pa.concat_tables(tables)


def find_repeated_places(task: KeyTask) -> TaskResult:
    """Find the places of pairs that have a key of an earlier pair.

    Returns:
        ``file``: the name of the file with the places.
    """
    job = task.job
    rows = read_partition([job.work / name for name in task.files], task.partition, _KEYS)
    key, place = rows["key"].to_numpy(), rows["place"].to_numpy()
    order = np.lexsort((place, key))
    in_order = key[order]
    is_later = np.zeros(len(key), np.bool_)
    is_later[1:] = in_order[1:] == in_order[:-1]
    # A pair can have one key twice, if it has one word twice.
    is_later[1:] &= place[order][1:] != place[order][:-1]
    repeated = rows.take(pa.array(order[is_later]))
    name = f"repeated-{task.partition:06d}.arrow"
    partitions = repeated["partition"].to_numpy().astype(np.int64)
    write_spill(job.work / name, repeated.select(_PLACES.names), partitions, job.n_partitions)
    return {"file": name}


def repeated_places(files: Sequence[Path], partition: int) -> dict[bool, Places]:
    """The places of the repeated pairs of a partition: those that are near, and the others."""
    rows = read_partition(files, partition, _PLACES)
    place, is_near = rows["place"].to_numpy(), rows["is_near"].to_numpy()
    return {True: place[is_near], False: place[~is_near]}
