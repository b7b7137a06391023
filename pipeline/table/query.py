"""SQL over a translation table and score reports, by DuckDB. Reads only."""

from __future__ import annotations

import glob
import shlex
import shutil
import sys
from pathlib import Path

import duckdb
import pyarrow as pa

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, SCORES, TRANSLATION_COLUMNS
from pipeline.schemas import RETRACTED as RETRACTED_SCHEMA
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.manifest import (
    QUARANTINE,
    RETRACTED,
    RUN_MANIFEST,
    load_identity,
    run_named,
    run_number,
)
from pipeline.table.s3_views import register_table
from pipeline.table.store import open_table

VIEWS = ("translations", "latest", "quarantine", "retracted", "runs", "lineage", "scores")


_PARTITIONS = (pa.field("run_date", pa.date32()), pa.field("run", pa.string()))


_RUN_NUMBER = "CAST(split_part(run, '-', 1) AS BIGINT)"


# The README gives this query in full, for readers without this project.
_LATEST = f"""
    SELECT * FROM translations
    ANTI JOIN retracted
        ON retracted.row_id = translations.row_id
        AND {_RUN_NUMBER.replace("run", "retracted.run")}
            > {_RUN_NUMBER.replace("run", "translations.run")}
    QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY {_RUN_NUMBER} DESC) = 1
"""


# Of each row the newest version of the named run or model, and whether both say the same.
_COMPARE = f"""
    CREATE MACRO compare(a, b) AS TABLE
    WITH version AS (
        SELECT row_id, run, model_id, translation, score, source_hash,
            {_RUN_NUMBER} AS _number, CAST({_RUN_NUMBER} AS VARCHAR) AS _digits
        FROM translations
    ),
    one AS (
        SELECT * FROM version WHERE a IN (run, model_id, _digits)
        QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY _number DESC) = 1
    ),
    other AS (
        SELECT * FROM version WHERE b IN (run, model_id, _digits)
        QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY _number DESC) = 1
    )
    SELECT row_id, one.translation AS translation_a, other.translation AS translation_b,
        one.score AS score_a, other.score AS score_b,
        one.source_hash IS NOT DISTINCT FROM other.source_hash AS same_source,
        one.translation IS NOT DISTINCT FROM other.translation AS same_translation
    FROM one JOIN other USING (row_id)
"""


_LINEAGE = """
    SELECT row_id, run, runs.model_id, runs.model, runs.dataset_fingerprint, runs.corpus
    FROM latest JOIN runs USING (run)
"""


# DuckDB shows 10,000 rows at most; from one more it knows that there are more.
_N_ROWS_SHOWN = 10_001


# DuckDB's default. It reads no larger JSON than this option says, and a run of a large lake has a
# manifest of many megabytes.
_MIN_OBJECT_BYTES = 1 << 24


