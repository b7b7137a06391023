"""Queries translation tables and score reports with SQL.

Reads: a translation table and the folder of score reports, through views in DuckDB.
Writes: nothing.
Run: ``lingo sql --table TABLE QUERY``.
"""

from __future__ import annotations

import glob
import re
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
    create_scores_view,
    first_line,
    sql_string,
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
"""The views of :func:`connect`."""

# The README gives this query in full, for readers without this project.
_LATEST = f"""
    SELECT * FROM translations
    ANTI JOIN tombstones
        ON tombstones.row_id = translations.row_id
        AND {RUN_NUMBER_SQL.replace("run", "tombstones.run")}
            > {RUN_NUMBER_SQL.replace("run", "translations.run")}
    QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY {RUN_NUMBER_SQL} DESC) = 1
"""

# The newest version of each row by run or model a, beside its newest version by run or model b.
# A common table expression that is materialized is computed even if there are no rows to join.
_COMPARE = f"""
    CREATE MACRO compare(a, b) AS TABLE
    WITH names AS MATERIALIZED (SELECT run_or_model(a) AS name_a, run_or_model(b) AS name_b),
    version AS (
        SELECT row_id, run, model_id, translation, score, source_hash,
            {RUN_NUMBER_SQL} AS _number, CAST({RUN_NUMBER_SQL} AS VARCHAR) AS _digits
        FROM translations
    ),
    version_a AS (
        SELECT version.* FROM version, names WHERE name_a IN (run, model_id, _digits)
        QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY _number DESC) = 1
    ),
    version_b AS (
        SELECT version.* FROM version, names WHERE name_b IN (run, model_id, _digits)
        QUALIFY row_number() OVER (PARTITION BY row_id ORDER BY _number DESC) = 1
    )
    SELECT row_id, version_a.translation AS translation_a, version_b.translation AS translation_b,
        version_a.score AS score_a, version_b.score AS score_b,
        version_a.source_hash IS NOT DISTINCT FROM version_b.source_hash AS same_source,
        version_a.translation IS NOT DISTINCT FROM version_b.translation AS same_translation
    FROM version_a JOIN version_b USING (row_id)
"""

_LINEAGE = """
    WITH model AS (
        SELECT model_id AS id, arg_max(runs, finished_at) AS last FROM runs GROUP BY model_id
    )
    SELECT row_id, latest.run, latest.model_id,
        CASE WHEN runs.model_id = latest.model_id THEN runs.model ELSE last.model END AS model,
        last.dataset_fingerprint, last.corpus
    FROM latest JOIN runs USING (run) JOIN model ON latest.model_id = model.id
"""

# DuckDB prints at most 10,000 rows. One more row makes it print that there are more.
_N_ROWS_SHOWN = 10_001


