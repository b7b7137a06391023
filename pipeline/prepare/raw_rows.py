"""Rows of an input as they were read, in batches, and files of such rows."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.prepare.spill import new_spill
from pipeline.prepare.texts import Mask, TextColumn

BATCH_ROWS = 2048
"""Rows that are looked at together. The arrays of so many stay in the processor's cache."""

CHUNK_ROWS = 64 * BATCH_ROWS
"""Rows that one task takes."""

_MAX_STORED_CHARACTERS = 1 << 26
_STORED_COLUMNS = pa.schema(
    [
        *(pa.field(name, pa.int64()) for name in ("number", "line")),
        *(pa.field(name, pa.large_string()) for name in ("source", "target")),
        *(pa.field(name, pa.string()) for name in ("reason", "detail", "text")),
    ]
)


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be used; see :class:`pipeline.formats.rows.Row`."""

    reason: str
    detail: str | None
    text: str | None


@dataclasses.dataclass(slots=True)
class RawBatch:
    """Some rows as they were read.

    Args:
        source: the sources. A missing one is empty.
        target: the targets. A missing one is empty.
        numbers: the number of each row in its input, counted from 1.
        lines: the line of the file where each row begins, or 0 if it is not known.
        problems: the rows that cannot be used, by position in the batch.
        missing: for source and target, which rows have none. None if no row lacks one.
        extra: the other columns of the input, or None if there are none.
    """

    source: TextColumn
    target: TextColumn
    numbers: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    problems: dict[int, Problem] = dataclasses.field(default_factory=dict)
    missing: tuple[Mask | None, Mask | None] = (None, None)
    extra: pa.Table | None = None

    def __len__(self) -> int:
        return len(self.numbers)


def store_rows(
    batches: Iterable[RawBatch], folder: Path, name: str, extra: pa.Schema
) -> list[tuple[Path, int]]:
    """Write rows as they were read, so that other processes can go on with them.

    Args:
        batches: the rows of one part, in order.
        folder: the folder of the files.
        name: the beginning of their names.
        extra: the columns besides source and target.

    Returns:
        the files, in order, with their numbers of rows. Each holds about as many as a chunk.
    """
    schema = pa.schema([*_STORED_COLUMNS, *extra])
    files: list[Path] = []
    n_rows_of_files: list[int] = []
    remaining = iter(batches)
    while (first := next(remaining, None)) is not None:
        files.append(folder / f"{name}-{len(files):04d}.arrow")
        n_rows_of_files.append(0)
        n_characters = 0
        with new_spill(files[-1], schema) as writer:
            for batch in itertools.chain([first], remaining):
                writer.write_table(_stored_table(batch, schema))
                n_rows_of_files[-1] += len(batch)
                n_characters += len(batch.source.joined) + len(batch.target.joined)
                if n_rows_of_files[-1] >= CHUNK_ROWS or n_characters >= _MAX_STORED_CHARACTERS:
                    break
    return list(zip(files, n_rows_of_files, strict=True))


def _stored_table(batch: RawBatch, schema: pa.Schema) -> pa.Table:
    problems = [batch.problems.get(position) for position in range(len(batch))]
    sides = [
        column.to_arrow()
        if missing is None
        else pc.if_else(pa.array(missing), None, column.to_arrow())
        for column, missing in zip((batch.source, batch.target), batch.missing, strict=True)
    ]
    columns = [
        *(pa.array(batch.numbers), pa.array(batch.lines), *sides),
        *(
            pa.array([problem and getattr(problem, name) for problem in problems], pa.string())
            for name in ("reason", "detail", "text")
        ),
    ]
    columns += batch.extra.columns if batch.extra is not None else ()
    columns += [pa.nulls(len(batch), field.type) for field in list(schema)[len(columns) :]]
    return pa.table(columns, schema=schema)


def stored_batches(path: Path, extra: pa.Schema) -> Iterator[RawBatch]:
    """Read a file of :func:`store_rows`.

    Args:
        path: the file.
        extra: the columns besides source and target.
    """
    with pa.memory_map(str(path.absolute())) as mapped:
        reader = pa.ipc.open_file(mapped)
        for number in range(reader.num_record_batches):
            yield _batch_of_stored(reader.get_batch(number), extra)


def _batch_of_stored(rows: pa.RecordBatch, extra: pa.Schema) -> RawBatch:
    is_problem = rows["reason"].is_valid().to_numpy(zero_copy_only=False)
    problems = {
        position: Problem(
            rows["reason"][position].as_py(),
            rows["detail"][position].as_py(),
            rows["text"][position].as_py(),
        )
        for position in np.flatnonzero(is_problem).tolist()
    }
    texts, missing = [], []
    for name in ("source", "target"):
        column = rows[name]
        is_missing = column.null_count > 0
        missing.append(column.is_null().to_numpy(zero_copy_only=False) if is_missing else None)
        texts.append(TextColumn.from_arrow(column.fill_null("") if is_missing else column))
    return RawBatch(
        source=texts[0],
        target=texts[1],
        numbers=rows["number"].to_numpy(),
        lines=rows["line"].to_numpy(),
        problems=problems,
        missing=(missing[0], missing[1]),
        extra=pa.Table.from_batches([rows.select(extra.names)]) if len(extra) else None,
    )
