"""DuckDB views over a translation table on a disk. Every file of its run folders is published."""

from __future__ import annotations

import glob
from pathlib import Path

import duckdb
import pyarrow as pa

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, TOMBSTONES, TRANSLATION_COLUMNS
from pipeline.storage.files import files_in
from pipeline.table.manifest import (
    PARTITIONS,
    QUARANTINE_FOLDER,
    TOMBSTONES_FOLDER,
    RunManifest,
    input_columns_of,
    run_number,
)

RUN_NUMBER_SQL = "CAST(split_part(run, '-', 1) AS BIGINT)"
"""SQL for the number of a run, from the partition column ``run``."""

_RUN_FOLDERS = "run_date=*/run=*"
# A name that no column of an input has.
_FILE = "__lingo_file"


def create_disk_views(
    connection: duckdb.DuckDBPyConnection, data: Path | None, runs: list[RunManifest]
) -> None:
    """Create the views ``translations``, ``tombstones`` and ``quarantine``.

    Args:
        connection: a DuckDB connection.
        data: the folder of the published runs; without it the views are empty.
        runs: the runs to show, oldest first.

    Raises:
        InputError: DuckDB cannot read the files as one table.
    """
    input_columns = input_columns_of(runs)
    for name, folder, columns in (
        ("translations", "", [*input_columns, *TRANSLATION_COLUMNS]),
        ("tombstones", TOMBSTONES_FOLDER, TOMBSTONES),
        ("quarantine", QUARANTINE_FOLDER, [*input_columns, *QUARANTINE_COLUMNS]),
    ):
        schema = pa.schema([*columns, *PARTITIONS])
        pattern = f"{_RUN_FOLDERS}/{folder}/*.parquet" if folder else f"{_RUN_FOLDERS}/*.parquet"
        if data is None or not runs or not files_in(data, pattern):
            _register_empty(connection, name, schema)
            continue
        number = run_number(runs[-1].run_id)
        _create_view(
            connection,
            name,
            data,
            f"SELECT {_partitions_from_path(3 if folder else 2)} FROM {_read(data, pattern)} "
            f"WHERE {RUN_NUMBER_SQL} <= {number}",
            schema,
        )


def create_scores_view(
    connection: duckdb.DuckDBPyConnection, folder: Path | None, schema: pa.Schema
) -> None:
    """Create the view ``scores`` over the Parquet files of a folder.

    Args:
        connection: a DuckDB connection.
        folder: the folder, if there is one. Without a file the view is empty.
        schema: the columns of the view.

    Raises:
        InputError: DuckDB cannot read the files as one table.
    """
    if folder is None or not files_in(folder, "*.parquet"):
        _register_empty(connection, "scores", schema)
        return
    select = f"SELECT * EXCLUDE ({_FILE}) FROM {_read(folder, '*.parquet')}"
    _create_view(connection, "scores", folder, select, schema)


def first_line(error: duckdb.Error) -> str:
    """The first line of DuckDB's message. The query follows in the other lines."""
    return str(error).splitlines()[0]


def _read(root: Path, pattern: str) -> str:
    """SQL that reads files. Only their names are added, as the column ``_FILE``.

    DuckDB's own ``hive_partitioning`` takes every ``key=value`` folder of a path for a column, also
    those above the table.
    """
    # Absolute: DuckDB takes `~` at the beginning for the home folder. It reads [*] as a plain *.
    files = f"{glob.escape(str(root.absolute()))}/{pattern}"
    return (
        f"read_parquet({sql_string(files)}, union_by_name = true, hive_partitioning = false, "
        f"filename = '{_FILE}')"
    )


def _partitions_from_path(depth: int) -> str:
    """SQL of all columns and the partition columns, which are the names of two folders.

    Args:
        depth: the number of path components from the folder of the run to the end.
    """
    run_date = f"substr(split_part({_FILE}, '/', -{depth + 1}), {len('run_date=') + 1})"
    run = f"substr(split_part({_FILE}, '/', -{depth}), {len('run=') + 1})"
    return f"* EXCLUDE ({_FILE}), CAST({run_date} AS DATE) AS run_date, {run} AS run"


def _create_view(
    connection: duckdb.DuckDBPyConnection, name: str, root: Path, select: str, schema: pa.Schema
) -> None:
    """Create a view of a query. Columns of ``schema`` that the query lacks are null.

    The query lacks a column if all of its files are older than the column.
    """
    try:
        existing = {column.lower() for column in connection.sql(select).columns}
        missing = pa.schema([field for field in schema if field.name.lower() not in existing])
        if missing.names:
            _register_empty(connection, f"__missing_{name}", missing)
            select += f" UNION ALL BY NAME SELECT * FROM __missing_{name}"
        connection.execute(f"CREATE VIEW {name} AS {select}")
    except duckdb.Error as error:
        raise InputError(
            f"{root}: cannot be read as the view {name} ({first_line(error)}); check the files in "
            "this folder"
        ) from error


def _register_empty(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    fields = [field.with_type(_type_in_duckdb(field.type)) for field in schema]
    connection.register(name, pa.schema(fields).empty_table())


def _type_in_duckdb(type_: pa.DataType) -> pa.DataType:
    """The Arrow type of the values that DuckDB reads from a Parquet column of a type."""
    if pa.types.is_decimal256(type_):
        return pa.float64()
    return pa.float32() if pa.types.is_float16(type_) else type_


def sql_string(text: str) -> str:
    """A text as a string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
