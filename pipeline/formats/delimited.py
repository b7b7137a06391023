"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lingo_model import InputError
from pipeline.formats.encoding import (
    checked_row,
    iter_lines,
    open_bytes,
    refuse_utf16,
    repaired_text,
    text_stream,
)
from pipeline.formats.rows import MALFORMED, Row, read_errors_as_input_errors

DelimitedFormat = Literal["csv", "tsv"]

# The csv module ends a row at a carriage return in an unquoted cell. So each carriage return
# within a line is replaced by this character before parsing, and put back afterwards. It is a
# surrogate that decoding never produces: the bytes it escapes become U+DC80 to U+DCFF.
_HIDDEN_RETURN = "\ud80d"


def read_header(path: Path, file_format: DelimitedFormat) -> list[str]:
    """The column names in the first line of a file.

    Raises:
        InputError: the file is empty, or its first line is damaged or not UTF-8.
    """
    with read_errors_as_input_errors(path), open_bytes(path) as stream:
        refuse_utf16(path, stream)
        header = next(_cells_of_rows(stream, file_format), None)
    if header is None:
        raise InputError(f"{path}: empty; add a first line with the column names")
    if any(repaired_text(name) is not None for name in header):
        raise InputError(
            f"{path}: its first line is not UTF-8; convert the file, for example with "
            "`iconv -t UTF-8`"
        )
    return header


def delimited_rows(
    path: Path, stream: io.BufferedReader, file_format: DelimitedFormat
) -> Iterator[Row]:
    """The rows after the header. Blank lines are skipped.

    A row with too few or too many cells is malformed, and so is a CSV row that is quoted wrongly.

    Args:
        path: the file's name, for error messages.
        stream: the uncompressed bytes of the file.
        file_format: ``csv`` or ``tsv``.

    Raises:
        InputError: a quotation mark is not closed, so the rest of the file is one cell.
    """
    rows = _cells_of_rows(stream, file_format)
    header = next(rows, None)
    if header is None:
        return
    n_rows = 0
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # the csv module continues with the next line
            if "unexpected end" in str(error):
                raise InputError(
                    f"{path}: a quotation mark after row {n_rows} is never closed; close it, or "
                    "double it if it belongs to the text"
                ) from error
            row = Row({}, MALFORMED)
        else:
            if not cells:
                continue
            row = checked_row(dict(zip(header, cells, strict=False)))
            if len(cells) != len(header):
                row.problem = MALFORMED
        n_rows += 1
        yield row


def _cells_of_rows(stream: io.BufferedReader, file_format: DelimitedFormat) -> Iterator[list[str]]:
    """The cells of every line, the header included. A blank line has no cells."""
    if file_format == "tsv":
        # TSV corpora do not use quoting: a quotation mark is an ordinary character.
        return (line.split("\t") if line else [] for line in iter_lines(stream))
    csv.field_size_limit(sys.maxsize)
    # A map, because a generator would end when the csv module refuses a row.
    return map(_with_returns, csv.reader(_without_returns(stream), strict=True))


def _without_returns(stream: io.BufferedReader) -> Iterator[str]:
    """Lines whose carriage returns are hidden, except one at the end of the line."""
    for line in text_stream(stream):
        text = line.removesuffix("\n").removesuffix("\r")
        yield text.replace("\r", _HIDDEN_RETURN) + line[len(text) :]


def _with_returns(cells: list[str]) -> list[str]:
    return [cell.replace(_HIDDEN_RETURN, "\r") for cell in cells]
