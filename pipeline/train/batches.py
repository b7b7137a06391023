"""Which rows go into which training step: lanes, buckets of equal length, equal token counts.

Reads: the token counts in ``encoded/`` to plan, the ids to fill batches. Writes: nothing.

Row groups are dealt to a fixed number of lanes. A *round* takes one row group of every lane; its
rows are sorted by length and cut into as many batches in each lane, of about equally many target
tokens. A *step* takes the batch of the same rank from each lane. Workers share the lanes out, so
the steps are the same for any number of workers, and no worker has more steps than another.
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
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.tables import UNREADABLE, unreadable

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RowGroup:
    """One row group of an ENCODED file, and how much is in it."""

    path: Path
    index: int
    n_rows: int
    n_target_tokens: int

    def lengths(self) -> tuple[Ints, Ints]:
        """Source and target tokens of each row ``[n_rows]``; read anew, so that a corpus of any
        size leaves nothing in memory but its row groups' totals."""
        return _lengths(pq.ParquetFile(self.path), self.index)


@dataclasses.dataclass(frozen=True)
class Step:
    """One optimiser step: for each lane the row group and the rows of it.

    ``n_target_tokens`` is summed over all lanes, eos included: the divisor of the loss.
    """

    number: int
    epoch: int
    n_target_tokens: int
    lanes: tuple[tuple[RowGroup, Ints], ...]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Padded ids of B pairs: ``source`` [B, S], ``target_in`` (from sos) and ``target_out`` (to
    eos), each [B, T]."""

    source: torch.Tensor
    target_in: torch.Tensor
    target_out: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(*(ids.to(device) for ids in (self.source, self.target_in, self.target_out)))


class BatchPlan:
    """The steps of a training run, planned from the token counts alone.

    Raises:
        InputError: fewer training pairs than the lanes need, or a number of lanes that the
            dataset's row groups cannot be dealt to.
    """

    def __init__(
        self,
        dataset: Path,
        manifest: DatasetManifest,
        *,
        n_data_shards: int,
        target_tokens_per_step: int,
        seed: int,
    ) -> None:
        groups = _row_groups(dataset, manifest)
        if len(groups) < n_data_shards or len(groups) % n_data_shards:
            raise InputError(
                f"{dataset}: its training split has {manifest.splits['train'].n_pairs} pairs in "
                f"{len(groups)} row groups, which cannot be dealt to n_data_shards={n_data_shards}; "
                "use 1, 2, 4 or 8 lanes and at least 8 pairs"
            )
        self._lanes = [groups[lane::n_data_shards] for lane in range(n_data_shards)]
        self._target_tokens_per_step = target_tokens_per_step
        self._seed = seed

    def n_steps(self, n_epochs: int) -> int:
        """Number of steps of the first ``n_epochs`` epochs."""
        return sum(
            self._n_batches(groups) for epoch in range(n_epochs) for groups in self._rounds(epoch)
        )

    def steps(self, *, first: int = 0) -> Iterator[Step]:
        """Every step from number ``first`` on, epoch after epoch, without end."""
        number = 0
        for epoch in itertools.count():
            for round_number, groups in enumerate(self._rounds(epoch)):
                n_batches = self._n_batches(groups)
                if number + n_batches <= first:
                    number += n_batches
                    continue
                rng = np.random.default_rng((self._seed, epoch, round_number))
                lengths = [group.lengths() for group in groups]
                cut = [_equal_batches(*both, n_batches, rng) for both in lengths]
                for position in rng.permutation(n_batches):
                    if number >= first:
                        rows = [batches[position] for batches in cut]
                        n_target_tokens = sum(
                            int(target[r].sum())
                            for (_, target), r in zip(lengths, rows, strict=True)
                        )
                        lanes = tuple(zip(groups, rows, strict=True))
                        yield Step(number, epoch, n_target_tokens, lanes)
                    number += 1

    def _rounds(self, epoch: int) -> Iterator[tuple[RowGroup, ...]]:
        """One row group of each lane at a time; each lane's own groups in an order of the epoch."""
        orders = []
        for lane, groups in enumerate(self._lanes):
            rng = np.random.default_rng((self._seed, epoch, 1_000_003, lane))
            orders.append([groups[i] for i in rng.permutation(len(groups))])
        yield from zip(*orders, strict=True)

    def _n_batches(self, groups: tuple[RowGroup, ...]) -> int:
        largest = max(group.n_target_tokens for group in groups)
        wanted = math.ceil(largest * len(groups) / self._target_tokens_per_step)
        return min(wanted, *(group.n_rows for group in groups))


