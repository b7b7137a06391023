"""DuckDB views over a translation table on a disk. Every file below its ``data/`` is published."""

from __future__ import annotations

import glob
from pathlib import Path

import duckdb
import pyarrow as pa

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, TOMBSTONES, TRANSLATION_COLUMNS
from pipeline.table.manifest import PARTITIONS, QUARANTINE_FOLDER, TOMBSTONES_FOLDER

RUN_NUMBER_SQL = "CAST(split_part(run, '-', 1) AS BIGINT)"
"""SQL for the number of a run, from the partition column ``run``."""


def create_disk_views(
    connection: duckdb.DuckDBPyConnection, data: Path | None, last_number: int | None
) -> None:
    """Create the views ``translations``, ``tombstones`` and ``quarantine``.

    Args:
        connection: a DuckDB connection.
        data: the folder of the published runs; without it the views are empty.
        last_number: the number of the last run to show; None for all runs.

    Raises:
        InputError: DuckDB cannot read the files as one table.
    """
    for name, pattern, columns in (
        ("translations", "*/*/*.parquet", TRANSLATION_COLUMNS),
        ("tombstones", f"*/*/{TOMBSTONES_FOLDER}/*.parquet", TOMBSTONES),
        ("quarantine", f"*/*/{QUARANTINE_FOLDER}/*.parquet", QUARANTINE_COLUMNS),
    ):
        schema = pa.schema([*columns, *PARTITIONS])
        create_parquet_view(connection, name, data, pattern, schema, last_number)


def create_parquet_view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    root: Path | None,
    pattern: str,
    schema: pa.Schema,
    last_number: int | None = None,
) -> None:
    """Create a view of Parquet files. Without a file the view is empty.

    Args:
        connection: a DuckDB connection.
        name: the view's name.
        root: the folder that ``pattern`` is relative to, if there is one.
        pattern: a glob pattern of the files.
        schema: the columns of an empty view.
        last_number: leaves out runs with larger numbers.

    Raises:
        InputError: DuckDB cannot read the files as one table.
    """
    if root is None or not any(root.glob(pattern)):
        connection.register(name, schema.empty_table())
        return
    partitioning = (
        "hive_partitioning = true, hive_types = {'run': VARCHAR, 'run_date': DATE}"
        if "run" in schema.names
        else "hive_partitioning = false"
    )
    where = "" if last_number is None else f" WHERE {RUN_NUMBER_SQL} <= {last_number}"
    files = _sql_string(f"{glob.escape(str(root))}/{pattern}")  # DuckDB reads [*] as a plain *
    try:
        connection.execute(
            f"CREATE VIEW {name} AS "
            f"SELECT * FROM read_parquet({files}, union_by_name = true, {partitioning}){where}"
        )
    except duckdb.Error as error:
        raise InputError(
            f"{root}: cannot be read as the view {name} ({first_line(error)}); check the files in "
            "this folder"
        ) from error


def first_line(error: duckdb.Error) -> str:
    """The first line of DuckDB's message. The query follows in the other lines."""
    return str(error).splitlines()[0]


def _sql_string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
