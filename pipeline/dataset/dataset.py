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
from pipeline.storage.files import read_parquet, sha256_of
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path

_REVERSED = {
    "source": "target",
    "target": "source",
    "source_ids": "target_ids",
    "target_ids": "source_ids",
    "n_source_tokens": "n_target_tokens",
    "n_target_tokens": "n_source_tokens",
}
_PAIRS_COLUMNS = ("pair_id", "source", "target")

# What reading a missing, damaged or foreign Parquet file raises.
_READ_ERRORS = (OSError, pa.ArrowException, ValueError, KeyError)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset on this machine, opened by :func:`open_dataset`.

    The methods read the files that the manifest names, and no others.

    Args:
        path: the dataset's folder.
        manifest: the content of its ``manifest.json``, with the languages swapped and a fingerprint
            of its own if the dataset is reversed.
        is_reversed: whether the sources are read as targets, and the targets as sources.
    """

    path: Path
    manifest: DatasetManifest
    is_reversed: bool = False

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
        if not (self.path / SUBWORDS).exists():
            raise InputError(f"{self.path / SUBWORDS}: is missing; prepare the dataset again")
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

    def column_in_file(self, name: str) -> str:
        """The name that a column has in the files: that of the other side if it is reversed."""
        return _REVERSED.get(name, name) if self.is_reversed else name

    def n_row_groups(self, split: Split) -> int:
        """The number of row groups of a split's ENCODED files. Reads no columns.

        Raises:
            InputError: a file is missing or damaged.
        """
        n_row_groups = 0
        for file in self.encoded_files(split):
            with dataset_read_errors(file):
                n_row_groups += _file_metadata(file).num_row_groups
        return n_row_groups

    def check_files(self) -> None:
        """Check that every file of the dataset is as ``prepare`` wrote it; see :func:`check_files`.

        Raises:
            InputError: a file is missing or damaged.
        """
        check_files(self.path, self.manifest)

    def check_files_without_digests(self) -> None:
        """Check that every file can be read, and the numbers of rows.

        Raises:
            InputError: a file is missing or damaged, or a split has another number of rows.
        """
        self.subwords()
        for split, counts in self.manifest.splits.items():
            for names in (counts.pairs_files, counts.encoded_files):
                n_rows = 0
                for name in names:
                    with dataset_read_errors(self.path / name):
                        n_rows += _file_metadata(self.path / name).num_rows
                if n_rows != counts.n_pairs:
                    raise InputError(
                        f"{self.path}: split {split} has {n_rows} rows in {', '.join(names)}, and "
                        f"{counts.n_pairs} in the manifest; prepare the dataset again"
                    )

    def _table(self, names: tuple[str, ...], schema: pa.Schema) -> pa.Table:
        tables = [schema.empty_table()]
        for name in names:
            with dataset_read_errors(self.path / name):
                names_in_file = [self.column_in_file(name) for name in schema.names]
                table = read_parquet(self.path / name, names_in_file).select(names_in_file)
                tables.append(table.rename_columns(schema.names).cast(schema))
        return pa.concat_tables(tables)


def open_dataset(path: Path, *, reverse: bool = False) -> Dataset:
    """Open a dataset by reading its manifest.

    Args:
        path: the dataset's folder.
        reverse: whether to read it in the opposite direction. One subword model serves both
            languages, so a dataset can train a model of either direction.

    Raises:
        InputError: the folder has no manifest, or one of another format version.
    """
    manifest = DatasetManifest.load(path / MANIFEST)
    return Dataset(path, _reversed(manifest) if reverse else manifest, is_reversed=reverse)


def _reversed(manifest: DatasetManifest) -> DatasetManifest:
    splits = {
        split: counts.model_copy(
            update={
                "n_source_tokens": counts.n_target_tokens,
                "n_target_tokens": counts.n_source_tokens,
            }
        )
        for split, counts in manifest.splits.items()
    }
    return manifest.model_copy(
        update={
            "fingerprint": fingerprint_of([manifest.fingerprint, "reversed"]),
            "source_lang": manifest.target_lang,
            "target_lang": manifest.source_lang,
            "splits": splits,
        }
    )


def check_files(path: Location, manifest: DatasetManifest) -> None:
    """Check that every file of a dataset is as ``prepare`` wrote it.

    Compares the digests of the files with the manifest. Manifests of earlier releases have no
    digests; then the files must be readable and have the right number of rows.

    Args:
        path: the dataset's folder, here or on S3.
        manifest: its manifest.

    Raises:
        InputError: a file is missing or damaged.
        OSError: S3 refuses or does not answer.
    """
    if not manifest.files_sha256 and isinstance(path, Path):
        Dataset(path, manifest).check_files_without_digests()
    for name, digest in manifest.files_sha256.items():
        with dataset_read_errors(path / name):
            is_same = sha256_of(path / name) == digest
        if not is_same:
            raise InputError(f"{path / name}: is damaged; prepare the dataset again")


def _file_metadata(file: Path) -> pq.FileMetaData:
    # pyarrow takes a relative path such as `ds:1/a.parquet` for a URI.
    return pq.read_metadata(file.absolute())


@contextmanager
def dataset_read_errors(file: Location) -> Iterator[None]:
    """Turn the errors of reading one of a dataset's Parquet files into an error that names it.

    Raises:
        InputError: the file is missing, damaged, or of another schema.
        OSError: S3 refuses or does not answer.
    """
    try:
        yield
    except _READ_ERRORS as error:
        if isinstance(file, S3Path) and not isinstance(error, FileNotFoundError):
            raise  # nobody knows whether the file is damaged
        raise InputError(
            f"{file}: named in the manifest but not readable ({one_line(error)}); "
            "prepare the dataset again"
        ) from error