def _row_groups(dataset: Path, manifest: DatasetManifest) -> list[RowGroup]:
    groups = []
    for name in manifest.splits["train"].encoded_files:
        try:
            parquet = pq.ParquetFile(dataset / name)
            for index in range(parquet.num_row_groups):
                _, target = _lengths(parquet, index)
                groups.append(RowGroup(dataset / name, index, len(target), int(target.sum())))
        except UNREADABLE as error:
            raise unreadable(dataset / name, error) from error
    return groups


def _lengths(parquet: pq.ParquetFile, index: int) -> tuple[Ints, Ints]:
    table = parquet.read_row_group(index, columns=["n_source_tokens", "n_target_tokens"])
    source, target = (column.to_numpy().astype(np.int64) for column in table.columns)
    return source, target


def _equal_batches(
    n_source_tokens: Ints, n_target_tokens: Ints, n_batches: int, rng: np.random.Generator
) -> list[Ints]:
    """Rows sorted by length and cut into ``n_batches`` of about equally many target tokens."""
    n_rows = len(n_target_tokens)
    # By source length upwards, then downwards, and so on: neighbours are alike on both sides.
    turn = np.where(n_target_tokens % 2, n_source_tokens, -n_source_tokens)
    order = np.lexsort((rng.random(n_rows), turn, n_target_tokens))
    cumulative = np.cumsum(n_target_tokens[order])
    edges = np.searchsorted(cumulative, cumulative[-1] * np.arange(n_batches + 1) / n_batches)
    edges[0], edges[-1] = 0, n_rows
    for i in range(1, n_batches):  # no batch may be empty, however long one sentence is
        edges[i] = min(max(edges[i], edges[i - 1] + 1), n_rows - (n_batches - i))
    return [order[a:b] for a, b in itertools.pairwise(edges)]


class ShardReader:
    """Fills batches from row groups, keeping the ids of one row group of each lane in memory."""

    def __init__(self) -> None:
        self._loaded: dict[int, tuple[tuple[Path, int], list[tuple[Ints, Ints]]]] = {}

    def batch(self, step: Step, lane: int) -> Batch:
        """The lane's batch of a step."""
        group, rows = step.lanes[lane]
        key = (group.path, group.index)
        if lane not in self._loaded or self._loaded[lane][0] != key:
            self._loaded[lane] = (key, _read_ids(group))
        (source, source_ends), (target, target_ends) = self._loaded[lane][1]
        return make_batch(
            [source[source_ends[r] : source_ends[r + 1]] for r in rows],
            [target[target_ends[r] : target_ends[r + 1]] for r in rows],
        )


def _read_ids(group: RowGroup) -> list[tuple[Ints, Ints]]:
    """For source and target: all ids end to end, and where each row begins, ``[n_rows + 1]``."""
    table = pq.ParquetFile(group.path).read_row_group(
        group.index, columns=["source_ids", "target_ids"]
    )
    flat = []
    for column in table.combine_chunks().columns:
        chunk = column.chunk(0)
        ids = chunk.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        ends = chunk.offsets.to_numpy().astype(np.int64)
        flat.append((ids, ends - ends[0]))
    return flat


def make_batch(sources: list[Ints], targets: list[Ints]) -> Batch:
    """Pad rows of ids (each with its eos) into a batch."""
    target_out = _padded(targets)
    target_in = torch.cat([torch.full((len(targets), 1), SOS_ID), target_out[:, :-1]], dim=1)
    return Batch(_padded(sources), target_in, target_out)


def _padded(rows: list[Ints]) -> torch.Tensor:
    padded = np.full((len(rows), max(map(len, rows))), PAD_ID, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded)
