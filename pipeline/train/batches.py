"""Plans which rows are in which training step, and fills the batches.

Reads: the token counts in ``encoded/`` to plan, the token ids to fill batches.

Row groups are dealt to a fixed number of data shards: logical data-parallel ranks, whatever the
number of workers. A *round* takes one row group of each data shard. It sorts their rows by length
and cuts them into the same number of batches in every data shard, each with about the same number
of target tokens. A *step* takes one batch from each data shard. Workers divide the data shards
among them, so the steps are the same for any number of workers, and all workers have equally many.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch

from lingo_model import InputError
from lingo_model.special_ids import PAD_ID, SOS_ID
from pipeline.dataset.dataset import Dataset, dataset_read_errors

Ints = npt.NDArray[np.int64]

# Separates the generators of (seed, epoch, _, data shard) from those of (seed, epoch, round). It is
# larger than any round's number, because NumPy's SeedSequence takes a missing entry for 0.
_ROW_GROUP_ORDER = 1_000_003


@dataclasses.dataclass(frozen=True)
class RowGroup:
    """One row group of an ENCODED file, with its number of rows and target tokens.

    Attributes:
        dataset: the dataset that the file belongs to. It tells the columns of each side.
    """

    dataset: Dataset
    path: Path
    index: int
    n_rows: int
    n_target_tokens: int

    def lengths(self) -> tuple[Ints, Ints]:
        """Source and target tokens of each row, two arrays ``[n_rows]``.

        They are read from the file at each call, so that memory holds the totals of the row groups
        alone, whatever the size of the corpus.
        """
        return _lengths(self.dataset, pq.ParquetFile(self.path), self.index)


@dataclasses.dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        number: counts from 0.
        epoch: counts from 0.
        n_target_tokens: over all data shards, eos included; the divisor of the loss.
        data_shards: for each data shard its row group and the rows of the batch in it.
    """

    number: int
    epoch: int
    n_target_tokens: int
    data_shards: tuple[tuple[RowGroup, Ints], ...]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Padded ids of B pairs.

    Attributes:
        source: ``[B, S]``, each row ends with eos.
        target_in: ``[B, T]``, the decoder's input; each row begins with sos.
        target_out: ``[B, T]``, the expected output; each row ends with eos.
    """

    source: torch.Tensor
    target_in: torch.Tensor
    target_out: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """A copy of the batch on another device."""
        return Batch(*(ids.to(device) for ids in (self.source, self.target_in, self.target_out)))


class BatchPlan:
    """The steps of a training run, planned from the token counts.

    Args:
        dataset: the dataset to train on.
        n_data_shards: number of data shards, see the module.
        target_tokens_per_step: about this many target tokens are in a step.
        seed: of the order of rows and steps.

    Raises:
        InputError: the row groups of the training split cannot be dealt evenly to the data shards,
            or a file is damaged.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        n_data_shards: int,
        target_tokens_per_step: int,
        seed: int,
    ) -> None:
        groups = _row_groups(dataset)
        _require_even_shards(dataset, len(groups), n_data_shards)
        self._data_shards = [groups[shard::n_data_shards] for shard in range(n_data_shards)]
        self._target_tokens_per_step = target_tokens_per_step
        self._seed = seed

    def n_steps(self, n_epochs: int) -> int:
        """Number of steps in the first ``n_epochs`` epochs."""
        return sum(
            self._n_batches(groups) for epoch in range(n_epochs) for groups in self._rounds(epoch)
        )

    def steps(self, *, first: int = 0) -> Iterator[Step]:
        """The steps from number ``first`` on, epoch after epoch, without end."""
        number = 0
        for epoch in itertools.count():
            for round_number, groups in enumerate(self._rounds(epoch)):
                n_batches = self._n_batches(groups)
                if number + n_batches <= first:
                    number += n_batches
                    continue
                rng = np.random.default_rng((self._seed, epoch, round_number))
                lengths = [group.lengths() for group in groups]
                batches = [_equal_batches(*both, n_batches, rng) for both in lengths]
                for position in rng.permutation(n_batches):
                    if number >= first:
                        rows = [of_shard[position] for of_shard in batches]
                        n_target_tokens = sum(
                            int(target[r].sum())
                            for (_, target), r in zip(lengths, rows, strict=True)
                        )
                        data_shards = tuple(zip(groups, rows, strict=True))
                        yield Step(number, epoch, n_target_tokens, data_shards)
                    number += 1

    def _rounds(self, epoch: int) -> Iterator[tuple[RowGroup, ...]]:
        """One row group of each data shard at a time, in a new random order for each epoch."""
        orders = []
        for shard, groups in enumerate(self._data_shards):
            rng = np.random.default_rng((self._seed, epoch, _ROW_GROUP_ORDER, shard))
            orders.append([groups[i] for i in rng.permutation(len(groups))])
        yield from zip(*orders, strict=True)

    def _n_batches(self, groups: tuple[RowGroup, ...]) -> int:
        largest = max(group.n_target_tokens for group in groups)
        n_batches = math.ceil(largest * len(groups) / self._target_tokens_per_step)
        return min(n_batches, *(group.n_rows for group in groups))


