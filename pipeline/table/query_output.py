"""Writes the result of a query as CSV, JSON, JSON lines, Parquet or as a table of text.

DuckDB makes the text of each row, so numbers and nested values are exact. Rows are written as they
are read, so a large result needs no memory.

- CSV: a null is nothing, an empty text is ``""``. Nested values are JSON.
- JSON: decimals and large integers have all digits. Floats that JSON does not know are text.
- Binary values are text in which ``\\xFF`` stands for a byte that is not a printable ASCII
  character, in both. DuckDB's ``CAST(... AS BLOB)`` gives the bytes back.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import duckdb
import pyarrow as pa
from rich.cells import cell_len

from lingo_model import InputError
from pipeline.storage.backend import naming_file
from pipeline.table.disk_views import sql_string

OutputFormat = Literal["table", "csv", "json", "jsonl", "parquet"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

_ROWS_AT_ONCE = 10_000
_NESTED = ("STRUCT", "LIST", "MAP", "ARRAY", "UNION", "VARIANT", "JSON")
_NEEDS_QUOTES = r'[",\r\n]|^\s|\s$'
_FLOATS = ("FLOAT", "DOUBLE")


def write_result(result: duckdb.DuckDBPyRelation, output: BinaryIO, format_: OutputFormat) -> None:
    """Write all rows and columns of a result to a binary file.

    Raises:
        InputError: the format cannot hold the result.
        duckdb.Error: the query fails on a row.
        OSError: the file cannot be written.
    """
    if format_ == "parquet":
        _write_parquet(result, output)
        return
    for text in _texts(result, format_):
        output.write(text.encode("utf-8", errors="backslashreplace"))


def write_result_file(result: duckdb.DuckDBPyRelation, path: Path, format_: OutputFormat) -> None:
    """Write a result to a file, which appears under its name complete or not at all.

    Raises:
        InputError, duckdb.Error: see :func:`write_result`.
        OSError: the file cannot be written. The error names it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming_file(path), temporary.open("wb") as file:
            write_result(result, file, format_)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_parquet(result: duckdb.DuckDBPyRelation, output: BinaryIO) -> None:
    with tempfile.TemporaryDirectory(prefix="lingo-sql-") as folder:
        file = Path(folder, "result.parquet")
        result.write_parquet(str(file), compression="zstd")
        with file.open("rb") as content:
            while part := content.read(1 << 20):
                output.write(part)


def _texts(result: duckdb.DuckDBPyRelation, format_: OutputFormat) -> Iterator[str]:
    if format_ == "table":
        yield from _table_lines(result)
        return
    if format_ == "csv":
        yield ",".join(map(_csv_cell, result.columns)) + "\n"
        for line in _lines(result, _csv_line(result)):
            yield line + "\n"
        return
    rows = _lines(result, _json_object(result))
    if format_ == "jsonl":
        for row in rows:
            yield row + "\n"
        return
    separator = "[\n"
    for row in rows:
        yield separator + row
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _csv_cell(text: str) -> str:
    needs_quotes = not text or any(c in text for c in '",\r\n') or text != text.strip()
    return '"' + text.replace('"', '""') + '"' if needs_quotes else text


def _columns(result: duckdb.DuckDBPyRelation) -> list[tuple[str, str, str]]:
    """SQL name, name and type of each column. Two columns may have the same name."""
    types = [str(type_.id).upper() for type_ in result.types]
    return [
        (f"c{i}", name, type_)
        for i, (name, type_) in enumerate(zip(result.columns, types, strict=True))
    ]


def _csv_line(result: duckdb.DuckDBPyRelation) -> str:
    cells = []
    for column, _, type_ in _columns(result):
        text = f"CAST({f'to_json({column})' if type_ in _NESTED else column} AS VARCHAR)"
        cells.append(
            f"CASE WHEN {column} IS NULL THEN '' "
            f"WHEN {text} = '' OR regexp_matches({text}, {sql_string(_NEEDS_QUOTES)}) "
            f"""THEN concat('"', replace({text}, '"', '""'), '"') ELSE {text} END"""
        )
    return f"concat_ws(',', {', '.join(cells)})"


def _json_object(result: duckdb.DuckDBPyRelation) -> str:
    names = [name for _, name, _ in _columns(result)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            f"two columns are named {twice!r}: JSON needs different names; rename one with AS"
        )
    members = []
    for column, name, type_ in _columns(result):
        value = f"CAST(to_json({column}) AS VARCHAR)"
        if type_ in _FLOATS:
            value = (
                f"CASE WHEN isfinite({column}) THEN {value} "
                f"""ELSE concat('"', CAST({column} AS VARCHAR), '"') END"""
            )
        members.append(
            f"concat({sql_string(json.dumps(name, ensure_ascii=False) + ': ')}, "
            f"CASE WHEN {column} IS NULL THEN 'null' ELSE {value} END)"
        )
    return f"concat('{{', concat_ws(', ', {', '.join(members)}), '}}')"


def _lines(result: duckdb.DuckDBPyRelation, line: str) -> Iterator[str]:
    """One text for each row, made by an expression over the columns c0, c1, ..."""
    names = ", ".join(column for column, _, _ in _columns(result))
    for batch in _batches(result, f"SELECT {line} FROM __result AS r({names})"):
        yield from batch.column(0).to_pylist()


def _batches(result: duckdb.DuckDBPyRelation, sql: str) -> Iterator[pa.RecordBatch]:
    relation = result.query("__result", sql)
    assert relation is not None  # a SELECT has a result
    try:
        yield from relation.to_arrow_reader(_ROWS_AT_ONCE)
    except (pa.ArrowException, OSError) as error:
        # Arrow's stream of batches turns DuckDB's errors into its own.
        raise duckdb.Error(str(error)) from error


def _rows(result: duckdb.DuckDBPyRelation, sql: str) -> Iterator[tuple[str, ...]]:
    for batch in _batches(result, sql):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _table_lines(result: duckdb.DuckDBPyRelation) -> Iterator[str]:
    """A table of text with all rows and columns, as wide as they need."""
    header = [list(result.columns), [str(type_).lower() for type_ in result.types]]
    materialized = result.materialize()
    names = ", ".join(column for column, _, _ in _columns(result))
    cells = ", ".join(
        f"coalesce(replace(replace(CAST({column} AS VARCHAR), chr(10), '\\n'), chr(13), '\\r'), "
        "'NULL')"
        for column, _, _ in _columns(result)
    )
    sql = f"SELECT {cells} FROM __result AS r({names})"
    widths = [max(cell_len(text) for text in column) for column in zip(*header, strict=True)]
    for row in _rows(materialized, sql):
        widths = [max(w, cell_len(text)) for w, text in zip(widths, row, strict=True)]
    bars = ["─" * (width + 2) for width in widths]

    def line(row: tuple[str, ...] | list[str]) -> str:
        padded = [t + " " * (w - cell_len(t)) for t, w in zip(row, widths, strict=True)]
        return f"│ {' │ '.join(padded)} │\n"

    yield f"┌{'┬'.join(bars)}┐\n"
    yield from map(line, header)
    yield f"├{'┼'.join(bars)}┤\n"
    yield from map(line, _rows(materialized, sql))
    yield f"└{'┴'.join(bars)}┘\n"
