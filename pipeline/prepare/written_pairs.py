"""Reads back the pairs that ``prepare`` wrote.

Reads: PAIRS.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 4096


def iter_batches(files: Iterable[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of PAIRS files, in order, in batches of bounded size."""
    for path in files:
        file = pq.ParquetFile(path)
        # A reader of all row groups keeps the buffers of those that it has read.
        for group in range(file.num_row_groups):
            yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(columns))