def check_data_shards(dataset: Dataset, n_data_shards: int) -> None:
    """Check that a dataset can be trained on with so many data shards.

    Reads the metadata of the Parquet files, and none of their columns.

    Raises:
        InputError: the row groups of the training split cannot be dealt evenly to the data shards,
            or a file is damaged.
    """
    _require_even_shards(dataset, dataset.n_row_groups("train"), n_data_shards)


def _require_even_shards(dataset: Dataset, n_row_groups: int, n_data_shards: int) -> None:
    n_pairs = dataset.manifest.splits["train"].n_pairs
    if n_row_groups < n_data_shards or n_row_groups % n_data_shards:
        raise InputError(
            f"{dataset.path}: the training split has {n_pairs} pairs in {n_row_groups} row groups, "
            f"which cannot be divided among n_data_shards={n_data_shards}; set n_data_shards to 1, "
            "2, 4 or 8, and give at least 8 training pairs"
        )


def _row_groups(dataset: Dataset) -> list[RowGroup]:
    groups = []
    for file in dataset.encoded_files("train"):
        with dataset_read_errors(file):
            parquet = pq.ParquetFile(file)
            for index in range(parquet.num_row_groups):
                _, target = _lengths(dataset, parquet, index)
                groups.append(RowGroup(dataset, file, index, len(target), int(target.sum())))
    return groups


def _lengths(dataset: Dataset, parquet: pq.ParquetFile, index: int) -> tuple[Ints, Ints]:
    names = [dataset.column_in_file(name) for name in ("n_source_tokens", "n_target_tokens")]
    table = parquet.read_row_group(index, columns=names)
    source, target = (table[name].to_numpy().astype(np.int64) for name in names)
    return source, target


def _equal_batches(
    n_source_tokens: Ints, n_target_tokens: Ints, n_batches: int, rng: np.random.Generator
) -> list[Ints]:
    """Sort rows by length and cut them into batches with about the same number of target tokens.

    Args:
        n_source_tokens: of each row, ``[n_rows]``.
        n_target_tokens: of each row, ``[n_rows]``.
        n_batches: at most ``n_rows``.
        rng: decides the order of rows of equal length.

    Returns:
        the rows of each batch; none is empty.
    """
    n_rows = len(n_target_tokens)
    # Source lengths ascend for one target length and descend for the next, so that neighbouring
    # rows have similar lengths on both sides.
    turn = np.where(n_target_tokens % 2, n_source_tokens, -n_source_tokens)
    order = np.lexsort((rng.random(n_rows), turn, n_target_tokens))
    cumulative = np.cumsum(n_target_tokens[order])
    edges = np.searchsorted(cumulative, cumulative[-1] * np.arange(n_batches + 1) / n_batches)
    edges[0], edges[-1] = 0, n_rows
    for i in range(1, n_batches):  # a batch keeps one row at least, however long a sentence is
        edges[i] = min(max(edges[i], edges[i - 1] + 1), n_rows - (n_batches - i))
    return [order[a:b] for a, b in itertools.pairwise(edges)]


class ShardReader:
    """Fills batches. It keeps the token ids of one row group of each data shard in memory."""

    def __init__(self) -> None:
        self._loaded: dict[int, tuple[tuple[Path, int], list[tuple[Ints, Ints]]]] = {}

    def batch(self, step: Step, data_shard: int) -> Batch:
        """A data shard's batch in a step."""
        group, rows = step.data_shards[data_shard]
        key = (group.path, group.index)
        if data_shard not in self._loaded or self._loaded[data_shard][0] != key:
            self._loaded[data_shard] = (key, _read_ids(group))
        (source, source_offsets), (target, target_offsets) = self._loaded[data_shard][1]
        return make_batch(
            [source[source_offsets[r] : source_offsets[r + 1]] for r in rows],
            [target[target_offsets[r] : target_offsets[r + 1]] for r in rows],
        )


def _read_ids(group: RowGroup) -> list[tuple[Ints, Ints]]:
    """For source and target: the concatenated ids ``[n_tokens]``, and their offsets.

    Row ``r`` has the ids from ``offsets[r]`` to ``offsets[r + 1]``; offsets are ``[n_rows + 1]``.
    """
    names = [group.dataset.column_in_file(name) for name in ("source_ids", "target_ids")]
    table = pq.ParquetFile(group.path).read_row_group(group.index, columns=names)
    flat = []
    for column in table.combine_chunks().select(names).columns:
        chunk = column.chunk(0)
        ids = chunk.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        offsets = chunk.offsets.to_numpy().astype(np.int64)
        flat.append((ids, offsets - offsets[0]))
    return flat


def make_batch(sources: list[Ints], targets: list[Ints]) -> Batch:
    """Pad rows of ids into a batch.

    Args:
        sources: ids of each source sentence, eos included.
        targets: ids of each target sentence, eos included.
    """
    target_out = _padded(targets)
    target_in = torch.cat([torch.full((len(targets), 1), SOS_ID), target_out[:, :-1]], dim=1)
    return Batch(_padded(sources), target_in, target_out)


def _padded(rows: list[Ints]) -> torch.Tensor:
    padded = np.full((len(rows), max(map(len, rows))), PAD_ID, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded)
