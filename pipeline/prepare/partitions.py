"""The second pass of ``prepare``: find duplicates and leaks, and write the pairs that stay.

Reads: the kept rows of all chunks, by partition, in the work folder.
Writes: PAIRS, and rejected rows in the work folder.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataset.manifest import LeakingPair
from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.job import Job
from pipeline.prepare.leaks_config import N_ROWS_SHOWN
from pipeline.prepare.near_index import LEAK_KINDS, HeldOutIndex, Leaks
from pipeline.prepare.pairs_files import (
    PairsFiles,
    write_held_out_pairs,
    write_training_pairs,
)
from pipeline.prepare.raw_rows import BATCH_ROWS
from pipeline.prepare.repeated_keys import key_rows, places, repeated_places
from pipeline.prepare.report_samples import length_counts
from pipeline.prepare.spill import (
    LENGTH_COLUMNS,
    read_partition,
    read_rows,
    write_rows,
    write_spill,
)
from pipeline.prepare.splitting import DUPLICATE, LEAK, TEST, TRAIN, VALID, first_occurrences
from pipeline.prepare.tasks import TaskResult
from pipeline.prepare.texts import Mask, PairTexts, TextColumn

NEAR_DUPLICATE = "near_duplicate"
"""The reason of a pair that has the words of an earlier pair, up to one word."""

_HELD_OUT_INDEX = "held-out-index"


@dataclasses.dataclass(frozen=True)
class PartitionTask:
    """One partition of training pairs, or that of all held-out pairs.

    Args:
        job: the run.
        partition: the number of the partition.
        spills: the names of the files with its rows, in the order of reading.
    """

    job: Job
    partition: int
    spills: tuple[str, ...]

    def rows(self) -> pa.Table:
        """The kept rows of the partition, in the order of reading."""
        files = [self.job.work / name for name in self.spills]
        # In one piece, because Arrow takes rows out of many pieces slowly.
        return read_partition(files, self.partition, self.job.kept_schema).combine_chunks()


class _Rejections:
    """Collects the rejected rows of a task.

    Args:
        job: the run.
        rows: the rows, spilled by the first pass.
    """

    def __init__(self, job: Job, rows: pa.Table) -> None:
        self._job = job
        self._rows = rows
        self.kept = np.ones(len(rows), np.bool_)
        self._reasons: dict[int, tuple[str, str | None]] = {}
        self.n_leaks: Counter[str] = Counter()
        self.leaks: list[LeakingPair] = []

    def add(self, rows: Mask, reason: str) -> None:
        """Reject the rows for which a mask is true. Rows that are rejected keep their reason."""
        for row in np.flatnonzero(rows & self.kept).tolist():
            self._reasons[row] = (reason, None)
        self.kept &= ~rows

    def add_leaks(self, rows: npt.NDArray[np.int64], index: HeldOutIndex) -> None:
        """Reject the rows that are close to a held-out pair.

        Args:
            rows: the numbers of the rows to look at.
            index: the held-out pairs.
        """
        texts = self._rows.select(["source", "target", "source_hash"])
        for start in range(0, len(rows), BATCH_ROWS):
            numbers = rows[start : start + BATCH_ROWS]
            first, last = int(numbers[0]), int(numbers[-1])
            some = texts.slice(first, last - first + 1)
            if len(some) > len(numbers):
                some = some.take(pa.array(numbers - first))
            hashes = some["source_hash"].to_numpy()
            leaks = index.leaks(_texts(self._job, some), source_hashes=hashes)
            for position in leaks.rows.tolist():
                self._add_leak(int(numbers[position]), leaks, position, index)

    def _add_leak(self, row: int, leaks: Leaks, position: int, index: HeldOutIndex) -> None:
        number = int(leaks.of[position])
        kind = LEAK_KINDS[leaks.kind[position]]
        similarity = float(leaks.similarity[position])
        self.kept[row] = False
        self._reasons[row] = (LEAK, f"{kind} of {index.name(number)}, {similarity:.2f}")
        self.n_leaks[kind] += 1
        if len(self.leaks) < N_ROWS_SHOWN:
            place = self._rows.slice(row, 1)
            self.leaks.append(
                LeakingPair(
                    kind=kind,
                    split=SPLITS[place["split"][0].as_py()],
                    origin=self._job.origins_of(place)[0].as_py(),
                    against=index.split(number),
                    of=index.name(number),
                    similarity=round(similarity, 4),
                )
            )

    def rejected(self) -> pa.Table:
        """The rejected rows."""
        numbers = sorted(self._reasons)
        reasons = [self._reasons[number] for number in numbers]
        rows = self._rows.take(pa.array(numbers, pa.int64()))
        return self._job.rejected_of(
            rows, [reason for reason, _ in reasons], [detail for _, detail in reasons]
        )


def write_held_out(task: PartitionTask) -> TaskResult:
    """Write the validation and test pairs, and the index of what training pairs must not have.

    Returns:
        see :func:`_result`.
    """
    job, rows = task.job, task.rows()
    splits = rows["split"].to_numpy()
    rule = job.split_rule
    rejections = _Rejections(job, rows)
    loser, keeper = rule.held_out_order
    # First equal sources, in given files too. A given file keeps pairs that are only near.
    leaks = rule.leaking_held_out(splits, rows["source_hash"].to_numpy())
    index = _index(job, rows.filter(pa.array(splits == keeper)))
    is_sampled = SPLITS[loser] not in rule.given
    rejections.add_leaks(np.flatnonzero(splits == loser if is_sampled else leaks), index)
    repeated = rule.repeated_held_out(
        np.where(rejections.kept, splits, TRAIN), rows["duplicate_key"].to_numpy()
    )
    rejections.add(repeated, DUPLICATE)
    files: PairsFiles = {}
    kept = []
    for split in (TEST, VALID):  # in this order, so that a leak is named after the test split
        chosen = rows.filter(pa.array(rejections.kept & (splits == split)))
        kept.append(chosen)
        files[SPLITS[split]] = write_held_out_pairs(job, SPLITS[split], chosen)
    shutil.rmtree(job.work / _HELD_OUT_INDEX, ignore_errors=True)  # of a run that was killed
    _index(job, pa.concat_tables(kept)).save(job.work / _HELD_OUT_INDEX)
    return _result(task, "held-out", rows, rejections, files)


def find_repeats(task: PartitionTask) -> TaskResult:
    """Find the duplicates and leaks of a partition of training pairs.

    :func:`write_held_out` must have ended. If duplicates can be in different partitions, the rows
    that stay and their keys are written for :func:`write_unrepeated`. Else their pairs are.

    Returns:
        see :func:`_result`; and ``survivors`` and ``keys``, the names of these files.
    """
    job, rows = task.job, task.rows()
    rejections = _Rejections(job, rows)
    rejections.add_leaks(np.arange(len(rows)), HeldOutIndex.load(job.work / _HELD_OUT_INDEX))
    if job.config.duplicates.by != "target":
        kept = np.flatnonzero(rejections.kept)
        repeated = np.zeros(len(rows), np.bool_)
        repeated[kept] = ~first_occurrences(rows["duplicate_key"].to_numpy()[kept])
        rejections.add(repeated, DUPLICATE)
    chosen = rows.filter(pa.array(rejections.kept))
    if not job.has_distant_duplicates:
        files: PairsFiles = {"train": write_training_pairs(job, task.partition, chosen)}
        return _result(task, "repeats", rows, rejections, files)
    names = {kind: f"{kind}-{task.partition:06d}.arrow" for kind in ("survivors", "keys")}
    write_rows(job.work / names["survivors"], chosen)
    keys = key_rows(job, chosen, task.partition, _batches_of_texts(job, chosen))
    partitions = (keys["key"].to_numpy() % np.uint64(job.n_partitions)).astype(np.int64)
    write_spill(job.work / names["keys"], keys, partitions, job.n_partitions)
    return _result(task, "repeats", rows, rejections, {}) | names


@dataclasses.dataclass(frozen=True)
class UnrepeatedTask:
    """One partition of training pairs of which repetitions in other partitions are known.

    Args:
        job: the run.
        partition: the number of the partition.
        survivors: the name of the file of :func:`find_repeats` with the rows.
        repeats: the names of the files with the places of repeated pairs.
    """

    job: Job
    partition: int
    survivors: str
    repeats: tuple[str, ...]


def write_unrepeated(task: UnrepeatedTask) -> TaskResult:
    """Write the pairs of a partition that repeat no pair of another partition either.

    Returns:
        see :func:`_result`.
    """
    job = task.job
    rows = read_rows(job.work / task.survivors)
    repeats = repeated_places([job.work / name for name in task.repeats], task.partition)
    rejections = _Rejections(job, rows)
    for is_near, reason in ((True, NEAR_DUPLICATE), (False, DUPLICATE)):
        rejections.add(np.isin(places(rows), repeats[is_near]), reason)
    chosen = rows.filter(pa.array(rejections.kept))
    files: PairsFiles = {"train": write_training_pairs(job, task.partition, chosen)}
    return _result(task, "unrepeated", rows, rejections, files)


def _index(job: Job, rows: pa.Table) -> HeldOutIndex:
    """An index of held-out rows."""

    def batches() -> Iterator[tuple[Split, Sequence[str], PairTexts]]:
        for split in (TEST, VALID):
            chosen = rows.filter(pa.array(rows["split"].to_numpy() == split))
            for start in range(0, len(chosen), BATCH_ROWS):
                some = chosen.slice(start, BATCH_ROWS)
                yield SPLITS[split], job.origins_of(some).to_pylist(), _texts(job, some)

    return HeldOutIndex.build(batches(), job.config.leaks)


def _batches_of_texts(job: Job, rows: pa.Table) -> Iterator[PairTexts]:
    for start in range(0, len(rows), BATCH_ROWS):
        yield _texts(job, rows.slice(start, BATCH_ROWS))


def _texts(job: Job, rows: pa.Table) -> PairTexts:
    source, target = (TextColumn.from_arrow(rows[name]) for name in ("source", "target"))
    return PairTexts(source, target, job.source_lang, job.target_lang)


def _result(
    task: PartitionTask | UnrepeatedTask,
    step: str,
    rows: pa.Table,
    rejections: _Rejections,
    files: PairsFiles,
) -> TaskResult:
    """What a task found. Writes the rejected rows.

    Returns:
        ``n_kept``: a list of rank and number of rows; ``n_rejected``: a list of rank, reason and
        number of rows; ``n_leaks``: the leaks by kind; ``leaks``: the first of them; ``rejected``:
        the file with the rejected rows, or None; ``files``: for each split, the PAIRS files with
        their numbers of rows; ``lengths``: the lengths of the kept rows, or None if they are not
        written yet.
    """
    rejected = rejections.rejected()
    name = None
    if len(rejected):
        name = f"rejected-{step}-{task.partition:06d}.arrow"
        write_rows(task.job.work / name, rejected)
    pairs = zip(rejected["rank"].to_pylist(), rejected["reason"].to_pylist(), strict=True)
    n_rejected = sorted(Counter(pairs).items())
    return {
        "n_kept": _counted(rows["rank"].to_numpy()[rejections.kept]) if files else [],
        "lengths": _lengths(task.job, rows, rejections) if files else None,
        "n_rejected": [[rank, reason, n] for (rank, reason), n in n_rejected],
        "n_leaks": dict(rejections.n_leaks),
        "leaks": [leak.model_dump() for leak in rejections.leaks],
        "rejected": name,
        "files": {
            split: [dataclasses.asdict(file) for file in of_split]
            for split, of_split in files.items()
        },
    }


def _lengths(job: Job, rows: pa.Table, rejections: _Rejections) -> TaskResult:
    lengths = rows.select(["rank", *LENGTH_COLUMNS.names])
    return length_counts(lengths.filter(pa.array(rejections.kept)), job.inputs_of_ranks())


def _counted(ranks: npt.NDArray[np.int32]) -> list[list[int]]:
    values, counts = np.unique(ranks, return_counts=True)
    return [[int(value), int(n)] for value, n in zip(values, counts, strict=True)]
