"""Turns a dataset's pairs into subword ids in Parquet shards, ready to be dealt to workers.

Reads: ``pairs/``. Writes: ``subwords.model``, ``encoded/``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from lingo_model import Subwords
from lingo_model.subwords import EOS_ID
from pipeline.dataset.splits import Split
from pipeline.observability.progress import Bar
from pipeline.schemas import ENCODED
from pipeline.settings import Settings

DATA_SHARD_MULTIPLE = 8
"""A split has a multiple of this many row groups, so that 1, 2, 4 or 8 lanes own equally many."""


_MAX_ROWS_PER_GROUP = 8192
_GROUPS_PER_FILE = 16 * DATA_SHARD_MULTIPLE
_BATCH_ROWS = 10_000


class SubwordsConfig(Settings):
    """Settings of the joint subword model."""

    vocab_size: int = Field(
        default=8000, ge=32, description="pieces at most, special ones included"
    )


def train_subwords(pairs_files: list[Path], config: SubwordsConfig, *, seed: int) -> Subwords:
    """Train one model on both sides of the given PAIRS files."""
    batches = (
        batch
        for file in pairs_files
        for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=["source", "target"])
    )
    sentences = itertools.chain.from_iterable(
        column.to_pylist() for batch in batches for column in batch.columns
    )
    return Subwords.train(sentences, vocab_size=config.vocab_size, seed=seed)


def encode_split(
    root: Path, split: Split, pairs_files: list[Path], subwords: Subwords, *, seed: int, bar: Bar
) -> list[Path]:
    """Write a split's ENCODED files below ``root``.

    Training rows are shuffled by ``seed``, so that a row group is a random sample of the split.
    The ids of one split are held in memory while they are shuffled (4 bytes a token).

    Returns:
        the files, in order.
    """
    batches = list(_encoded_batches(pairs_files, subwords, bar))
    table = pa.Table.from_batches(batches, schema=ENCODED)
    if split == "train":
        table = table.take(np.random.default_rng(seed).permutation(table.num_rows))
    folder = root / "encoded" / f"split={split}"
    folder.mkdir(parents=True)
    files = []
    groups = row_group_bounds(table.num_rows)
    for number, start in enumerate(range(0, len(groups), _GROUPS_PER_FILE)):
        path = folder / f"part-{number:05d}.parquet"
        with pq.ParquetWriter(path, ENCODED, compression="zstd") as writer:
            for first, last in groups[start : start + _GROUPS_PER_FILE]:
                writer.write_table(table.slice(first, last - first))
        files.append(path)
    return files


def row_group_bounds(n_rows: int) -> list[tuple[int, int]]:
    """First and last-but-one row of each row group: sizes differ by one row at most.

    Their number is a multiple of DATA_SHARD_MULTIPLE, or ``n_rows`` where there are fewer rows.
    """
    n_groups = DATA_SHARD_MULTIPLE * math.ceil(n_rows / (DATA_SHARD_MULTIPLE * _MAX_ROWS_PER_GROUP))
    edges = [n_rows * i // n_groups for i in range(n_groups + 1)] if n_groups else []
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _encoded_batches(
    pairs_files: list[Path], subwords: Subwords, bar: Bar
) -> Iterator[pa.RecordBatch]:
    for file in pairs_files:
        columns = ["pair_id", "source", "target"]
        for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=columns):
            sides = [
                [[*ids, EOS_ID] for ids in subwords.encode(batch.column(name).to_pylist())]
                for name in ("source", "target")
            ]
            lengths = [pa.array(map(len, side), pa.int32()) for side in sides]
            ids = [pa.array(side, pa.list_(pa.int32())) for side in sides]
            yield pa.RecordBatch.from_arrays(
                [batch.column("pair_id"), *ids, *lengths], schema=ENCODED
            )
            bar.advance(batch.num_rows)
