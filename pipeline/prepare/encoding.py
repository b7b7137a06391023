"""Trains the subword model, and encodes pairs as subword ids.

Reads: PAIRS.
Writes: ENCODED, in row groups of equal size that training deals to its data shards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import Subwords
from lingo_model.special_ids import EOS_ID
from pipeline.dataset.splits import Split
from pipeline.observability.progress import Bar
from pipeline.prepare.config import SubwordsConfig
from pipeline.schemas import ENCODED

DATA_SHARD_MULTIPLE = 8
"""The number of row groups of a split is a multiple of this, so that 1, 2, 4 or 8 data shards get
equally many."""


_MAX_ROWS_PER_GROUP = 8192


_GROUPS_PER_FILE = 16 * DATA_SHARD_MULTIPLE


_BATCH_ROWS = 10_000


def train_subwords(pairs_files: list[Path], config: SubwordsConfig, *, seed: int) -> Subwords:
    """Train one subword model on both sides of some PAIRS files.

    Raises:
        InputError: ``vocab_size`` does not fit the text.
    """
    batches = (
        batch
        for file in pairs_files
        for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=["source", "target"])
    )
    sentences = itertools.chain.from_iterable(
        column.to_pylist() for batch in batches for column in batch.columns
    )
    return Subwords.train(
        sentences,
        vocab_size=config.vocab_size,
        seed=seed,
        normalisation=config.normalisation,
    )


def encode_split(
    root: Path, split: Split, pairs_files: list[Path], subwords: Subwords, *, seed: int, bar: Bar
) -> list[Path]:
    """Write the ENCODED files of a split.

    Training rows are shuffled, so that each row group is a random sample of the split. The ids of
    the split are held in memory meanwhile, with 4 bytes for each token.

    Args:
        root: the dataset's folder.
        split: the split.
        pairs_files: the PAIRS files of the split.
        subwords: the subword model.
        seed: the seed of the shuffle.
        bar: a progress bar, which advances by rows.

    Returns:
        the files, in order. A split without pairs has none.
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
            for first, stop in groups[start : start + _GROUPS_PER_FILE]:
                writer.write_table(table.slice(first, stop - first))
        files.append(path)
    return files


def row_group_bounds(n_rows: int) -> list[tuple[int, int]]:
    """The half-open ranges ``[first, stop)`` of rows of the row groups.

    Their sizes differ by at most one row. Their number is a multiple of ``DATA_SHARD_MULTIPLE``, or
    ``n_rows`` if there are fewer rows than that.
    """
    n_groups = DATA_SHARD_MULTIPLE * math.ceil(n_rows / (DATA_SHARD_MULTIPLE * _MAX_ROWS_PER_GROUP))
    edges = [n_rows * i // n_groups for i in range(n_groups + 1)] if n_groups else []
    return [(first, stop) for first, stop in itertools.pairwise(edges) if stop > first]


def _encoded_batches(
    pairs_files: list[Path], subwords: Subwords, bar: Bar
) -> Iterator[pa.RecordBatch]:
    """Batches of ENCODED rows, in the order of the pairs."""
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
