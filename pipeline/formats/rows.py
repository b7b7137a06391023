"""A row of an input file, the file formats, and the errors of reading a file."""

from __future__ import annotations

import csv
import dataclasses
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from lingo_model import InputError
from pipeline.errors import one_line

Format = Literal["text", "tsv", "csv", "jsonl", "parquet"]
"""``text`` is plain text with a sentence on each line."""

_COMPRESSIONS = {".gz", ".zst"}

_FORMATS: dict[str, Format] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

UNDECODABLE = "undecodable"
"""The problem of a row with bytes that are not UTF-8. They are replaced by U+FFFD."""

MALFORMED = "malformed"
"""The problem of a row that breaks the rules of its format, or has too many or too few cells."""

MAX_TEXT_CHARACTERS = 4096
"""How much of the text of a malformed row is kept."""

_READ_ERRORS = (EOFError, zlib.error, csv.Error, OSError, pa.ArrowException, UnicodeDecodeError)


@dataclasses.dataclass(slots=True)
class Row:
    """One row of a file. Rows are equal if their values and problems are.

    Args:
        values: the cells by column name.
        problem: ``undecodable``, ``malformed``, or None if the row is good.
        detail: why the row has its problem, such as ``3 cells, the header has 2``.
        line: the number of its first line in the uncompressed file, counted from 1. None for
            Parquet.
        n_lines: the number of lines that it takes.
        text: the beginning of a malformed row's text, as it is in the file.
    """

    values: dict[str, Any]
    problem: str | None = None
    detail: str | None = dataclasses.field(default=None, compare=False)
    line: int | None = dataclasses.field(default=None, compare=False)
    n_lines: int = dataclasses.field(default=1, compare=False)
    text: str | None = dataclasses.field(default=None, compare=False)


def format_of(path: Path) -> Format:
    """The format of a file by its extension. A file with any other extension is plain text."""
    suffixes = [suffix for suffix in map(str.lower, path.suffixes) if suffix not in _COMPRESSIONS]
    return _FORMATS.get(suffixes[-1], "text") if suffixes else "text"


def check_readable(path: Path) -> None:
    """Check that a file can be opened.

    Raises:
        InputError: the file is missing, is a folder, or may not be read.
    """
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


@contextmanager
def read_errors_as_input_errors(path: Path) -> Iterator[None]:
    """Turn the errors of decompression, Arrow and the csv module into errors that name the file.

    Raises:
        InputError: the file is damaged, or holds a value that Python cannot represent.
    """
    try:
        yield
    except _READ_ERRORS as error:
        reason = one_line(error)
        raise InputError(f"{path}: damaged ({reason}); copy the file again") from error
    except OverflowError as error:  # a timestamp after the year 9999
        reason = one_line(error)
        raise InputError(
            f"{path}: holds a value that is too large ({reason}); drop its column"
        ) from error
