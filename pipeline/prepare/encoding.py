"""Trains the subword model, and encodes pairs as subword ids.

Reads: PAIRS.
Writes: ENCODED, in row groups of equal size that training deals to its data shards.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lingo_model import Subwords
from lingo_model.special_ids import EOS_ID
from lingo_model.word_encoder import WordEncoder
from pipeline.dataset.splits import Split
from pipeline.prepare.config import SubwordsConfig
from pipeline.prepare.job import Job
from pipeline.prepare.pairs_files import PairsFile
from pipeline.prepare.piece_counts import PieceCounts
from pipeline.prepare.spill import whole_file
from pipeline.prepare.subword_sample import training_sentences
from pipeline.prepare.tasks import TaskResult
from pipeline.prepare.written_pairs import utf8_texts
from pipeline.schemas import ENCODED

DATA_SHARD_MULTIPLE = 8
"""The number of row groups of a split is a multiple of this, so that 1, 2, 4 or 8 data shards get
equally many."""

_MAX_ROWS_PER_GROUP = 8192
_GROUPS_PER_FILE = 2 * DATA_SHARD_MULTIPLE
_COLUMNS = ("pair_id", "source", "target")


@dataclasses.dataclass(frozen=True)
class EncodingTask:
    """One ENCODED file to write.

    Training rows are in another order than the pairs: the files of PAIRS hold random samples of the
    corpus, and the rows of each are shuffled here. So each row group is a random sample, too.

    Args:
        dataset: the dataset's folder.
        split: the split.
        number: the number of the file.
        work: the folder of the files between the passes.
        pairs_files: the PAIRS files that the rows are from, each with its number, and the position
            of its first ENCODED row in the split.
        groups: the half-open ranges ``[first, stop)`` of rows of the file's row groups.
        subwords: the file of the subword model.
        seed: the seed of the shuffle.
    """

    dataset: Path
    work: Path
    split: Split
    number: int
    pairs_files: tuple[tuple[PairsFile, int, int], ...]
    groups: tuple[tuple[int, int], ...]
    subwords: Path
    seed: int

    @property
    def name(self) -> str:
        """The path of the ENCODED file, relative to the dataset."""
        return f"encoded/split={self.split}/part-{self.number:05d}.parquet"


def train_subwords(pairs_files: list[Path], config: SubwordsConfig, *, seed: int) -> Subwords:
    """Train one subword model on both sides of some PAIRS files.

    Raises:
        InputError: ``vocab_size`` does not fit the text.
    """
    return Subwords.train(
        training_sentences(pairs_files, max_sentences=config.max_training_sentences, seed=seed),
        **config.model_dump(exclude={"max_training_sentences"}),
    )


def encoding_tasks(
    job: Job, split: Split, pairs_files: Sequence[PairsFile], subwords: Path
) -> list[EncodingTask]:
    """The tasks that encode a split.

    Args:
        job: the run.
        split: the split.
        pairs_files: its PAIRS files.
        subwords: the file of the subword model.

    Returns:
        a task for each ENCODED file. A split without pairs has none.
    """
    starts = list(itertools.accumulate((file.n_encoded for file in pairs_files), initial=0))
    bounds = row_group_bounds(starts[-1])
    tasks = []
    for number, at in enumerate(range(0, len(bounds), _GROUPS_PER_FILE)):
        groups = tuple(bounds[at : at + _GROUPS_PER_FILE])
        first, stop = groups[0][0], groups[-1][1]
        needed = tuple(
            (file, file_number, start)
            for file_number, (file, start) in enumerate(zip(pairs_files, starts, strict=False))
            if start < stop and start + file.n_encoded > first
        )
        tasks.append(
            EncodingTask(
                job.dataset, job.work, split, number, needed, groups, subwords, job.config.seed
            )
        )
    return tasks


def encode_file(task: EncodingTask) -> TaskResult:
    """Write one ENCODED file.

    Returns:
        ``file``: its path relative to the dataset; ``n_encoded``, ``n_source_tokens``
        and ``n_target_tokens``: its rows and tokens; ``counts``: its :class:`PieceCounts`.
    """
    encoder, subwords = _encoder(task.subwords, task.subwords.stat().st_mtime_ns)
    counts = PieceCounts(subwords.vocab_size)
    path = task.dataset / task.name
    pairs = _pairs_in_training_order(task)
    first_row = task.groups[0][0]
    n_tokens = {"n_source_tokens": 0, "n_target_tokens": 0}
    with (
        whole_file(path, task.work) as temporary,
        pq.ParquetWriter(temporary, ENCODED, compression="zstd") as writer,
    ):
        for first, stop in task.groups:
            group = pairs.slice(first - first_row, stop - first).combine_chunks()
            encoded = _encoded(group, encoder, subwords, counts)
            writer.write_batch(encoded)
            for name in n_tokens:
                n_tokens[name] += pc.sum(encoded.column(name)).as_py()
    return {"file": task.name, "n_encoded": len(pairs), "counts": counts.to_json()} | n_tokens


@functools.lru_cache(maxsize=1)
def _encoder(path: Path, modified_ns: int) -> tuple[WordEncoder, Subwords]:
    """The encoder remembers words, so all tasks of a process share one.

    A later dataset at the same path has another time of modification.
    """
    subwords = Subwords.load(path)
    return WordEncoder(subwords), subwords


def _pairs_in_training_order(task: EncodingTask) -> pa.Table:
    """The pairs of a task, in the order of its row groups."""
    first, stop = task.groups[0][0], task.groups[-1][1]
    tables = []
    for file, file_number, start in task.pairs_files:
        table = pq.ParquetFile((task.dataset / file.name).absolute()).read(columns=list(_COLUMNS))
        rows = np.arange(len(table))
        if file.copies is not None:
            rows = np.repeat(rows, np.load(task.work / file.copies))
        if task.split == "train":
            rows = np.random.default_rng([task.seed, file_number]).permutation(rows)
        tables.append(table.take(pa.array(rows[max(0, first - start) : stop - start])))
    return pa.concat_tables(tables)


def _encoded(
    pairs: pa.Table, encoder: WordEncoder, subwords: Subwords, counts: PieceCounts
) -> pa.RecordBatch:
    """Some pairs as ENCODED rows."""
    ids, n_tokens = [], []
    for name in ("source", "target"):
        texts = utf8_texts(pairs[name].combine_chunks())
        encoded = encoder.encode(texts, end_id=EOS_ID)
        counts.sides[name].add(texts, encoded, subwords)
        ids.append(
            pa.ListArray.from_arrays(_offsets(encoded.lengths), pa.array(encoded.ids, pa.int32()))
        )
        n_tokens.append(pa.array(encoded.lengths, pa.int32()))
    pair_ids = pairs["pair_id"].combine_chunks()
    return pa.RecordBatch.from_arrays([pair_ids, *ids, *n_tokens], schema=ENCODED)


def row_group_bounds(n_rows: int) -> list[tuple[int, int]]:
    """The half-open ranges ``[first, stop)`` of rows of the row groups.

    Their sizes differ by at most one row. Their number is a multiple of ``DATA_SHARD_MULTIPLE``, or
    ``n_rows`` if there are fewer rows than that.
    """
    n_groups = DATA_SHARD_MULTIPLE * math.ceil(n_rows / (DATA_SHARD_MULTIPLE * _MAX_ROWS_PER_GROUP))
    edges = [n_rows * i // n_groups for i in range(n_groups + 1)] if n_groups else []
    return [(first, stop) for first, stop in itertools.pairwise(edges) if stop > first]


def _offsets(lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Where each of some concatenated rows begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
