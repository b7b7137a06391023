"""What a table on S3 has, for DuckDB: the files that the manifests of published runs name, no more.

DuckDB's own reader of S3 is an extension that it fetches from its makers; pyarrow reads instead,
and DuckDB passes it the columns and conditions of a query.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
from obstore.fsspec import FsspecStore

from pipeline.schemas import QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.schemas import RETRACTED as RETRACTED_SCHEMA
from pipeline.storage.s3 import SCHEME, S3Path, client_options
from pipeline.table.manifest import (
    QUARANTINE,
    RETRACTED,
    RunManifest,
    run_folder,
    run_number,
    schema_of,
)
from pipeline.table.runs_view import _RUNS, _row
from pipeline.table.store import S3Table

_PARTITIONS = pa.schema([("run_date", pa.date32()), ("run", pa.string())])


def register_table(connection: duckdb.DuckDBPyConnection, root: S3Path, last: int | None) -> None:
    """Register ``translations``, ``quarantine``, ``retracted`` and ``runs`` of the runs up to the
    number ``last``, None for all."""
    table = S3Table(root)
    runs = [run for run in table.published() if last is None or run_number(run.run) <= last]
    inputs = schema_of(runs[-1].schema_base64) if runs else pa.schema([])
    there = table.data.files()

    def register(name: str, files: Iterable[tuple[RunManifest, str]], schema: pa.Schema) -> None:
        paths = [
            (run, str(table.data / run_folder(run) / file).removeprefix(SCHEME))
            for run, file in files
        ]
        connection.register(name, _dataset(paths, pa.schema([*schema, *_PARTITIONS])))

    parts = [(run, part) for run in runs for part in _parts(run)]
    register("translations", parts, pa.schema([*inputs, *TRANSLATION_COLUMNS]))
    quarantined = [
        (run, file)
        for run in runs
        for unit in run.units
        if f"{run_folder(run)}/{(file := f'{QUARANTINE}/{unit.file_name}')}" in there
    ]
    register("quarantine", quarantined, pa.schema([*inputs, *QUARANTINE_COLUMNS]))
    retracted = [(run, f"{RETRACTED}/part-{run.run}.parquet") for run in runs]
    register("retracted", retracted, RETRACTED_SCHEMA)
    connection.register("runs", pa.Table.from_pylist(list(map(_row, runs)), schema=_RUNS))


def _parts(run: RunManifest) -> list[str]:
    return [part.file_name for part in run.compacted] or [unit.file_name for unit in run.units]


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
            (ds.field("run") == run.run) & (ds.field("run_date") == _date(run.run_date))
            for run, _ in files
        ],
    )


def _date(text: str) -> pa.Scalar:
    return pa.scalar(datetime.date.fromisoformat(text), pa.date32())
