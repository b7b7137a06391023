"""Reads back the pairs that ``prepare`` wrote.

Reads: PAIRS.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model.word_encoder import Utf8Texts

_BATCH_ROWS = 4096


def iter_batches(files: Iterable[Path], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of PAIRS files, in order, in batches of bounded size."""
    for path in files:
        file = pq.ParquetFile(path)
        # A reader of all row groups keeps the buffers of those that it has read.
        for group in range(file.num_row_groups):
            yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(columns))


def utf8_texts(column: pa.Array) -> Utf8Texts:
    """The texts of a column without nulls, as the encoder of the subword model takes them."""
    texts = column.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset :][: len(texts) + 1]
    start, stop = (int(ends[0]), int(ends[-1])) if len(ends) else (0, 0)
    used = np.frombuffer(data or b"", np.uint8)[start:stop]
    return Utf8Texts(used, ends - start)
