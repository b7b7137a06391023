"""The sentences on which the subword model is trained.

A large corpus has more sentences than a subword model gains from, and the trainer holds them in
memory. So a sample is taken, by hash of the text: it is the same whatever the order of the pairs.

Reads: PAIRS of the training split.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model.word_encoder import Utf8Texts
from pipeline.prepare.texts import hash_segments, mix64
from pipeline.prepare.written_pairs import iter_batches, utf8_texts

_SIDES = ("source", "target")
# Candidates in memory, as a multiple of the size of the sample.
_MAX_HELD = 1.25


def training_sentences(pairs_files: list[Path], *, max_sentences: int, seed: int) -> Iterator[str]:
    """The sources and targets of some PAIRS files, or a sample of them.

    Args:
        pairs_files: the PAIRS files of the training split.
        max_sentences: if there are more sentences than this, that many are sampled.
        seed: decides which are sampled.
    """
    n_sentences = len(_SIDES) * sum(pq.read_metadata(file).num_rows for file in pairs_files)
    columns = (column for batch in iter_batches(pairs_files, _SIDES) for column in batch.columns)
    if n_sentences <= max_sentences:
        for column in columns:
            yield from column.to_pylist()
    else:
        yield from _sample(columns, max_sentences, seed)


def _sample(columns: Iterator[pa.Array], size: int, seed: int) -> list[str]:
    """The texts with the least hashes. All or none of equal texts are taken, but at the limit."""
    limit = np.uint64(np.iinfo(np.uint64).max)
    hashes = np.zeros(0, np.uint64)
    texts: list[str] = []
    for column in columns:
        utf8 = utf8_texts(column)
        new_hashes = _hashes(utf8, seed)
        rows = np.flatnonzero(new_hashes <= limit)
        hashes = np.concatenate([hashes, new_hashes[rows]])
        texts += utf8.strings(rows)
        if len(hashes) > _MAX_HELD * size:
            hashes, texts = _least(hashes, texts, size)
            limit = hashes[-1]
    return _least(hashes, texts, size)[1]


def _hashes(texts: Utf8Texts, seed: int) -> npt.NDArray[np.uint64]:
    hashes = hash_segments(texts.data.astype(np.uint32), np.diff(texts.offsets))
    return mix64(hashes ^ mix64(np.array([seed], np.uint64)))


def _least(
    hashes: npt.NDArray[np.uint64], texts: list[str], size: int
) -> tuple[npt.NDArray[np.uint64], list[str]]:
    """The texts with the least hashes, in ascending order."""
    order = np.argsort(hashes, kind="stable")[:size]
    return hashes[order], [texts[i] for i in order]
