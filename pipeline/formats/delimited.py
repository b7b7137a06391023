"""Rows of CSV and TSV files."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lingo_model import InputError
from pipeline.formats.compression import open_bytes
from pipeline.formats.encoding import (
    checked_row,
    lines_with_ends,
    malformed_row,
    repaired_text,
    too_long_row,
    too_long_text,
)
from pipeline.formats.escapes import Escapes
from pipeline.formats.options import DEFAULT_OPTIONS, ReadOptions
from pipeline.formats.quoting import is_in_marks, records_by_quoting
from pipeline.formats.records import Record, quoted_records, unquoted_records
from pipeline.formats.rows import (
    MAX_ROW_CHARACTERS,
    Row,
    check_unique_names,
    head_lines,
    read_errors_as_input_errors,
)
from pipeline.formats.table_shape import TableShape

DelimitedFormat = Literal["csv", "tsv"]

_DELIMITERS: dict[DelimitedFormat, str] = {"csv": ",", "tsv": "\t"}

# The other delimiters that programs write. The first one wins if the header has as many of another.
_SNIFFED_DELIMITERS = ";|\t"
_N_SNIFFED_LINES = 100
_QUOTED = re.compile(r'"(?:[^"]|"")*"')

# Excel reads, and some programs write, a first line that names the delimiter.
_EXCEL_DELIMITER = re.compile(r'"?sep=([^"\r\n])"?\r?\n', re.IGNORECASE)


def read_header(
    path: Path, file_format: DelimitedFormat, options: ReadOptions = DEFAULT_OPTIONS
) -> list[str]:
    """The column names in the first line of a file.

    Raises:
        InputError: the file is empty, or its first line is damaged or not UTF-8.
    """
    with read_errors_as_input_errors(path), open_bytes(path) as stream:
        header, _, _ = _header_and_records(path, stream, file_format, options)
    if header is None:
        raise InputError(f"{path}: empty; add a first line with the column names")
    return header


def delimited_rows(
    path: Path,
    stream: io.BufferedReader,
    file_format: DelimitedFormat,
    options: ReadOptions = DEFAULT_OPTIONS,
) -> Iterator[Row]:
    """The rows after the header. Blank lines are skipped.

    A row with too few or too many cells is malformed, and so is a row that is quoted wrongly. But
    if every row ends in a delimiter and the header does not, the empty last cells are left out.

    Args:
        path: the file's name, for error messages.
        stream: the uncompressed bytes of the file.
        file_format: ``csv`` or ``tsv``.
        options: how the file is read.
    """
    header, records, shape = _header_and_records(path, stream, file_format, options)
    if header is None:
        return
    n_columns = len(header)
    standard = _standard(options)
    is_half = False  # whether the last row seems to be the first half of one with a line break
    for cells, line, n_lines, text, problem in records:
        if len(cells) == n_columns and not is_half:
            values = dict(zip(header, cells, strict=False))
            if repaired_text(text) is None:  # one check for all cells
                yield Row(values, None, None, line, n_lines)
            elif (start := too_long_text(text)) is not None:
                yield too_long_row(line, start, header)
            else:
                yield checked_row(values, line, n_lines)
        elif (start := too_long_text(text)) is not None:
            yield too_long_row(line, start, header)
            is_half = False
        elif problem is not None:
            yield malformed_row(line, text, problem)
        elif not cells:
            continue
        elif len(cells) == n_columns + 1 and not cells[-1] and shape.has_trailing_cell:
            yield checked_row(dict(zip(header, cells[:-1], strict=True)), line, n_lines)
        elif len(cells) != n_columns:
            cells_word = "cell" if len(cells) == 1 else "cells"
            detail = f"{len(cells)} {cells_word}, {standard} has {n_columns}"
            values = dict(zip(header, cells, strict=False))
            yield malformed_row(line, text, detail, values, n_lines)
            is_half = not shape.is_quoted and _is_opened(cells[-1])
        elif _is_closed(cells[0]):
            detail = "the second half of a row with a line break in a cell"
            yield malformed_row(line, text, detail, dict(zip(header, cells, strict=True)))
            is_half = _is_opened(cells[-1])
        else:
            is_half = False
            yield checked_row(dict(zip(header, cells, strict=True)), line, n_lines)


def _standard(options: ReadOptions) -> str:
    """What says how many cells a row needs, for messages."""
    if options.columns is not None:
        return "the list of columns"
    return "the header" if options.header else "the first row"


def _is_opened(cell: str) -> bool:
    """Whether a cell begins with a quotation mark that is not closed."""
    return cell.startswith('"') and cell.count('"') % 2 == 1


def _is_closed(cell: str) -> bool:
    """Whether a cell ends with a quotation mark that is not opened."""
    return cell.endswith('"') and cell.count('"') % 2 == 1


def delimiter_of(
    path: Path, file_format: DelimitedFormat, options: ReadOptions = DEFAULT_OPTIONS
) -> str:
    """The character between the cells of a file.

    It is the delimiter of the options, or that of a first line such as ``sep=;``. Otherwise, it is
    a tab for TSV. For CSV, it is a comma, unless the first line has no comma and has a semicolon, a
    vertical bar or a tab, which most of the next lines have, too.

    Raises:
        InputError: the compressed file is damaged.
    """
    return _dialect(head_lines(path, options.encoding), file_format, options)[0]


def _dialect(
    head: list[str], file_format: DelimitedFormat, options: ReadOptions
) -> tuple[str, int]:
    """The delimiter of a file, and how many lines come before the header."""
    match = _EXCEL_DELIMITER.fullmatch(head[0]) if file_format == "csv" and head else None
    if match:
        return options.delimiter or match[1], 1
    if options.delimiter is not None:
        return options.delimiter, 0
    return (_sniffed_delimiter(head) if file_format == "csv" else _DELIMITERS[file_format]), 0


def _sniffed_delimiter(head: list[str]) -> str:
    """The delimiter of CSV, told by its header; see :func:`delimiter_of`."""
    bare = [_QUOTED.sub("", line) for line in head if line.strip()][:_N_SNIFFED_LINES]
    comma = _DELIMITERS["csv"]
    if not bare or comma in bare[0]:
        return comma
    counts = {
        delimiter: bare[0].count(delimiter)
        for delimiter in _SNIFFED_DELIMITERS
        if 2 * sum(delimiter in line for line in bare) > len(bare)
    }
    best = max(counts, key=lambda delimiter: counts[delimiter], default=comma)
    return best if counts.get(best) else comma


def _header_and_records(
    path: Path, stream: io.BufferedReader, file_format: DelimitedFormat, options: ReadOptions
) -> tuple[list[str] | None, Iterator[Record], TableShape]:
    """The column names, the records after the header, and what the rows of the file look like.

    The names are None if the file has no line that is not blank.
    """
    lines = lines_with_ends(stream, options.encoding)
    head = head_lines(path, options.encoding)
    delimiter, n_before = _dialect(head, file_format, options)
    if n_before:
        del head[0]
        next(lines)
    if options.escape is not None:
        escapes = Escapes(options.escape, delimiter)
        head = list(map(escapes.hidden, head))
        lines = map(escapes.hidden, lines)
    shape = TableShape(head, delimiter)
    first_line = n_before + 1
    is_auto = options.quoting == "auto"
    if options.quoting == "minimal" or (is_auto and file_format == "csv"):
        shape.is_quoted = True
        records = quoted_records(lines, delimiter, first_line, shape.stray_quote)
    elif options.quoting == "none":
        records = unquoted_records(lines, delimiter, first_line)
    else:
        records = records_by_quoting(lines, delimiter, first_line, shape)
    if options.escape is not None:
        records = map(escapes.restored, records)
    if options.columns is not None:
        shape.n_columns = len(options.columns)
        return list(options.columns), records, shape
    first = next((record for record in records if record[0] or record[-1]), None)
    if first is None:
        return None, records, shape
    if not options.header:
        shape.n_columns = len(first[0]) or 1
        names = [str(number) for number in range(1, shape.n_columns + 1)]
        return names, itertools.chain([first], records), shape
    names = _checked_header(path, first)
    check_unique_names(path, names)
    shape.n_columns = len(names)
    if is_auto and all(map(is_in_marks, names)):
        names = [name[1:-1].replace('""', '"') for name in names]  # only the header is quoted
    return names, records, shape


def _checked_header(path: Path, record: Record) -> list[str]:
    """The column names that a record holds.

    Raises:
        InputError: it is malformed, or cannot be decoded.
    """
    names, line, _, text, problem = record
    if too_long_text(text) is not None:
        problem = f"is longer than {MAX_ROW_CHARACTERS:,} characters"
    if problem is not None:
        raise InputError(
            f"{path}: line {line} needs the column names, but {problem}; mend the line"
        )
    if any(repaired_text(name) is not None for name in names):
        raise InputError(
            f"{path}: its first line is not UTF-8; set the `encoding` of the input, or convert the "
            "file, for example with `iconv -t UTF-8`"
        )
    return names
