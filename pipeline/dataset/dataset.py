"""Reads a dataset. ``pipeline/dataset/manifest.py`` shows its files.

Reads: PAIRS, ENCODED, ``subwords.model`` and ``manifest.json`` of a dataset.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError, Subwords
from pipeline.dataset.manifest import MANIFEST, SUBWORDS, DatasetManifest
from pipeline.dataset.splits import Split
from pipeline.errors import one_line
from pipeline.schemas import ENCODED, PAIRS

_PAIRS_COLUMNS = ("pair_id", "source", "target")

# What reading a missing, damaged or foreign Parquet file raises.
_READ_ERRORS = (OSError, pa.ArrowException, ValueError)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset on this machine, opened by :func:`open_dataset`.

    The methods read the files that the manifest names, and no others.

    Args:
        path: the dataset's folder.
        manifest: the content of its ``manifest.json``.
    """

    path: Path
    manifest: DatasetManifest

    def pairs(self, split: Split) -> pa.Table:
        """Read ``pair_id``, ``source`` and ``target`` of a split, in the order of the input.

        Raises:
            InputError: a file is missing or damaged.
        """
        schema = pa.schema([PAIRS.field(name) for name in _PAIRS_COLUMNS])
        return self._table(self.manifest.splits[split].pairs_files, schema)

    def encoded(self, split: Split) -> pa.Table:
        """Read the ENCODED rows of a split.

        Raises:
            InputError: a file is missing or damaged.
        """
        return self._table(self.manifest.splits[split].encoded_files, ENCODED)

    def subwords(self) -> Subwords:
        """Load the subword model.

        Raises:
            InputError: the file is missing or damaged, or is not the model that the manifest names.
        """
        subwords = Subwords.load(self.path / SUBWORDS)
        if subwords.fingerprint != self.manifest.subwords_sha256:
            raise InputError(
                f"{self.path / SUBWORDS}: fingerprint {subwords.fingerprint[:12]} differs from the "
                f"manifest's {self.manifest.subwords_sha256[:12]}; prepare the dataset again"
            )
        return subwords

    def encoded_files(self, split: Split) -> list[Path]:
        """The paths of a split's ENCODED files, in order."""
        return [self.path / name for name in self.manifest.splits[split].encoded_files]

    def n_row_groups(self, split: Split) -> int:
        """The number of row groups of a split's ENCODED files. Reads no columns.

        Raises:
            InputError: a file is missing or damaged.
        """
        n_row_groups = 0
        for file in self.encoded_files(split):
            with dataset_read_errors(file):
                n_row_groups += pq.read_metadata(file).num_row_groups
        return n_row_groups

    def _table(self, names: tuple[str, ...], schema: pa.Schema) -> pa.Table:
        tables = [schema.empty_table()]
        for name in names:
            with dataset_read_errors(self.path / name):
                table = pq.read_table(self.path / name, columns=schema.names, partitioning=None)
                tables.append(table.cast(schema))
        return pa.concat_tables(tables)


def open_dataset(path: Path) -> Dataset:
    """Open a dataset by reading its manifest.

    Raises:
        InputError: the folder has no manifest, or one of another format version.
    """
    return Dataset(path, DatasetManifest.load(path / MANIFEST))


@contextmanager
def dataset_read_errors(file: Path) -> Iterator[None]:
    """Turn the errors of reading one of a dataset's Parquet files into an error that names it.

    Raises:
        InputError: the file is missing, damaged, or of another schema.
    """
    try:
        yield
    except _READ_ERRORS as error:
        raise InputError(
            f"{file}: named in the manifest but not readable ({one_line(error)}); "
            "prepare the dataset again"
        ) from error
