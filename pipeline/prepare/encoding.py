"""Trains the subword model, and encodes pairs as subword ids.

Reads: PAIRS.
Writes: ENCODED, in row groups of equal size that training deals to its data shards.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import Subwords
from lingo_model.special_ids import EOS_ID
from lingo_model.word_encoder import WordEncoder
from pipeline.dataset.splits import Split
from pipeline.observability.progress import Bar
from pipeline.prepare.config import SubwordsConfig
from pipeline.prepare.piece_counts import PieceCounts
from pipeline.prepare.ragged import RaggedColumn
from pipeline.prepare.subword_sample import training_sentences
from pipeline.prepare.written_pairs import iter_batches, utf8_texts
from pipeline.schemas import ENCODED

DATA_SHARD_MULTIPLE = 8
"""The number of row groups of a split is a multiple of this, so that 1, 2, 4 or 8 data shards get
equally many."""


_MAX_ROWS_PER_GROUP = 8192


_GROUPS_PER_FILE = 16 * DATA_SHARD_MULTIPLE


def train_subwords(pairs_files: list[Path], config: SubwordsConfig, *, seed: int) -> Subwords:
    """Train one subword model on both sides of some PAIRS files.

    Raises:
        InputError: ``vocab_size`` does not fit the text.
    """
    return Subwords.train(
        training_sentences(pairs_files, max_sentences=config.max_training_sentences, seed=seed),
        **config.model_dump(exclude={"max_training_sentences"}),
    )


def encode_split(
    root: Path,
    split: Split,
    pairs_files: list[Path],
    subwords: Subwords,
    *,
    seed: int,
    bar: Bar,
    counts: PieceCounts | None = None,
) -> list[Path]:
    """Write the ENCODED files of a split.

    Training rows are shuffled, so that each row group is a random sample of the split. The ids of
    the split are held in memory meanwhile, with 2 bytes for each token and some 80 for each pair.

    Args:
        root: the dataset's folder.
        split: the split.
        pairs_files: the PAIRS files of the split.
        subwords: the subword model.
        seed: the seed of the shuffle.
        bar: a progress bar, which advances by rows.
        counts: counts the texts and their pieces.

    Returns:
        the files, in order. A split without pairs has none.
    """
    rows = _EncodedRows(subwords, counts or PieceCounts(subwords.vocab_size))
    for batch in iter_batches(pairs_files, _EncodedRows.COLUMNS):
        rows.append(batch)
        bar.advance(batch.num_rows)
    order = np.arange(len(rows))
    if split == "train":
        order = np.random.default_rng(seed).permutation(len(rows))
    folder = root / "encoded" / f"split={split}"
    folder.mkdir(parents=True)
    files = []
    groups = row_group_bounds(len(rows))
    for number, start in enumerate(range(0, len(groups), _GROUPS_PER_FILE)):
        path = folder / f"part-{number:05d}.parquet"
        with pq.ParquetWriter(path, ENCODED, compression="zstd") as writer:
            for first, stop in groups[start : start + _GROUPS_PER_FILE]:
                writer.write_batch(rows.take(order[first:stop]))
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


class _EncodedRows:
    """The ENCODED rows of a split, in the order of the pairs.

    Args:
        subwords: encodes the pairs.
        counts: counts the texts and their pieces.
    """

    COLUMNS = ("pair_id", "source", "target")

    def __init__(self, subwords: Subwords, counts: PieceCounts) -> None:
        self._subwords = subwords
        self._encoder = WordEncoder(subwords)
        self._counts = counts
        self._pair_ids = RaggedColumn(np.uint8)
        fits_two_bytes = subwords.vocab_size <= np.iinfo(np.uint16).max + 1
        id_type = np.uint16 if fits_two_bytes else np.int32
        self._sides = {name: RaggedColumn(id_type) for name in ("source", "target")}

    def append(self, pairs: pa.RecordBatch) -> None:
        """Encode some PAIRS and add them."""
        pair_ids = utf8_texts(pairs.column("pair_id"))
        self._pair_ids.append(pair_ids.data, np.diff(pair_ids.offsets))
        for name, side in self._sides.items():
            texts = utf8_texts(pairs.column(name))
            encoded = self._encoder.encode(texts, end_id=EOS_ID)
            side.append(encoded.ids, encoded.lengths)
            self._counts.sides[name].add(texts, encoded, self._subwords)

    def __len__(self) -> int:
        return len(self._pair_ids)

    def take(self, rows: npt.NDArray[np.int64]) -> pa.RecordBatch:
        """Some rows in the given order."""
        characters, lengths = self._pair_ids.take(rows)
        pair_ids = pa.StringArray.from_buffers(
            len(rows), pa.py_buffer(_offsets(lengths)), pa.py_buffer(characters)
        )
        sides = [side.take(rows) for side in self._sides.values()]
        ids = [
            pa.ListArray.from_arrays(_offsets(lengths), pa.array(values, pa.int32()))
            for values, lengths in sides
        ]
        n_tokens = [pa.array(lengths, pa.int32()) for _, lengths in sides]
        return pa.RecordBatch.from_arrays([pair_ids, *ids, *n_tokens], schema=ENCODED)


def _offsets(lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Where each of some concatenated rows begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
