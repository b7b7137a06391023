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
"""The number of a run, from its partition column."""


def create_disk_views(
    connection: duckdb.DuckDBPyConnection, data: Path | None, last: int | None
) -> None:
    """Create ``translations``, ``tombstones`` and ``quarantine`` of the runs up to number ``last``,
    or of all runs if it is None. Without ``data`` the views are empty."""
    for name, pattern, columns in (
        ("translations", "*/*/*.parquet", TRANSLATION_COLUMNS),
        ("tombstones", f"*/*/{TOMBSTONES_FOLDER}/*.parquet", TOMBSTONES),
        ("quarantine", f"*/*/{QUARANTINE_FOLDER}/*.parquet", QUARANTINE_COLUMNS),
    ):
        schema = pa.schema([*columns, *PARTITIONS])
        create_parquet_view(connection, name, data, pattern, schema, last)


def create_parquet_view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    root: Path | None,
    pattern: str,
    schema: pa.Schema,
    last: int | None = None,
) -> None:
    """Create a view of the files below ``root`` that match ``pattern``. Without such a file the
    view is empty and has the columns of ``schema``.

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
    where = "" if last is None else f" WHERE {RUN_NUMBER_SQL} <= {last}"
    files = _sql_string(f"{glob.escape(str(root))}/{pattern}")  # DuckDB reads [*] as a plain *, too
    try:
        connection.execute(
            f"CREATE VIEW {name} AS "
            f"SELECT * FROM read_parquet({files}, union_by_name = true, {partitioning}){where}"
        )
    except duckdb.Error as error:
        raise InputError(
            f"{root}: cannot be read as the view {name} ({first_line(error)}); check the files "
            "there"
        ) from error


def first_line(error: duckdb.Error) -> str:
    """DuckDB's message without the query that it repeats."""
    return str(error).splitlines()[0]


def _sql_string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
