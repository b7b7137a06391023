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
from typing import IO, Any, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

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

TEXT_COLUMN = "text"
"""The one column of a plain text file."""


@dataclasses.dataclass(slots=True)
class Row:
    """One row: its columns, and ``undecodable`` or ``malformed`` if it could not be read right."""

    values: dict[str, Any]
    problem: str | None = None


def format_of(path: Path) -> Format:
    """The format that a name's ending tells; any other ending is plain text, a sentence a line."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in _COMPRESSIONS]
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
            return list(open_parquet(path).schema_arrow.names)
        case "tsv" | "csv":
            with _reading(path), open_bytes(path) as stream:
                header = next(_csv_rows(path, stream), None)
            if header is None:
                raise InputError(f"{path}: empty: needs a first line with column names")
            if len(set(header)) != len(header):
                twice = next(name for name in header if header.count(name) > 1)
                raise InputError(f"{path}: column {twice!r} stands twice; rename one")
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
        raise InputError(f"{path}: not readable as Parquet ({error}); write it again") from error


def iter_rows(path: Path) -> Iterator[Row]:
    """Every row of a file, in order, read as a stream.

    Raises:
        InputError: the file is missing, damaged, or as a whole not UTF-8.
    """
    check_readable(path)
    file_format = format_of(path)
    if file_format == "parquet":
        parquet = open_parquet(path)
        for batch in parquet.iter_batches(batch_size=4096):
            yield from (Row(values) for values in batch.to_pylist())
        return
    n_rows = 0
    undecodable: list[int] = []
    with _reading(path), open_bytes(path) as stream:
        _refuse_utf16(path, stream)
        for row in _text_rows(path, stream, file_format):
            n_rows += 1
            if row.problem == "undecodable":
                undecodable.append(n_rows)
            yield row
    if len(undecodable) >= max(_MIN_UNDECODABLE_ROWS, _MAX_UNDECODABLE_SHARE * n_rows):
        raise InputError(
            f"{path}: {len(undecodable)} of {n_rows} rows are not UTF-8 (the first is row "
            f"{undecodable[0]}); convert the file, for example with `iconv -t UTF-8`"
        )


def open_bytes(path: Path) -> io.BufferedReader:
    """The uncompressed bytes of a plain, gzip or zstd file."""
    raw: IO[bytes] = path.open("rb")
    if path.suffix == ".gz":
        raw = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    elif path.suffix == ".zst":
        raw = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=True)
    return io.BufferedReader(cast("io.RawIOBase", raw), buffer_size=1 << 20)


class _reading:
    """Turns what decompression and the csv module raise into an InputError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        damaged = (EOFError, zlib.error, zstandard.ZstdError, csv.Error, OSError)
        if isinstance(error, damaged):
            raise InputError(f"{self._path}: damaged ({error}); copy the file again") from error


def _refuse_utf16(path: Path, stream: io.BufferedReader) -> None:
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(
            f"{path}: is UTF-16: needs UTF-8; convert it with `iconv -f UTF-16 -t UTF-8`"
        )


def _text_rows(path: Path, stream: io.BufferedReader, file_format: Format) -> Iterator[Row]:
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
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                problem = "undecodable"
                # Escaped bytes go back to bytes; a lone surrogate that JSON spelled out does not.
                raw = value.encode(
                    "utf-8", "surrogatepass" if _spelled(value) else "surrogateescape"
                )
                values[name] = raw.decode("utf-8", "replace")
    return Row(values, problem)


def _spelled(text: str) -> bool:
    """Whether text holds a surrogate that is no escaped byte (U+DC80 to U+DCFF are)."""
    return any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in text)


def _json_row(line: str) -> Row:
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    return _checked(values) if isinstance(values, dict) else Row({}, "malformed")


def _csv_rows(path: Path, stream: io.BufferedReader) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)
    if format_of(path) == "tsv":
        # Corpora in TSV do not quote: a quotation mark there is a character like any other.
        return csv.reader(_decoded(stream), delimiter="\t", quoting=csv.QUOTE_NONE)
    return csv.reader(_decoded(stream))


def _table_rows(path: Path, stream: io.BufferedReader) -> Iterator[Row]:
    rows = _csv_rows(path, stream)
    header = next(rows, None)
    if header is None:
        return
    for cells in rows:
        if len(cells) == len(header):
            yield _checked(dict(zip(header, cells, strict=True)))
        elif cells:
            kept = _checked(dict(zip(header, cells, strict=False)))
            yield Row(kept.values, "malformed")
