"""Reads the rows of a text, TSV, CSV, JSON or Parquet file. All but Parquet may be compressed.

A row that cannot be read has a ``problem``. A file that cannot be read raises an error.
:func:`pipeline.formats.bilingual.bilingual_rows` reads the formats that hold translations.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.compression import open_bytes
from pipeline.formats.delimited import delimited_rows
from pipeline.formats.encoding import BAD_BYTES_DETAIL, checked_row, iter_lines
from pipeline.formats.jsonl import json_value_rows, jsonl_rows
from pipeline.formats.options import DEFAULT_OPTIONS, ReadOptions
from pipeline.formats.parquet import parquet_rows
from pipeline.formats.rows import (
    UNDECODABLE,
    UNREADABLE_PROBLEMS,
    Format,
    Row,
    check_is_table,
    check_readable,
    format_of,
    json_layout_of,
    read_errors_as_input_errors,
)
from pipeline.formats.text_column import TEXT_COLUMN

# If 10 or more rows, and a tenth of all rows, have one problem, then the file as a whole has
# another encoding, another number of columns, or another format.
_MIN_PROBLEM_ROWS = 10
_MAX_PROBLEM_SHARE = 0.1

_MALFORMED_REMEDIES: dict[Format, str] = {
    "csv": (
        "give every row as many cells as the header, and put a cell with a comma, a quotation mark "
        "or a line break in quotation marks"
    ),
    "tsv": "give every row as many cells as the header",
    "jsonl": "write one JSON object on each line",
    "po": "mend the entries that `msgfmt --check` names",
}


def iter_rows(path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Iterator[Row]:
    """Read every row of a file, in order, as a stream.

    Args:
        path: the file.
        options: how the file is read.

    Raises:
        InputError: the file is missing, damaged, of an unknown format, or in another encoding than
            the options name, or many of its rows are malformed. Problems of many rows are found at
            the end.
    """
    check_readable(path)
    file_format = format_of(path, options.encoding)
    check_is_table(path, file_format)
    rows = (
        parquet_rows(path) if file_format == "parquet" else _text_rows(path, file_format, options)
    )
    yield from checked_rows(path, rows, file_format, options.encoding)


def checked_rows(
    path: Path, rows: Iterator[Row], file_format: Format, encoding: str | None
) -> Iterator[Row]:
    """The rows of a file, with an error at the end if too many cannot be read.

    Args:
        path: the file's name, for error messages.
        rows: its rows.
        file_format: its format.
        encoding: the encoding that the options name.

    Raises:
        InputError: the file is damaged, or many of its rows are malformed or undecodable.
    """
    n_rows = 0
    problems: dict[str, _Problem] = {}
    with read_errors_as_input_errors(path):
        for row in rows:
            n_rows += 1
            if row.problem in UNREADABLE_PROBLEMS:
                problems.setdefault(row.problem, _Problem(row, n_rows)).n_rows += 1
            yield row
    for problem in problems.values():
        if are_too_many(problem.n_rows, n_rows):
            raise InputError(f"{path}: {problem.message(n_rows, file_format, encoding)}")


def are_too_many(n_bad_rows: int, n_rows: int) -> bool:
    """Whether so many rows of a file have one problem that the whole file has it."""
    return n_bad_rows >= max(_MIN_PROBLEM_ROWS, _MAX_PROBLEM_SHARE * n_rows)


class _Problem:
    """How many rows of a file have one problem, and which row is the first."""

    def __init__(self, row: Row, number: int) -> None:
        self._problem = row.problem
        self._detail = row.detail
        is_line = row.line is None or row.line == number
        self._first = f"row {number}" if is_line else f"row {number}, line {row.line}"
        self.n_rows = 0

    def message(self, n_rows: int, file_format: Format, encoding: str | None) -> str:
        """What is wrong with the file, and what to do."""
        count = f"{self.n_rows} of {n_rows} rows are"
        is_plain = self._detail is None or self._detail == BAD_BYTES_DETAIL
        detail = "" if is_plain else f": {self._detail}"
        if self._problem == UNDECODABLE:
            remedy = (
                "set another `encoding` of the input"
                if encoding
                else "set the `encoding` of the input, or convert its text, for example with "
                "`iconv -t UTF-8`"
            )
            return (
                f"{count} not {encoding or 'UTF-8'} (the first is {self._first}{detail}); {remedy}"
            )
        remedy = _MALFORMED_REMEDIES.get(file_format, "write the file again")
        return f"{count} malformed (the first is {self._first}{detail}); {remedy}"


def _text_rows(path: Path, file_format: Format, options: ReadOptions) -> Iterator[Row]:
    """The rows of a file in any format but Parquet."""
    with open_bytes(path) as stream:
        match file_format:
            case "jsonl" if json_layout_of(path, options.encoding) == "lines":
                yield from jsonl_rows(stream, options.encoding)
            case "jsonl":
                yield from json_value_rows(path, stream, options.encoding)
            case "tsv" | "csv":
                yield from delimited_rows(path, stream, file_format, options)
            case _:
                for line, text in enumerate(iter_lines(stream, options.encoding), start=1):
                    yield checked_row({TEXT_COLUMN: text}, line)
