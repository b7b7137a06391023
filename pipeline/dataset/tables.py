"""Reads a dataset's Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import Split
from pipeline.schemas import ENCODED, PAIRS


def read_pairs(path: Path, manifest: DatasetManifest, split: Split) -> pa.Table:
    """``pair_id``, ``source`` and ``target`` of a split, in the order they were written."""
    return _read(path, manifest.splits[split].pairs_files, PAIRS, ["pair_id", "source", "target"])


def read_encoded(path: Path, manifest: DatasetManifest, split: Split) -> pa.Table:
    """A split's ENCODED rows."""
    return _read(path, manifest.splits[split].encoded_files, ENCODED, ENCODED.names)


UNREADABLE = (OSError, pa.ArrowException, ValueError)
"""How reading a damaged or missing Parquet file ends."""


def unreadable(file: Path, error: Exception) -> InputError:
    """What to say then."""
    return InputError(
        f"{file}: named in the manifest but not readable ({' '.join(str(error).split())}); "
        "prepare the dataset again"
    )


def _read(path: Path, files: tuple[str, ...], schema: pa.Schema, columns: list[str]) -> pa.Table:
    wanted = pa.schema([schema.field(name) for name in columns])
    tables = [wanted.empty_table()]
    for name in files:
        try:
            table = pq.read_table(path / name, columns=columns, partitioning=None)
            tables.append(table.cast(wanted))
        except UNREADABLE as error:
            raise unreadable(path / name, error) from error
    return pa.concat_tables(tables)
