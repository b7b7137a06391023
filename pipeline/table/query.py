"""SQL over a translation table and score reports, by DuckDB. Reads only."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import duckdb

from lingo_model import InputError
from pipeline.schemas import SCORES
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.disk_views import (
    RUN_NUMBER_SQL,
    create_disk_views,
    create_parquet_view,
    first_line,
)
from pipeline.table.manifest import (
    IDENTITY,
    RunManifest,
    TableIdentity,
    run_named,
    run_number,
)
from pipeline.table.open_table import open_table
from pipeline.table.runs_view import register_runs
from pipeline.table.s3_table import S3Table
from pipeline.table.s3_views import register_s3_views

VIEWS = ("translations", "latest", "quarantine", "tombstones", "runs", "lineage", "scores")
# The README gives this query in full, for readers without this project.
_LATEST = f"""
    SELECT * FROM translations
    ANTI JOIN tombstones
        ON tombstones.row_id = translations.row_id
        AND {RUN_NUMBER_SQL.replace("run", "tombstones.run")}
            > {RUN_NUMBER_SQL.replace("run", "translations.run")}
    QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY {RUN_NUMBER_SQL} DESC) = 1
"""

# Of each row the newest version of the named run or model, and whether both say the same.
_COMPARE = f"""
    CREATE MACRO compare(a, b) AS TABLE
    WITH version AS (
        SELECT row_id, run, model_id, translation, score, source_hash,
            {RUN_NUMBER_SQL} AS _number, CAST({RUN_NUMBER_SQL} AS VARCHAR) AS _digits
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


def connect(
    table: Location | None, reports: Path | None, *, as_of: str | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB connection with the views of :data:`VIEWS` and the macro ``compare``.

    A view without data is empty. The views are ``translations`` (every version of every row),
    ``latest`` (the current version of each row), ``quarantine``, ``tombstones`` (ids of rows whose
    earlier versions are void), ``runs``, ``lineage`` (run, model, dataset and corpus of the latest
    rows) and ``scores``. ``compare(a, b)`` joins the versions of each row by two runs or models.

    Args:
        table: a translation table, here or on S3.
        reports: the folder of score reports.
        as_of: a run's name or number. Later runs are left out of every view.

    Raises:
        InputError: ``table`` is no translation table, or has no such run.
    """
    connection = duckdb.connect()
    runs: list[RunManifest] = []
    last: int | None = None
    if table is not None:
        TableIdentity.load(table / IDENTITY)
        runs = open_table(table).published()
        if as_of is not None:
            last = run_number(run_named(as_of, runs).run_id)
            runs = [run for run in runs if run_number(run.run_id) <= last]
    if isinstance(table, S3Path):
        register_s3_views(connection, S3Table(table), runs)
    else:
        create_disk_views(connection, None if table is None else table / "data", last)
    register_runs(connection, runs)
    connection.execute(f"CREATE VIEW latest AS {_LATEST}")
    connection.execute(f"CREATE VIEW lineage AS {_LINEAGE}")
    connection.execute(_COMPARE)
    scores = None if reports is None else reports / "scores"
    create_parquet_view(connection, "scores", scores, "*.parquet", SCORES)
    return connection


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
        raise InputError(f"{sql!r}: {first_line(error)}; views are {', '.join(VIEWS)}") from error


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