def connect(
    table: Location | None, reports: Path | None, *, as_of: str | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with the views ``translations``, ``latest`` (the newest version of each
    row that its file still has), ``quarantine``, ``retracted`` (ids of rows whose earlier versions
    count no more), ``runs``, ``lineage`` (of the latest rows: run, model, dataset and corpus) and
    ``scores``; what is not there yet is empty. ``compare(a, b)`` is a macro that joins the versions
    of each row by two runs or models.

    Args:
        as_of: a run's name or number; later runs are left out of every view.

    Raises:
        InputError: ``table`` is no translation table, or has no such run.
    """
    last = None
    if table is not None:
        load_identity(table)
        if as_of is not None:
            last = run_number(run_named(as_of, open_table(table).published()).run)
    connection = duckdb.connect()
    if isinstance(table, S3Path):
        register_table(connection, table, last)
    else:
        _local_views(connection, table and table / "data", last)
    connection.execute(f"CREATE VIEW latest AS {_LATEST}")
    connection.execute(f"CREATE VIEW lineage AS {_LINEAGE}")
    connection.execute(_COMPARE)
    _parquet_view(connection, "scores", reports and reports / "scores", "*.parquet", SCORES)
    return connection


def _local_views(
    connection: duckdb.DuckDBPyConnection, data: Path | None, last: int | None
) -> None:
    """Views of what a table on a disk has, by globs: there every file is of a published run."""
    _parquet_view(
        connection,
        "translations",
        data,
        "*/*/*.parquet",
        pa.schema([*TRANSLATION_COLUMNS, *_PARTITIONS]),
        last,
    )
    _parquet_view(
        connection,
        "retracted",
        data,
        f"*/*/{RETRACTED}/*.parquet",
        pa.schema([*RETRACTED_SCHEMA, *_PARTITIONS]),
        last,
    )
    _parquet_view(
        connection,
        "quarantine",
        data,
        f"*/*/{QUARANTINE}/*.parquet",
        pa.schema([*QUARANTINE_COLUMNS, *_PARTITIONS]),
        last,
    )
    _runs_view(connection, data, f"*/*/{RUN_MANIFEST}", last)


def run_query(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation | None:
    """The first rows of a query's result, as many as DuckDB would show, or None for a statement
    that has none.

    Raises:
        InputError: DuckDB refuses the statement or fails in it; gives its reason.
    """
    try:
        result = connection.sql(sql)
        # A relation is lazy: errors in the values would come when it is shown, outside of here.
        return result and result.limit(_N_ROWS_SHOWN).materialize()
    except duckdb.Error as error:
        raise InputError(f"{sql!r}: {_reason(error)}; views are {', '.join(VIEWS)}") from error


def sql_command(table: Location) -> str:
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


def _reason(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


def _quoted(root: Path, pattern: str) -> str:
    """A pattern below a folder as SQL text; in DuckDB, too, ``[*]`` stands for a plain ``*``."""
    return "'" + f"{glob.escape(str(root))}/{pattern}".replace("'", "''") + "'"


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, sql: str, root: Path) -> None:
    try:
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    except duckdb.Error as error:
        raise InputError(
            f"{root}: cannot be read as the view {name} ({_reason(error)}); check the files there"
        ) from error


def _parquet_view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    root: Path | None,
    pattern: str,
    schema: pa.Schema,
    last: int | None = None,
) -> None:
    """A view of the files below ``root``, of runs up to ``last``; empty, with ``schema``, where
    there are none."""
    if root is None or not any(root.glob(pattern)):
        connection.register(name, schema.empty_table())
        return
    options = (
        ", hive_partitioning = true, hive_types = {'run': VARCHAR, 'run_date': DATE}"
        if "run" in schema.names
        else ", hive_partitioning = false"
    )
    _create_view(
        connection,
        name,
        f"SELECT * FROM read_parquet({_quoted(root, pattern)}, union_by_name = true{options})"
        + _until(last),
        root,
    )


def _until(last: int | None) -> str:
    return "" if last is None else f" WHERE {_RUN_NUMBER} <= {last}"


def _runs_view(
    connection: duckdb.DuckDBPyConnection, root: Path | None, pattern: str, last: int | None
) -> None:
    columns = (
        "run, run_date, started_at, finished_at, model_id, rows.n_input, rows.n_translated, "
        "rows.n_reused, rows.n_passed_through, rows.n_quarantined, n_units_planned, "
        "n_units_skipped, n_units_deferred, n_units_emitted, n_rows_retracted, replay_of, "
        "lineage.model, lineage.dataset_fingerprint, lineage.corpus"
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
        "n_rows_retracted": "BIGINT",
        "replay_of": "VARCHAR",
        "lineage": "STRUCT(model VARCHAR, dataset_fingerprint VARCHAR, corpus VARCHAR[])",
    }
    n_bytes = [file.stat().st_size for file in root.glob(pattern)] if root is not None else []
    if root is not None and n_bytes:
        listed = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
        _create_view(
            connection,
            "runs",
            f"SELECT {columns} FROM read_json({_quoted(root, pattern)}, columns = {{{listed}}}, "
            f"hive_partitioning = false, maximum_object_size = {max(_MIN_OBJECT_BYTES, *n_bytes)}) "
            f"{_until(last)} ORDER BY {_RUN_NUMBER}",
            root,
        )
    else:
        listed = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
        connection.execute(
            f"CREATE VIEW runs AS SELECT {columns} FROM (SELECT {listed}) WHERE run IS NOT NULL"
        )
