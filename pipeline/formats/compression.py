"""Decompression. The first bytes of a file tell how it is compressed; its name does not matter."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

Compression = Literal["gzip", "zstd", "bzip2", "xz"]

COMPRESSION_ENDINGS: dict[str, Compression] = {
    ".gz": "gzip",
    ".zst": "zstd",
    ".bz2": "bzip2",
    ".xz": "xz",
}
"""The compression that the end of a name promises."""

_FIRST_BYTES: dict[Compression, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
_N_FIRST_BYTES = 10
_CHUNK_BYTES = 1 << 18
_BUFFER_BYTES = 1 << 20

MAX_COMPRESSION_RATIO = 200
"""How many times longer than a compressed file its text may be. Most text has 3 to 20."""

MIN_BOMB_BYTES = 1 << 27
"""A text that is shorter is read, whatever its compression ratio."""


class TooLargeError(ValueError):
    """A file has a part that is so long that it is damaged or made to exhaust the reader."""


def compression_of(first_bytes: bytes) -> Compression | None:
    """How a file is compressed, told by its first 10 bytes. None if it is not compressed."""
    for compression, pattern in _FIRST_BYTES.items():
        if pattern.match(first_bytes):
            return compression
    return None


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed, told by its first bytes."""
    with path.open("rb") as stream:
        return compression_of(stream.read(_N_FIRST_BYTES)) is not None


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a plain, gzip, zstd, bzip2 or xz file for reading its uncompressed bytes."""
    plain = path.open("rb")
    first_bytes = plain.peek(_N_FIRST_BYTES)[:_N_FIRST_BYTES]
    raw: Any
    match compression_of(first_bytes):
        case "gzip":
            raw = gzip.open(plain)  # noqa: SIM115 - closed with the BufferedReader
        case "zstd":
            # Arrow's stream, because zstandard's own stream reader accepts a truncated file.
            plain.close()
            raw = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        case "bzip2":
            raw = _Decompressed(plain, bz2.BZ2Decompressor)
        case "xz":
            raw = _Decompressed(plain, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ))
        case _:
            plain.close()
            return io.BufferedReader(path.open("rb", buffering=0), buffer_size=_BUFFER_BYTES)
    bounded: Any = _BoundedRatio(raw, path.stat().st_size)
    return io.BufferedReader(bounded, buffer_size=_BUFFER_BYTES)


class _BoundedRatio(io.RawIOBase):
    """The uncompressed bytes of a stream, until there are too many of them.

    Args:
        raw: the stream of uncompressed bytes.
        n_compressed: the number of compressed bytes.
    """

    def __init__(self, raw: Any, n_compressed: int) -> None:
        self._raw = raw
        self._max_bytes = max(MIN_BOMB_BYTES, MAX_COMPRESSION_RATIO * n_compressed)
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer.

        Raises:
            TooLargeError: the stream is a decompression bomb.
        """
        n_read: int = self._raw.readinto(buffer)
        self._n_bytes += n_read
        if self._n_bytes > self._max_bytes:
            raise TooLargeError(
                f"its uncompressed text is more than {MAX_COMPRESSION_RATIO} times as long as the "
                "file, as in a decompression bomb"
            )
        return n_read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Decompressed(io.RawIOBase):
    """The uncompressed bytes of one or more compressed streams, one after the other.

    Not ``bz2.open`` or ``lzma.open``: they end without an error at a damaged second stream.
    """

    def __init__(self, compressed: io.BufferedReader, new_decompressor: Callable[[], Any]) -> None:
        self._compressed = compressed
        self._new_decompressor = new_decompressor
        self._decompressor = new_decompressor()
        self._next_input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        data = b""
        while not data:
            if self._decompressor.eof and not self._begin_stream():
                return 0
            chunk = b""
            if self._decompressor.needs_input:
                chunk = self._next_input or self._compressed.read(_CHUNK_BYTES)
                self._next_input = b""
                if not chunk:
                    raise EOFError("the compressed data ends too early")
            data = self._decompressor.decompress(chunk, max_length=len(view))
        view[: len(data)] = data
        return len(data)

    def _begin_stream(self) -> bool:
        """Begin the stream that follows. Returns False at the end of the file."""
        rest = self._decompressor.unused_data.lstrip(b"\0")  # xz streams may be padded
        while not rest:
            chunk = self._compressed.read(_CHUNK_BYTES)
            if not chunk:
                return False
            rest = chunk.lstrip(b"\0")
        self._next_input = rest
        self._decompressor = self._new_decompressor()
        return True

    def close(self) -> None:
        self._compressed.close()
        super().close()
