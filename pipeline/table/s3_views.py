"""DuckDB views over a translation table on S3.

The views hold the files that the manifests of published runs name. Other files may belong to an
unfinished run.

pyarrow reads the files, because DuckDB would download an extension for S3. DuckDB passes the
columns and filters of a query on to pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
from obstore.fsspec import FsspecStore

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, TOMBSTONES, TRANSLATION_COLUMNS
from pipeline.storage.s3 import SCHEME, client_options
from pipeline.table.manifest import (
    PARTITIONS,
    QUARANTINE_FOLDER,
    TOMBSTONES_FOLDER,
    RunManifest,
    input_columns_of,
    restored_file,
    run_path,
)
from pipeline.table.s3_table import S3Table


def register_s3_views(
    connection: duckdb.DuckDBPyConnection, table: S3Table, runs: list[RunManifest]
) -> None:
    """Register the views ``translations``, ``quarantine`` and ``tombstones``.

    Args:
        connection: a DuckDB connection.
        table: the table.
        runs: the runs to show, oldest first.

    Raises:
        InputError: a file that a manifest names is missing.
        OSError: S3 refuses or does not answer.
    """
    input_columns = input_columns_of(runs)
    existing_files = table.data.files()

    def register(name: str, files: Iterable[tuple[RunManifest, str]], schema: pa.Schema) -> None:
        paths = []
        for run, file in files:
            relative = f"{run_path(run)}/{file}"
            # DuckDB can wait for ever on a dataset whose files fail to open.
            if relative not in existing_files:
                raise InputError(
                    f"{table.data / relative}: is missing, but the manifest of run {run.run_id} "
                    "names it; restore the file from a copy"
                )
            paths.append((run, str(table.data / relative).removeprefix(SCHEME)))
        connection.register(name, _dataset(paths, pa.schema([*schema, *PARTITIONS])))

    parts = [(run, part) for run in runs for part in _parts(run)]
    register("translations", parts, pa.schema([*input_columns, *TRANSLATION_COLUMNS]))
    quarantine_files = [
        (run, f"{QUARANTINE_FOLDER}/{unit.file_name}") for run in runs for unit in run.units
    ]
    quarantined = [
        (run, file) for run, file in quarantine_files if f"{run_path(run)}/{file}" in existing_files
    ]
    register("quarantine", quarantined, pa.schema([*input_columns, *QUARANTINE_COLUMNS]))
    tombstones = [(run, f"{TOMBSTONES_FOLDER}/part-{run.run_id}.parquet") for run in runs]
    register("tombstones", tombstones, TOMBSTONES)


def _parts(run: RunManifest) -> list[str]:
    restored = [restored_file(run.run_id)] if run.n_rows_restored else []
    parts = [part.file_name for part in run.compacted] or [unit.file_name for unit in run.units]
    return parts + restored


def _dataset(files: list[tuple[RunManifest, str]], schema: pa.Schema) -> ds.Dataset | pa.Table:
    if not files:
        return schema.empty_table()
    store = FsspecStore("s3", client_options=client_options())
    return ds.FileSystemDataset.from_paths(
        [path for _, path in files],
        schema=schema,
        format=ds.ParquetFileFormat(),
        filesystem=pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(store)),
        partitions=[
            (ds.field("run") == run.run_id)
            & (ds.field("run_date") == pa.scalar(run.run_date, pa.date32()))
            for run, _ in files
        ],
    )
