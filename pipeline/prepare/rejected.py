"""Writes the rejected rows of all tasks as REJECTED.

Reads: rejected rows in the work folder.
Writes: REJECTED.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.prepare.job import PLACE, Job
from pipeline.prepare.report_samples import RejectedSamples
from pipeline.prepare.spill import read_rows
from pipeline.schemas import REJECTED
from pipeline.storage.backend import naming_file

_MAX_SORTED_ROWS = 1 << 20
_ROWS_PER_FILE = 1 << 20


def write_rejected(job: Job, names: Sequence[str]) -> RejectedSamples:
    """Write the rejected rows to numbered files, at least one.

    Up to a million rows are sorted in the order of reading. More are written as they come: those of
    the first pass, then those of each partition.

    Args:
        job: the run.
        names: the files with rejected rows.

    Returns:
        examples of them.
    """
    samples = RejectedSamples(job.inputs_of_ranks())
    folder = job.dataset / "rejected"
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(_files(_offered(_tables(job, names), samples))):
        path = folder / f"part-{number:05d}.parquet"
        with naming_file(path):
            pq.write_table(rows, path.absolute(), compression="zstd")
    return samples


def _offered(tables: Iterator[pa.Table], samples: RejectedSamples) -> Iterator[pa.Table]:
    """The same tables, after their rows are offered to the samples."""
    for rows in tables:
        samples.add(rows)
        yield rows


def _tables(job: Job, names: Sequence[str]) -> Iterator[pa.Table]:
    """The rejected rows, sorted if there are not too many."""
    held: list[pa.Table] = [job.rejected_schema.empty_table()]
    n_held = 0
    for name in names:
        rows = read_rows(job.work / name)
        held.append(rows)
        n_held += len(rows)
        if n_held > _MAX_SORTED_ROWS:
            yield from held
            held = []
    if n_held <= _MAX_SORTED_ROWS:
        yield pa.concat_tables(held).sort_by([(name, "ascending") for name in PLACE.names])


def _files(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of each file."""
    held: list[pa.Table] = []
    n_held = n_files = 0
    for rows in tables:
        held.append(rows.select(REJECTED.names))
        n_held += len(rows)
        while n_held >= _ROWS_PER_FILE:
            together = pa.concat_tables(held)
            yield together.slice(0, _ROWS_PER_FILE)
            n_files += 1
            held = [together.slice(_ROWS_PER_FILE)]
            n_held -= _ROWS_PER_FILE
    if n_held or not n_files:
        yield pa.concat_tables(held).cast(REJECTED)
