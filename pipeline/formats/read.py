"""Reads the rows of a text, TSV, CSV, JSONL or Parquet file. All but Parquet may be compressed.

A row that cannot be read has a ``problem``. A file that cannot be read raises an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.delimited import delimited_rows
from pipeline.formats.encoding import checked_row, iter_lines, open_bytes, refuse_utf16
from pipeline.formats.jsonl import jsonl_rows
from pipeline.formats.parquet import parquet_rows
from pipeline.formats.rows import (
    UNDECODABLE,
    Format,
    Row,
    check_readable,
    format_of,
    read_errors_as_input_errors,
)
from pipeline.formats.text_column import TEXT_COLUMN

# If 10 or more rows, and a tenth of all rows, are not UTF-8, the file has another encoding.
_MIN_UNDECODABLE_ROWS = 10
_MAX_UNDECODABLE_SHARE = 0.1


def iter_rows(path: Path) -> Iterator[Row]:
    """Read every row of a file, in order, as a stream.

    Raises:
        InputError: the file is missing, damaged, or in another encoding than UTF-8.
    """
    check_readable(path)
    file_format = format_of(path)
    n_rows = 0
    undecodable: list[int] = []
    with read_errors_as_input_errors(path):
        rows = parquet_rows(path) if file_format == "parquet" else _text_rows(path, file_format)
        for row in rows:
            n_rows += 1
            if row.problem == UNDECODABLE:
                undecodable.append(n_rows)
            yield row
    if len(undecodable) >= max(_MIN_UNDECODABLE_ROWS, _MAX_UNDECODABLE_SHARE * n_rows):
        raise InputError(
            f"{path}: {len(undecodable)} of {n_rows} rows are not UTF-8 (the first is row "
            f"{undecodable[0]}); convert its text, for example with `iconv -t UTF-8`"
        )


def _text_rows(path: Path, file_format: Format) -> Iterator[Row]:
    """The rows of a file in any format but Parquet."""
    with open_bytes(path) as stream:
        refuse_utf16(path, stream)
        match file_format:
            case "jsonl":
                yield from jsonl_rows(stream)
            case "tsv" | "csv":
                yield from delimited_rows(path, stream, file_format)
            case _:
                yield from (checked_row({TEXT_COLUMN: line}) for line in iter_lines(stream))
