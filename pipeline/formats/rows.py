"""What a row is, and which format a file name stands for."""

from __future__ import annotations

import csv
import dataclasses
import zlib
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from lingo_model import InputError

Format = Literal["text", "tsv", "csv", "jsonl", "parquet"]
_COMPRESSIONS = {".gz", ".zst"}

_FORMATS: dict[str, Format] = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

UNDECODABLE, MALFORMED = "undecodable", "malformed"
TEXT_COLUMN = "text"
"""The one column of a plain text file."""


@dataclasses.dataclass(slots=True)
class Row:
    """One row: its columns, and ``undecodable`` or ``malformed`` if it could not be read right."""

    values: dict[str, Any]
    problem: str | None = None


def format_of(path: Path) -> Format:
    """The format that a name's ending tells; any other ending is plain text, a sentence a line."""
    suffixes = [suffix for suffix in map(str.lower, path.suffixes) if suffix not in _COMPRESSIONS]
    return _FORMATS.get(suffixes[-1], "text") if suffixes else "text"


def check_readable(path: Path) -> None:
    """Raise :class:`InputError` when ``path`` is not a file that can be opened."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


class reading:
    """Turns what decompression, Arrow and csv raise into an InputError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        damaged = (EOFError, zlib.error, csv.Error, OSError, pa.ArrowException, UnicodeDecodeError)
        reason = " ".join(str(error).split())
        if isinstance(error, damaged):
            raise InputError(f"{self._path}: damaged ({reason}); copy the file again") from error
        if isinstance(error, OverflowError):  # a time after the year 9999
            raise InputError(
                f"{self._path}: holds a value that is too large ({reason}); drop its column"
            ) from error