def connect(
    table: Location | None, reports: Path | None, *, as_of: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the views of :data:`VIEWS` and the macro ``compare``.

    - ``translations``: every version of every row
    - ``latest``: the current version of each row
    - ``quarantine``: rows that could not be translated
    - ``tombstones``: ids of rows whose earlier versions are void
    - ``runs``: one row for each published run
    - ``lineage``: run, model, dataset and corpus of each row of ``latest``
    - ``scores``: the scores of evaluations

    A view without data is empty. ``compare(a, b)`` joins the versions of each row by two runs or
    models.

    Args:
        table: a translation table, here or on S3; None for no table.
        reports: the folder of score reports; None for no reports.
        as_of: the id or number of a run. The views then show the table as it was after this run.

    Raises:
        InputError: ``table`` is not a translation table, it has no such run, or its files cannot
            be read.
        OSError: S3 refuses or does not answer.
    """
    if reports is not None and reports.exists() and not reports.is_dir():
        raise InputError(f"{reports}: not a folder of reports; give the folder of `lingo evaluate`")
    connection = duckdb.connect()
    runs: list[RunManifest] = []
    if table is not None:
        TableIdentity.load(table / IDENTITY)
        runs = open_table(table).published()
        if as_of is not None:
            last_number = run_number(run_named(as_of, runs).run_id)
            runs = [run for run in runs if run_number(run.run_id) <= last_number]
    if isinstance(table, S3Path):
        register_s3_views(connection, S3Table(table), runs)
    else:
        create_disk_views(connection, None if table is None else table / "data", runs)
    register_runs(connection, runs)
    connection.execute(f"CREATE VIEW latest AS {_LATEST}")
    connection.execute(f"CREATE VIEW lineage AS {_LINEAGE}")
    connection.execute(_run_or_model(runs))
    connection.execute(_COMPARE)
    create_scores_view(connection, None if reports is None else reports / "scores", SCORES)
    return connection


def _run_or_model(runs: list[RunManifest]) -> str:
    """SQL of a macro that checks the name of a run or a model, for ``compare``.

    A run has its id and its number as names. The macro gives the number without leading zeros.
    """
    run_ids = [run.run_id for run in runs]
    numbers = [str(run_number(run_id)) for run_id in run_ids]
    models = list(dict.fromkeys(run.model_id for run in runs))
    known = ", ".join(map(sql_string, [*run_ids, *numbers, *models])) or "NULL"
    problem = sql_string(
        f" is not a run or a model of this table; its runs are {', '.join(run_ids) or 'none'}; "
        f"its models are {', '.join(models) or 'none'}"
    )
    return f"""
        CREATE MACRO run_or_model(name) AS CASE
            WHEN CAST(name AS VARCHAR) IN ({known}) THEN CAST(name AS VARCHAR)
            WHEN CAST(TRY_CAST(name AS BIGINT) AS VARCHAR) IN ({known})
                THEN CAST(TRY_CAST(name AS BIGINT) AS VARCHAR)
            ELSE error(concat('compare: ', name, {problem}))
        END
    """


def run_query(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation | None:
    """Run a statement.

    Args:
        connection: see :func:`connect`.
        sql: a statement in DuckDB's dialect.

    Returns:
        the first 10,001 rows of the result, or None for a statement without a result.

    Raises:
        InputError: DuckDB refuses the statement or cannot execute it. The message has its reason.
    """
    try:
        result = connection.sql(sql)
        # A relation is lazy. Without this, errors in the values would be raised when it is printed.
        # Not `result and ...`: the truth of a relation is its length, for which it runs whole.
        return None if result is None else first_rows(result)
    except duckdb.Error as error:
        raise refused(sql, error) from error


def first_rows(result: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The first 10,001 rows of a result, computed now. DuckDB prints at most 10,000 rows."""
    return result.limit(_N_ROWS_SHOWN).materialize()


def statements_of(sql: str) -> list[duckdb.Statement]:
    """The statements of a text, which ``;`` separates.

    Raises:
        InputError: DuckDB cannot parse the text.
    """
    if not sql.isascii():
        try:
            sql.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{sql!r}: is not UTF-8; check the encoding of the terminal"
            ) from error
    try:
        return duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise refused(sql, error) from error


def is_query(statement: duckdb.Statement) -> bool:
    """Whether a statement only reads rows. ``PIVOT`` is several statements that do."""
    expected = statement.expected_result_type
    is_pivot = statement.type == duckdb.StatementType.MULTI
    return is_pivot or expected == [duckdb.ExpectedResultType.QUERY_RESULT]


def has_rows(statement: duckdb.Statement, result: duckdb.DuckDBPyRelation | None) -> bool:
    """Whether the result of a statement is rows, and not only a number of changed rows."""
    return result is not None and (is_query(statement) or result.columns != ["Count"])


def run_statement(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement
) -> duckdb.DuckDBPyRelation | None:
    """Run a statement of :func:`statements_of`.

    Returns:
        the result, or None for a statement without a result. The rows are computed when they are
        read.

    Raises:
        InputError: DuckDB refuses the statement. The message has its reason.
    """
    try:
        return connection.sql(statement)
    except duckdb.Error as error:
        raise refused(statement.query.strip(), error) from error


def refused(sql: str, error: duckdb.Error) -> InputError:
    """The error for a statement that DuckDB refuses or cannot execute."""
    return InputError(f"{sql!r}: {first_line(error)}; views are {', '.join(VIEWS)}")


def sql_command(table: Location) -> str:
    """A shell command that queries a table."""
    query = (
        "SELECT status, count(*) AS n_rows, round(avg(score), 3) AS mean_score "
        "FROM latest GROUP BY status"
    )
    return shlex.join([_command(), "sql", "--table", str(table), query])


def rejected_rows_command(dataset: Path) -> str:
    """A shell command that shows rows that ``prepare`` rejected."""
    files = sql_string(f"{glob.escape(str(dataset / 'rejected'))}/*.parquet")
    query = (
        "SELECT reason, origin, line, detail, text, source, target "
        f"FROM read_parquet({files}, hive_partitioning = false)"
    )
    quoted = shlex.quote(query) if re.search(r'["$`\\!]', query) else f'"{query}"'
    return f"{shlex.quote(_command())} sql {quoted}"


def _command() -> str:
    """``lingo`` if it is on the PATH, else the path of the running one."""
    script = Path(sys.executable).with_name("lingo")
    if shutil.which("lingo") is not None or not script.exists():
        return "lingo"
    return str(script.absolute())
