"""SQL over a translation table and score reports, by DuckDB. Reads only."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import duckdb
import pyarrow as pa

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, SCORES, TRANSLATION_COLUMNS
from pipeline.table import QUARANTINE, RUN_MANIFEST, load_identity

VIEWS = ("translations", "latest", "quarantine", "runs", "scores")

_PARTITIONS = (pa.field("run_date", pa.date32()), pa.field("run", pa.string()))

# The README gives this query in full, for readers without this project.
_LATEST = """
    SELECT * FROM translations
    QUALIFY row_number() OVER (
        PARTITION BY row_id ORDER BY CAST(split_part(run, '-', 1) AS BIGINT) DESC
    ) = 1
"""


def connect(table: Path | None, reports: Path | None) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with the views ``translations``, ``latest`` (the newest version of each
    row), ``quarantine``, ``runs`` and ``scores``; what is not there yet is empty.

    Raises:
        InputError: ``table`` is no translation table.
    """
    if table is not None:
        load_identity(table)
    connection = duckdb.connect()
    runs = table / "data" / "*" / "*" if table is not None else None
    _parquet_view(
        connection,
        "translations",
        runs and runs / "*.parquet",
        pa.schema([*TRANSLATION_COLUMNS, *_PARTITIONS]),
    )
    connection.execute(f"CREATE VIEW latest AS {_LATEST}")
    _parquet_view(
        connection,
        "quarantine",
        runs and runs / QUARANTINE / "*.parquet",
        pa.schema([*QUARANTINE_COLUMNS, *_PARTITIONS]),
    )
    _runs_view(connection, runs and runs / RUN_MANIFEST)
    _parquet_view(connection, "scores", reports and reports / "scores" / "*.parquet", SCORES)
    return connection


def run_query(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation | None:
    """The result of a query, or None for a statement that has none.

    Raises:
        InputError: DuckDB refuses the statement; gives its reason.
    """
    try:
        return connection.sql(sql)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{sql!r}: {reason}; views are {', '.join(VIEWS)}") from error


def sql_command(table: Path) -> str:
    """A query to paste into a shell, for a table."""
    query = (
        "SELECT status, count(*) AS n_rows, round(avg(score), 3) AS mean_score "
        "FROM latest GROUP BY status"
    )
    return shlex.join([_command(), "sql", "--table", str(table), query])


def _command() -> str:
    """`lingo` where the shell finds it, else the path of the one that runs."""
    here = Path(sys.executable).with_name("lingo")
    if shutil.which("lingo") is not None or not here.exists():
        return "lingo"
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _some_file(pattern: Path | None) -> bool:
    if pattern is None:
        return False
    fixed = (
        Path(*pattern.parts[: pattern.parts.index("*")])
        if "*" in pattern.parts
        else (pattern.parent)
    )
    return any(fixed.glob(str(pattern.relative_to(fixed))))


def _parquet_view(
    connection: duckdb.DuckDBPyConnection, name: str, pattern: Path | None, schema: pa.Schema
) -> None:
    if pattern is not None and _some_file(pattern):
        connection.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_quoted(pattern)}, "
            "hive_partitioning = true, hive_types = {'run': VARCHAR, 'run_date': DATE}, "
            "union_by_name = true)"
            if name != "scores"
            else f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_quoted(pattern)})"
        )
    else:
        connection.register(name, schema.empty_table())


def _runs_view(connection: duckdb.DuckDBPyConnection, pattern: Path | None) -> None:
    columns = (
        "run, run_date, started_at, finished_at, model_id, rows.n_input, rows.n_translated, "
        "rows.n_reused, rows.n_passed_through, rows.n_quarantined, n_units_planned, "
        "n_units_skipped, n_units_deferred, n_units_emitted"
    )
    types = {
        "run": "VARCHAR",
        "run_date": "DATE",
        "started_at": "TIMESTAMPTZ",
        "finished_at": "TIMESTAMPTZ",
        "model_id": "VARCHAR",
        "rows": "STRUCT(n_input BIGINT, n_translated BIGINT, n_reused BIGINT, "
        "n_passed_through BIGINT, n_quarantined BIGINT)",
        "n_units_planned": "BIGINT",
        "n_units_skipped": "BIGINT",
        "n_units_deferred": "BIGINT",
        "n_units_emitted": "BIGINT",
    }
    if pattern is not None and _some_file(pattern):
        listed = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
        connection.execute(
            f"CREATE VIEW runs AS SELECT {columns} FROM read_json({_quoted(pattern)}, "
            f"columns = {{{listed}}}, hive_partitioning = false) ORDER BY run"
        )
    else:
        listed = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
        connection.execute(
            f"CREATE VIEW runs AS SELECT {columns} FROM (SELECT {listed}) WHERE run IS NOT NULL"
        )
