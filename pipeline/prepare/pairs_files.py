"""The PAIRS files that ``prepare`` writes, and how often training sees their pairs.

Reads and writes: the number of copies of each pair, in the work folder.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.splits import Split
from pipeline.prepare.job import Job
from pipeline.prepare.repeated_keys import places
from pipeline.prepare.spill import whole_file
from pipeline.prepare.texts import mix64
from pipeline.schemas import PAIRS

_ROWS_PER_GROUP = 1 << 16
_ROWS_PER_FILE = 1 << 20
_UNIQUE_COLUMNS = PAIRS.names  # a dictionary of their values would hold all of them


@dataclasses.dataclass(frozen=True)
class PairsFile:
    """A PAIRS file.

    Args:
        name: its path relative to the dataset.
        n_pairs: the number of its pairs.
        n_encoded: the number of ENCODED rows that its pairs give.
        copies: the name of the file in the work folder with the number of ENCODED rows of each
            pair. None if each pair gives one.
    """

    name: str
    n_pairs: int
    n_encoded: int
    copies: str | None = None


PairsFiles = dict[Split, list[PairsFile]]
"""The PAIRS files of each split."""


def write_training_pairs(job: Job, partition: int, rows: pa.Table) -> list[PairsFile]:
    """Write the pairs of a partition. A partition without pairs has no file."""
    if not len(rows):
        return []
    name = _write_file(job, "train", partition, rows)
    weights = np.array([named.item.weight for named, _ in job.parts])
    if np.all(weights == 1.0):
        return [PairsFile(name, len(rows), len(rows))]
    copies = _copies(rows, weights)
    file_name = f"copies-{partition:06d}.npy"
    with whole_file(job.work / file_name, job.work) as temporary, temporary.open("wb") as file:
        np.save(file, copies)
    return [PairsFile(name, len(rows), int(copies.sum()), file_name)]


def write_held_out_pairs(job: Job, split: Split, rows: pa.Table) -> list[PairsFile]:
    """Write the pairs of a held-out split: one file, or several if there are many."""
    files = []
    for number, start in enumerate(range(0, max(1, len(rows)), _ROWS_PER_FILE)):
        part = rows.slice(start, _ROWS_PER_FILE)
        files.append(PairsFile(_write_file(job, split, number, part), len(part), len(part)))
    return files


def _copies(rows: pa.Table, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many ENCODED rows each pair gives: the whole part of its weight, and for the rest one
    more with that probability, decided by a hash."""
    of_rows = weights[rows["rank"].to_numpy()]
    points = mix64(mix64(places(rows))).astype(np.float64) / 2.0**64
    whole = np.floor(of_rows)
    copies: npt.NDArray[np.int64] = (whole + (points < of_rows - whole)).astype(np.int64)
    return copies


def _write_file(job: Job, split: Split, number: int, rows: pa.Table) -> str:
    """Write a PAIRS file. Returns its path relative to the dataset."""
    name = f"pairs/split={split}/part-{number:05d}.parquet"
    path = job.dataset / name
    pairs = job.pairs_of(rows)
    with whole_file(path, job.work) as temporary:
        pq.write_table(
            pairs,
            temporary,
            compression="zstd",
            row_group_size=_ROWS_PER_GROUP,
            use_dictionary=[name for name in pairs.schema.names if name not in _UNIQUE_COLUMNS],
        )
    return name
