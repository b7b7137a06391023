"""Decompression and UTF-8 decoding of text files."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.rows import UNDECODABLE, Row


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


def refuse_utf16(path: Path, stream: io.BufferedReader) -> None:
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(
            f"{path}: is UTF-16: needs UTF-8; convert it with `iconv -f UTF-16 -t UTF-8`"
        )


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
