"""The first pass of ``prepare``: read the rows of a chunk, repair them, check them, and spill them.

Reads: the files of the inputs.
Writes: kept rows by partition, and rejected rows, in the work folder.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lingo_model import InputError
from pipeline.dataset.splits import SPLITS, Split
from pipeline.formats.rows import UNDECODABLE, UNUSED_PROBLEMS
from pipeline.prepare.batches import Chunk, read_batches
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.corpus import effective_clean
from pipeline.prepare.job import Job
from pipeline.prepare.near import duplicate_keys
from pipeline.prepare.raw_rows import RawBatch, store_rows
from pipeline.prepare.report_samples import ChunkSamples
from pipeline.prepare.rules.lengths import word_counts
from pipeline.prepare.rules.registry import check, details
from pipeline.prepare.rules.repairs import repaired
from pipeline.prepare.spill import write_rows, write_spill
from pipeline.prepare.splitting import TRAIN
from pipeline.prepare.tasks import TaskResult
from pipeline.prepare.texts import Mask, PairTexts, TextColumn

_ROWS_PER_SPILL = 1 << 17
_CHARACTERS_PER_SPILL = 1 << 25
_LONG_CHARACTERS = 1 << 16

_Rejections: TypeAlias = dict[int, tuple[str, str | None]]
"""Reason and detail of the rejected rows of a batch, by position."""


@dataclasses.dataclass(frozen=True)
class CleaningTask:
    """One chunk to clean.

    Args:
        job: the run.
        number: the task's number, which names its files.
        chunk: the rows to read.
    """

    job: Job
    number: int
    chunk: Chunk


def read_chunk(task: CleaningTask) -> TaskResult:
    """Read a large file that only one process can read, so that several can clean its rows.

    Returns:
        ``files``: the names of the files with its rows, and their numbers of rows; ``n_read``: the
        number of all rows.

    Raises:
        InputError: the file cannot be read.
    """
    job = task.job
    batches = read_batches(task.chunk, job.extra)
    files = store_rows(batches, job.work, f"read-{task.number:06d}", job.extra)
    return {
        "files": [[file.name, n_rows] for file, n_rows in files],
        "n_read": sum(n_rows for _, n_rows in files),
    }


def clean_chunk(task: CleaningTask) -> TaskResult:
    """Clean the rows of a chunk.

    Returns:
        ``spills`` and ``rejected``: the names of the files with kept and with rejected rows;
        ``rank``: that of the part; ``n_read``; ``n_rejected`` by reason; ``n_repaired`` by repair;
        ``n_problems``: the number of rows that cannot be read; ``samples``: see
        :meth:`pipeline.prepare.report_samples.ChunkSamples.result`.

    Raises:
        InputError: a file cannot be read, or a row of a given validation or test file.
    """
    job, chunk = task.job, task.chunk
    clean = effective_clean(chunk.named.item, job.config)
    output = _Output(task)
    samples = ChunkSamples(chunk.rank, clean.language if clean.language.enabled else None)
    n_read = n_problems = 0
    n_rejected: Counter[str] = Counter()
    n_repaired: Counter[str] = Counter()
    for batch in read_batches(chunk, job.extra):
        n_read += len(batch)
        n_problems += len(batch.problems)
        is_given = chunk.named.item.split in ("valid", "test")
        if is_given:
            _check_readable(batch, chunk)
        texts, repairs = repaired(_texts_of(batch, job), clean, is_given=is_given)
        for name, rows in repairs.items():
            n_repaired[name] += int(np.count_nonzero(rows))
        samples.add(batch, texts, repairs)
        rejections = _unread(batch)
        if not is_given:
            rejections = _rejections(texts, clean, job.rules_folder) | rejections
        n_rejected.update(reason for reason, _ in rejections.values())
        output.add(batch, texts, rejections)
    output.close()
    return {
        "rank": chunk.rank,
        "spills": output.spills,
        "rejected": output.rejected,
        "n_read": n_read,
        "n_rejected": dict(n_rejected),
        "n_repaired": dict(n_repaired),
        "n_problems": n_problems,
        "samples": samples.result(),
    }


def _texts_of(batch: RawBatch, job: Job) -> PairTexts:
    return PairTexts(batch.source, batch.target, job.source_lang, job.target_lang)


def _rejections(texts: PairTexts, config: CleanConfig, folder: Path | None) -> _Rejections:
    verdicts = check(texts, config, folder=folder)
    rows = np.flatnonzero(~verdicts.kept).tolist()
    reasons = [verdicts.reasons[number] for number in verdicts.first[rows]]
    row_details = details(texts, verdicts, rows, config, folder=folder)
    return dict(zip(rows, zip(reasons, row_details, strict=True), strict=True))


def _unread(batch: RawBatch) -> _Rejections:
    """The rows that cannot be read, and the units that are no translations."""
    return {
        position: (problem.reason, problem.detail) for position, problem in batch.problems.items()
    }


def _check_readable(batch: RawBatch, chunk: Chunk) -> None:
    """Refuse a given validation or test file with a row that cannot be read."""
    for position, problem in sorted(batch.problems.items()):
        if problem.reason in UNUSED_PROBLEMS:
            continue  # the unit is no translation, so it is no part of the split
        place = f"{chunk.part.origin}:{batch.numbers[position]}"
        line = f" (line {batch.lines[position]} of the file)" if batch.lines[position] else ""
        detail = "" if problem.detail is None else f" ({problem.detail})"
        mend = "mend the row"
        if problem.reason == UNDECODABLE:
            mend = "convert the file to UTF-8, for example with `iconv -t UTF-8`"
        raise InputError(
            f"{place}{line}: the row is {problem.reason}{detail}, and a given "
            f"{chunk.named.item.split} file is used whole; {mend}, or take the row out of the file"
        )


class _Output:
    """Collects the rows of a task, and writes them when there are many.

    Args:
        task: the task.
    """

    def __init__(self, task: CleaningTask) -> None:
        self._task = task
        self._job = task.job
        self._kept: list[pa.Table] = []
        self._rejected: list[pa.Table] = []
        self._n_rows = self._n_characters = 0
        self.spills: list[str] = []
        self.rejected: list[str] = []

    def add(self, batch: RawBatch, texts: PairTexts, rejections: _Rejections) -> None:
        """Add the rows of a batch.

        Args:
            batch: the rows as they were read.
            texts: the texts after repairs.
            rejections: the rejected rows.
        """
        kept = np.ones(len(batch), np.bool_)
        kept[list(rejections)] = False
        if kept.any():
            self._kept.append(self._kept_rows(batch, texts, kept))
        if not kept.all():
            self._rejected.append(self._rejected_rows(batch, rejections))
        self._n_rows += len(batch)
        self._n_characters += len(batch.source.joined) + len(batch.target.joined)
        if self._n_rows >= _ROWS_PER_SPILL or self._n_characters >= _CHARACTERS_PER_SPILL:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows."""
        self._flush()

    def _flush(self) -> None:
        if self._kept:
            rows = pa.concat_tables(self._kept)
            path = self._path("kept", len(self.spills))
            partitions = self._partitions(rows)
            write_spill(path, rows, partitions, self._job.n_partitions + 1)
            self.spills.append(path.name)
        if self._rejected:
            path = self._path("rejected", len(self.rejected))
            write_rows(path, pa.concat_tables(self._rejected))
            self.rejected.append(path.name)
        self._kept, self._rejected = [], []
        self._n_rows = self._n_characters = 0

    def _path(self, kind: str, number: int) -> Path:
        return self._job.work / f"{kind}-{self._task.number:06d}-{number:04d}.arrow"

    def _partitions(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        hashes = rows["source_hash"].to_numpy()
        partitions: npt.NDArray[np.int64] = (hashes % np.uint64(self._job.n_partitions)).astype(
            np.int64
        )
        held_out = rows["split"].to_numpy() != TRAIN
        partitions[held_out] = self._job.held_out_partition
        return partitions

    def _kept_rows(self, batch: RawBatch, texts: PairTexts, kept: Mask) -> pa.Table:
        duplicates = self._job.config.duplicates
        given = self._task.chunk.named.item.split
        if max(texts.source.n_characters.max(), texts.target.n_characters.max()) > _LONG_CHARACTERS:
            # A hash takes memory for the longest text, which is perhaps rejected.
            texts = texts.take(kept)
            chosen = pa.array(np.ones(len(texts), np.bool_))
        else:
            chosen = pa.array(kept)
        source_hashes = pa.array(texts.source.letter_hashes).filter(chosen)
        splits = self._job.split_rule.splits_of(given, texts.source)
        keys = duplicate_keys(texts, duplicates.by, duplicates.compare)
        columns = {
            "rank": np.full(len(source_hashes), self._task.chunk.rank, np.int32),
            "number": batch.numbers[kept],
            "line": batch.lines[kept],
            "split": pa.array(splits).filter(chosen),
            "source": texts.source.to_arrow().filter(chosen),
            "target": texts.target.to_arrow().filter(chosen),
            "source_hash": source_hashes,
            "duplicate_key": pa.array(keys).filter(chosen),
            "source_characters": pa.array(texts.source.n_characters).filter(chosen),
            "target_characters": pa.array(texts.target.n_characters).filter(chosen),
            "source_words": pa.array(word_counts(texts.source)).filter(chosen),
            "target_words": pa.array(word_counts(texts.target)).filter(chosen),
        }
        if batch.extra is not None:
            extra = batch.extra.filter(pa.array(kept))
            columns |= {name: extra[name] for name in self._job.extra.names}
        else:
            nulls = {field.name: field.type for field in self._job.extra}
            columns |= {name: pa.nulls(len(source_hashes), kind) for name, kind in nulls.items()}
        return pa.table(columns, schema=self._job.kept_schema)

    def _rejected_rows(self, batch: RawBatch, rejections: _Rejections) -> pa.Table:
        rows = np.array(sorted(rejections))
        numbers = pa.array(batch.numbers[rows])
        rank = pa.array(np.full(len(rows), self._task.chunk.rank, np.int32))
        reasons, row_details = zip(*(rejections[row] for row in rows.tolist()), strict=True)
        problems = [batch.problems.get(row) for row in rows.tolist()]
        lines = batch.lines[rows]
        columns = {
            "rank": rank,
            "number": numbers,
            "origin": self._job.origins(rank, numbers),
            "split": self._splits_of_rejected(batch, rows),
            "reason": reasons,
            "source": _with_nulls(batch.source, batch.missing[0], rows),
            "target": _with_nulls(batch.target, batch.missing[1], rows),
            "detail": pa.array(row_details, pa.string()),
            "line": pa.array(lines, mask=lines == 0),
            "text": pa.array([p and p.text for p in problems], pa.string()),
        }
        return pa.table(columns, schema=self._job.rejected_schema)

    def _splits_of_rejected(self, batch: RawBatch, rows: npt.NDArray[np.int64]) -> list[Split]:
        given = self._task.chunk.named.item.split
        codes = self._job.split_rule.splits_of(given, batch.source.take(rows))
        return [SPLITS[code] for code in codes]


def _with_nulls(column: TextColumn, missing: Mask | None, rows: npt.NDArray[np.int64]) -> pa.Array:
    texts = column.to_arrow().take(pa.array(rows)).cast(pa.string())
    if missing is None:
        return texts
    return pc.if_else(pa.array(missing[rows]), None, texts)
