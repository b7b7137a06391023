"""Files between the two passes of ``prepare``: rows that are sorted by partition.

All rows with one normalised source are in one partition. So duplicates and leaks are found within a
partition, and a partition fits in memory whatever the size of the corpus.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.backend import naming_file

LENGTH_COLUMNS = pa.schema(
    [
        pa.field("source_characters", pa.int32()),
        pa.field("target_characters", pa.int32()),
        pa.field("source_words", pa.int32()),
        pa.field("target_words", pa.int32()),
    ]
)
"""The lengths of a spilled row, for the report."""

KEPT_COLUMNS = pa.schema(
    [
        pa.field("rank", pa.int32()),
        pa.field("number", pa.int64()),
        pa.field("line", pa.int64()),
        pa.field("split", pa.int8()),
        pa.field("source", pa.large_string()),
        pa.field("target", pa.large_string()),
        pa.field("source_hash", pa.uint64()),
        pa.field("duplicate_key", pa.uint64()),
        *LENGTH_COLUMNS,
    ]
)
"""The first columns of a spilled row; the other columns of the input follow. ``rank`` is that of
the part, ``number`` that of the row in its part, and ``split`` an index into ``SPLITS``. Pairs with
one ``duplicate_key`` are duplicates."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@contextmanager
def whole_file(path: Path, work: Path) -> Iterator[Path]:
    """Yield a temporary path, which becomes ``path`` if the block succeeds.

    A task may run twice at the same time: on a Ray node that is taken for lost, and on another. The
    file of one replaces the whole file of the other, and no reader sees half a file.

    Args:
        path: the file; an old one is replaced.
        work: the folder of the files between the passes, which has the temporary file. A process
            that is killed leaves it there, where nobody looks for files of a dataset.

    Raises:
        OSError: the file cannot be written. Names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # pyarrow takes a relative path such as `ds:1/a.arrow` for a URI.
    temporary = work.absolute() / f"new-{secrets.token_hex(8)}"
    try:
        with naming_file(path):
            yield temporary
            temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_spill(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """A writer of a file between the passes, which is compressed."""
    with (
        whole_file(path, path.parent) as temporary,
        pa.ipc.new_file(temporary, schema, options=_OPTIONS) as writer,
    ):
        yield writer


def write_spill(
    path: Path, rows: pa.Table, partitions: npt.NDArray[np.int64], n_partitions: int
) -> None:
    """Write rows so that :func:`read_partition` can read those of one partition.

    Args:
        path: the file; an old one is replaced.
        rows: the rows, in order.
        partitions: the partition of each row, from 0.
        n_partitions: the number of partitions.
    """
    order = np.argsort(partitions, kind="stable")
    bounds = np.searchsorted(partitions[order], np.arange(n_partitions + 1))
    in_order = rows.combine_chunks().take(pa.array(order))
    with new_spill(path, rows.schema) as writer:
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            part = in_order.slice(start, stop - start)
            batches = part.to_batches()
            writer.write_batch(
                batches[0] if batches else pa.RecordBatch.from_pylist([], schema=rows.schema)
            )


def read_partition(files: Iterable[Path], partition: int, schema: pa.Schema) -> pa.Table:
    """The rows of a partition, in the order of the files and of the rows in them."""
    batches = []
    for path in files:
        with pa.memory_map(str(path.absolute())) as mapped:
            batch = pa.ipc.open_file(mapped).get_batch(partition)
            if batch.num_rows:
                batches.append(batch)
    return pa.Table.from_batches(batches, schema=schema)


def write_rows(path: Path, rows: pa.Table) -> None:
    """Write rows in order; an old file is replaced."""
    with new_spill(path, rows.schema) as writer:
        writer.write_table(rows)


def read_rows(path: Path) -> pa.Table:
    """The rows that :func:`write_rows` wrote."""
    with pa.memory_map(str(path.absolute())) as mapped:
        return pa.ipc.open_file(mapped).read_all()
