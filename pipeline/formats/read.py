"""Reading rows of text files, TSV, CSV, JSONL and Parquet, plain or compressed.

One bad row is a row with a ``problem``; a file that cannot be read as a whole is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.delimited import delimited_rows, read_header
from pipeline.formats.encoding import _checked, _lines, open_bytes, refuse_utf16
from pipeline.formats.jsonl import json_row
from pipeline.formats.parquet import open_parquet, parquet_rows
from pipeline.formats.rows import (
    TEXT_COLUMN,
    UNDECODABLE,
    Format,
    Row,
    check_readable,
    format_of,
    reading,
)

# A few bad lines are bad rows; a tenth of a file that is not UTF-8 is a file in another encoding.
_MIN_UNDECODABLE_ROWS = 10
_MAX_UNDECODABLE_SHARE = 0.1


def column_names(path: Path) -> list[str] | None:
    """Names of a file's columns, or None for JSONL, where each row has its own.

    Raises:
        InputError: the file cannot be read, or names a column twice.
    """
    check_readable(path)
    match format_of(path):
        case "text":
            return [TEXT_COLUMN]
        case "jsonl":
            return None
        case "parquet":
            names = list(open_parquet(path).schema_arrow.names)
        case "tsv" | "csv":
            names = read_header(path)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: column {twice!r} stands twice; rename one")
    return names


def iter_rows(path: Path) -> Iterator[Row]:
    """Every row of a file, in order, read as a stream.

    Raises:
        InputError: the file is missing, damaged, or as a whole not UTF-8.
    """
    check_readable(path)
    file_format = format_of(path)
    n_rows = 0
    undecodable: list[int] = []
    with reading(path):
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
    with open_bytes(path) as stream:
        refuse_utf16(path, stream)
        match file_format:
            case "jsonl":
                yield from (json_row(line) for line in _lines(stream) if line.strip())
            case "tsv" | "csv":
                yield from delimited_rows(path, stream)
            case _:
                yield from (_checked({TEXT_COLUMN: line}) for line in _lines(stream))
