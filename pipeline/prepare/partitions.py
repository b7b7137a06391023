"""The second pass of ``prepare``: find duplicates and leaks, and write the pairs that stay.

Reads: the kept rows of all chunks, by partition, in the work folder.
Writes: PAIRS, and rejected rows in the work folder.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.job import Job
from pipeline.prepare.spill import read_partition, write_rows
from pipeline.prepare.splitting import DUPLICATE, LEAK, TEST, TRAIN, VALID, first_occurrences
from pipeline.prepare.tasks import TaskResult
from pipeline.prepare.texts import Hashes, Mask
from pipeline.schemas import PAIRS
from pipeline.storage.backend import naming_file

_HELD_OUT_HASHES = "held-out-sources.npy"
_ROWS_PER_GROUP = 1 << 16
_ROWS_PER_FILE = 1 << 20
_UNIQUE_COLUMNS = PAIRS.names  # a dictionary of their values would hold all of them

PairsFiles = dict[Split, list[tuple[str, int]]]
"""The PAIRS files of each split, relative to the dataset, with their numbers of rows."""


@dataclasses.dataclass(frozen=True)
class PartitionTask:
    """One partition of training pairs, or that of all held-out pairs.

    Args:
        job: the run.
        spills: the names of the files with kept rows, in the order of reading.
        partition: the number of the partition.
    """

    job: Job
    spills: tuple[str, ...]
    partition: int

    def rows(self) -> pa.Table:
        """The rows of the partition, in the order of reading."""
        files = [self.job.work / name for name in self.spills]
        return read_partition(files, self.partition, self.job.kept_schema)


def write_held_out(task: PartitionTask) -> TaskResult:
    """Write the validation and test pairs, and the hashes that training pairs must not have.

    Returns:
        see :func:`_result`.
    """
    job, rows = task.job, task.rows()
    splits = rows["split"].to_numpy()
    source_hashes = rows["source_hash"].to_numpy()
    leaks = job.split_rule.leaking_held_out(splits, source_hashes)
    repeated = job.split_rule.repeated_held_out(
        np.where(leaks, TRAIN, splits), rows["pair_hash"].to_numpy()
    )
    kept = ~(leaks | repeated)
    files: PairsFiles = {}
    for split in (VALID, TEST):
        chosen = rows.filter(pa.array(kept & (splits == split)))
        files[SPLITS[split]] = _write_pairs(job, split, chosen)
    hashes = np.unique(source_hashes[kept])
    np.save(job.work / _HELD_OUT_HASHES, hashes[hashes != 0])
    return _result(task, rows, leaks, repeated, files)


def write_partition(task: PartitionTask) -> TaskResult:
    """Write the training pairs of a partition.

    :func:`write_held_out` must have ended.

    Returns:
        see :func:`_result`.
    """
    job, rows = task.job, task.rows()
    held_out: Hashes = np.load(job.work / _HELD_OUT_HASHES, mmap_mode="r")
    leaks = _are_among(rows["source_hash"].to_numpy(), held_out)
    repeated = ~first_occurrences(rows["pair_hash"].to_numpy()) & ~leaks
    chosen = rows.filter(pa.array(~(leaks | repeated)))
    files: PairsFiles = {}
    if len(chosen):
        path = job.pairs_folder("train") / f"part-{task.partition:05d}.parquet"
        files["train"] = [(_write_file(path, job.pairs_of(chosen)), len(chosen))]
    return _result(task, rows, leaks, repeated, files)


def _are_among(hashes: Hashes, sorted_hashes: Hashes) -> Mask:
    if not len(sorted_hashes):
        return np.zeros(len(hashes), np.bool_)
    places = np.minimum(np.searchsorted(sorted_hashes, hashes), len(sorted_hashes) - 1)
    return np.equal(sorted_hashes[places], hashes)


def _result(
    task: PartitionTask,
    rows: pa.Table,
    leaks: Mask,
    repeated: Mask,
    files: PairsFiles,
) -> TaskResult:
    """What a task found.

    Returns:
        ``n_kept``: a list of rank and number of rows; ``n_rejected``: a list of rank, reason and
        number of rows; ``rejected``: the file with these rows, or None; ``files``: for each split,
        the PAIRS files with their numbers of rows.
    """
    out = leaks | repeated
    name = None
    if out.any():
        name = f"rejected-partition-{task.partition:06d}.arrow"
        reasons = np.where(leaks[out], LEAK, DUPLICATE).tolist()
        rejected = task.job.rejected_of(rows.filter(pa.array(out)), reasons, [None] * len(reasons))
        write_rows(task.job.work / name, rejected)
    n_rejected: Counter[tuple[int, str]] = Counter()
    for reason, mask in ((LEAK, leaks), (DUPLICATE, repeated)):
        ranks, counts = np.unique(rows["rank"].to_numpy()[mask], return_counts=True)
        n_rejected.update(
            {(int(rank), reason): int(n) for rank, n in zip(ranks, counts, strict=True)}
        )
    ranks, counts = np.unique(rows["rank"].to_numpy()[~out], return_counts=True)
    return {
        "n_kept": [[int(rank), int(n)] for rank, n in zip(ranks, counts, strict=True)],
        "n_rejected": [[rank, reason, n] for (rank, reason), n in sorted(n_rejected.items())],
        "rejected": name,
        "files": files,
    }


def _write_pairs(job: Job, split: int, rows: pa.Table) -> list[tuple[str, int]]:
    """Write the pairs of a held-out split: one file, or several if there are many."""
    folder = job.pairs_folder(SPLITS[split])
    files = []
    for number, start in enumerate(range(0, max(1, len(rows)), _ROWS_PER_FILE)):
        part = rows.slice(start, _ROWS_PER_FILE)
        path = folder / f"part-{number:05d}.parquet"
        files.append((_write_file(path, job.pairs_of(part)), len(part)))
    return files


def _write_file(path: Path, pairs: pa.Table) -> str:
    """Write a PAIRS file. Returns its path relative to the dataset."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming_file(path):
        # pyarrow takes a relative path such as `ds:1/a.parquet` for a URI.
        pq.write_table(
            pairs,
            path.absolute(),
            compression="zstd",
            row_group_size=_ROWS_PER_GROUP,
            use_dictionary=[name for name in pairs.schema.names if name not in _UNIQUE_COLUMNS],
        )
    return str(path.relative_to(path.parents[2]))
