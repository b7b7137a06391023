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


_READ_ERRORS = (EOFError, zlib.error, csv.Error, OSError, pa.ArrowException, UnicodeDecodeError)


@dataclasses.dataclass(slots=True)
class Row:
    """One row of a file.

    Args:
        values: the cells by column name.
        problem: ``undecodable``, ``malformed``, or None if the row is good.
    """

    values: dict[str, Any]
    problem: str | None = None


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
