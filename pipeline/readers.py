"""Reading rows of text files, TSV, CSV, JSONL and Parquet, plain or compressed.

One bad row is a row with a ``problem``; a file that cannot be read as a whole is an error.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

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
# A few bad lines are bad rows; a tenth of a file that is not UTF-8 is a file in another encoding.
_MIN_UNDECODABLE_ROWS = 10
_MAX_UNDECODABLE_SHARE = 0.1
# A surrogate that no decoded file holds: escaped bytes are U+DC80 to U+DCFF.
_HIDDEN_RETURN = "\ud80d"

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
            names = _header(path)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: column {twice!r} stands twice; rename one")
    return names


def _header(path: Path) -> list[str]:
    with reading(path), open_bytes(path) as stream:
        _refuse_utf16(path, stream)
        header = next(_csv_rows(path, stream), None)
    if header is None:
        raise InputError(f"{path}: empty: needs a first line with column names")
    if any(repaired_text(name) is not None for name in header):
        raise InputError(
            f"{path}: its first line is not UTF-8; convert the file, for example with "
            "`iconv -t UTF-8`"
        )
    return header


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        InputError: no such file, or not Parquet.
    """
    check_readable(path)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as Parquet ({reason}); write it again") from error


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
        rows = _parquet_rows(path) if file_format == "parquet" else _text_rows(path, file_format)
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


def open_bytes(path: Path) -> io.BufferedReader:
    """The uncompressed bytes of a plain, gzip or zstd file."""
    raw: Any
    match path.suffix.lower():
        case ".gz":
            raw = gzip.open(path)  # noqa: SIM115 - closed with the BufferedReader
        case ".zst":
            # Arrow's, because zstandard's own stream reader takes a truncated file for a whole one.
            raw = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        case _:
            raw = path.open("rb", buffering=0)
    return io.BufferedReader(raw, buffer_size=1 << 20)


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


def _refuse_utf16(path: Path, stream: io.BufferedReader) -> None:
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(
            f"{path}: is UTF-16: needs UTF-8; convert it with `iconv -f UTF-16 -t UTF-8`"
        )


def _parquet_rows(path: Path) -> Iterator[Row]:
    for batch in open_parquet(path).iter_batches(batch_size=4096):
        try:
            rows = [Row(values) for values in batch.to_pylist()]
        except UnicodeDecodeError:  # Parquet does not check that text is UTF-8
            rows = [_checked(values) for values in _with_escapes(batch)]
        yield from rows


def _with_escapes(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows of a batch; bytes of text that are not UTF-8 come as lone surrogates."""
    columns: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            raw = column.cast(pa.large_binary()).to_pylist()
            columns[name] = [v and v.decode("utf-8", "surrogateescape") for v in raw]
        else:
            columns[name] = column.to_pylist()
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _text_rows(path: Path, file_format: Format) -> Iterator[Row]:
    with open_bytes(path) as stream:
        _refuse_utf16(path, stream)
        match file_format:
            case "jsonl":
                yield from (_json_row(line) for line in _lines(stream) if line.strip())
            case "tsv" | "csv":
                yield from _table_rows(path, stream)
            case _:
                yield from (_checked({TEXT_COLUMN: line}) for line in _lines(stream))


def _lines(stream: io.BufferedReader) -> Iterator[str]:
    """Lines without their end; bytes that are not UTF-8 come as lone surrogates."""
    for line in _decoded(stream):
        yield line.removesuffix("\n").removesuffix("\r")


def _decoded(stream: io.BufferedReader) -> io.TextIOWrapper:
    # newline="\n": only a line feed ends a line, as for every other tool that pairs lines.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def _checked(values: dict[str, Any]) -> Row:
    """A row whose text holds no surrogate, flagged if it had one."""
    problem = None
    for name, value in values.items():
        if isinstance(value, str) and (repaired := repaired_text(value)) is not None:
            values[name], problem = repaired, UNDECODABLE
    return Row(values, problem)


def repaired_text(text: str) -> str | None:
    """Text with U+FFFD in place of surrogates, or None where it holds none."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        # Escaped bytes go back to bytes; a lone surrogate that JSON spelled out does not.
        escapes = "surrogatepass" if _spelled(text) else "surrogateescape"
        return text.encode("utf-8", escapes).decode("utf-8", "replace")
    return None


def _spelled(text: str) -> bool:
    """Whether text holds a surrogate that is no escaped byte (U+DC80 to U+DCFF are)."""
    return any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in text)


def _json_row(line: str) -> Row:
    try:
        values, problem = json.loads(line), None
        # A surrogate anywhere in the values is an escaped byte of the line, or spelled out in it.
        if "\\u" in line or repaired_text(line) is not None:
            repaired = repaired_text(json.dumps(values, ensure_ascii=False))
            if repaired is not None:
                values, problem = json.loads(repaired), UNDECODABLE
    except (ValueError, RecursionError):
        return Row({}, MALFORMED)
    return Row(values, problem) if isinstance(values, dict) else Row({}, MALFORMED)


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


def _table_rows(path: Path, stream: io.BufferedReader) -> Iterator[Row]:
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
