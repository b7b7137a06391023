"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.encoding import (
    _checked,
    _decoded,
    _lines,
    open_bytes,
    refuse_utf16,
    repaired_text,
)
from pipeline.formats.rows import MALFORMED, Row, format_of, reading

# A surrogate that no decoded file holds: escaped bytes are U+DC80 to U+DCFF.
_HIDDEN_RETURN = "\ud80d"


def read_header(path: Path) -> list[str]:
    with reading(path), open_bytes(path) as stream:
        refuse_utf16(path, stream)
        header = next(_csv_rows(path, stream), None)
    if header is None:
        raise InputError(f"{path}: empty: needs a first line with column names")
    if any(repaired_text(name) is not None for name in header):
        raise InputError(
            f"{path}: its first line is not UTF-8; convert the file, for example with "
            "`iconv -t UTF-8`"
        )
    return header


def _csv_rows(path: Path, stream: io.BufferedReader) -> Iterator[list[str]]:
    if format_of(path) == "tsv":
        # Corpora in TSV do not quote: a quotation mark there is a character like any other.
        return (line.split("\t") if line else [] for line in _lines(stream))
    csv.field_size_limit(sys.maxsize)
    # A map, not a generator: it goes on after the csv module has refused a row.
    return map(_returns_back, csv.reader(_returns_hidden(stream), strict=True))


def _returns_hidden(stream: io.BufferedReader) -> Iterator[str]:
    """Lines for the csv module, which takes an unquoted carriage return for the end of a row."""
    for line in _decoded(stream):
        text = line.removesuffix("\n").removesuffix("\r")
        yield text.replace("\r", _HIDDEN_RETURN) + line[len(text) :]


def _returns_back(cells: list[str]) -> list[str]:
    return [cell.replace(_HIDDEN_RETURN, "\r") for cell in cells]


def delimited_rows(path: Path, stream: io.BufferedReader) -> Iterator[Row]:
    rows = _csv_rows(path, stream)
    header = next(rows, None)
    if header is None:
        return
    n_rows = 0
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # the csv module goes on with the next line
            if "unexpected end" in str(error):
                raise InputError(
                    f"{path}: a quotation mark after row {n_rows} is never closed; close it, or "
                    "double it if it belongs to the text"
                ) from error
            row = Row({}, MALFORMED)
        else:
            if not cells:
                continue
            row = _checked(dict(zip(header, cells, strict=False)))
            if len(cells) != len(header):
                row.problem = MALFORMED
        n_rows += 1
        yield row
