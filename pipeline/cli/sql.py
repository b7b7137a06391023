"""``lingo sql``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingo_model import InputError
from pipeline.cli.options import location_of, on_this_machine

if TYPE_CHECKING:
    import duckdb

    from pipeline.table.query_output import OutputFormat

_N_ROWS_SHOWN = 100


def sql(
    query: Annotated[str, typer.Argument(help="SQL in DuckDB's dialect.")],
    table: Annotated[str | None, typer.Option(help="A translation table, here or on S3.")] = None,
    reports: Annotated[
        Path | None,
        typer.Option(help="Folder of reports, for the view scores.", callback=on_this_machine),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Show the table as it was after this run."),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="table|csv|json|jsonl|parquet",
            help="The format of the result. [default: by the ending of --output, or table]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the result to this file instead of standard output.",
            callback=on_this_machine,
        ),
    ] = None,
) -> None:
    """Query a table with SQL.

    Views: translations, latest, quarantine, tombstones, runs, lineage; with --reports also scores.
    compare('A', 'B') joins the translations of two runs or models row by row.

    On a terminal, a table is cut to the width of the terminal. Elsewhere, and in every other
    format, all rows and columns are written.
    """
    import duckdb

    from pipeline.table.query import (
        connect,
        has_rows,
        is_query,
        refused,
        run_statement,
        statements_of,
    )

    if output is not None and not output.name:
        raise InputError(f"--output {str(output)!r}: needs the name of a file")
    output_format = _output_format(format_name, output)
    root = None if table is None else location_of(table)
    if root is None and as_of is not None:
        raise InputError("--as-of needs --table; name a translation table")
    statements = statements_of(query)
    n_results = sum(map(is_query, statements))
    if n_results > 1 and (output is not None or output_format != "table"):
        where = f"--output {output}" if output is not None else f"--format {output_format}"
        raise InputError(
            f"{where}: takes one result, and the query has {n_results}; run a command for each"
        )
    connection = connect(root, reports, as_of=as_of)
    for statement in statements:
        result = run_statement(connection, statement)
        if result is None or not has_rows(statement, result):
            continue
        try:
            _write(result, output, output_format)
        except duckdb.Error as error:
            raise refused(statement.query.strip(), error) from error


def _write(result: duckdb.DuckDBPyRelation, output: Path | None, format_: OutputFormat) -> None:
    from pipeline.storage.backend import naming_file
    from pipeline.table.query_output import write_result, write_result_file

    if output is not None:
        write_result_file(result, output, format_)
    elif format_ == "table" and sys.stdout.isatty():
        _show(result)
    else:
        with naming_file(Path("standard output")):
            sys.stdout.flush()
            write_result(result, sys.stdout.buffer, format_)
            sys.stdout.buffer.flush()


def _output_format(name: str | None, output: Path | None) -> OutputFormat:
    from pipeline.table.query_output import OUTPUT_FORMATS

    if name is None:
        ending = "" if output is None else output.suffix.removeprefix(".").lower()
        return next((known for known in OUTPUT_FORMATS if known == ending), "table")
    for known in OUTPUT_FORMATS:
        if known == name:
            if known == "parquet" and output is None and sys.stdout.isatty():
                raise InputError("--format parquet: a terminal cannot show it; add --output FILE")
            return known
    raise InputError(f"--format {name!r}: needs one of {', '.join(OUTPUT_FORMATS)}")


def _show(result: duckdb.DuckDBPyRelation) -> None:
    """Print the first rows, as wide as the terminal."""
    import shutil

    from pipeline.table.query import first_rows

    width = shutil.get_terminal_size((160, 24)).columns
    first_rows(result).show(max_width=width, max_rows=_N_ROWS_SHOWN)
