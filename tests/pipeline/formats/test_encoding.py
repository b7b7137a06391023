"""Plain and compressed text: lines, byte order marks, and damaged files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.formats.describe import describe_columns
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row

# Characters that some tools take for the end of a line. None of them ends a row.
PAIRS = [
    ("one", "uno"),
    ("line\u2028separator", "paragraph\u2029separator"),
    ("vertical\x0btab", "form\x0cfeed"),
    ("carriage\rreturn", "two\r\rreturns"),
    ("next\x85line", "file\x1cgroup\x1drecord\x1eunit\x1f"),
    ('say "hi"', "di «hola»"),
    ('"quoted"', "año 😀"),
    ("", "empty source"),
    ("  spaces  ", "bell\x07"),
    ("last", "último"),
]


def as_lines(texts: list[str]) -> bytes:
    """Plain text with one text on each line."""
    return "".join(f"{text}\n" for text in texts).encode()


def rows_of(path: Path, content: bytes) -> list[Row]:
    """Write a file and read its rows."""
    path.write_bytes(content)
    return list(iter_rows(path))


def texts_of(rows: list[Row]) -> list[str]:
    """The texts of the rows of a plain text file, none of which is bad."""
    assert [row.problem for row in rows] == [None] * len(rows)
    return [row.values["text"] for row in rows]


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("x", bytes),
        ("x.txt", bytes),
        ("x.en-es.en", bytes),
        ("x.en.gz", gzip.compress),
        ("x.en.zst", zstandard.compress),
    ],
)
def test_plain_text_has_one_row_for_each_line(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    texts = [text for pair in PAIRS for text in pair]
    assert texts_of(rows_of(tmp_path / name, compress(as_lines(texts)))) == texts


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_concatenated_compressed_files_are_one_file(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    name = "x.gz" if compress is gzip.compress else "x.zst"
    content = compress(b"one\ntw") + compress(b"o\n") + compress(b"three\n")
    assert texts_of(rows_of(tmp_path / name, content)) == ["one", "two", "three"]


def test_a_large_compressed_file_is_read_whole(tmp_path: Path) -> None:
    texts = [f"sentence number {n}" for n in range(60_000)]  # more than one buffer
    for name, compress in (("x.gz", gzip.compress), ("x.zst", zstandard.compress)):
        assert texts_of(rows_of(tmp_path / name, compress(as_lines(texts)))) == texts


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\rb\nc\r\r\n", ["a\rb", "c\r"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n".encode(), ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"]),
        (b"", []),
        (b"\n", [""]),
    ],
)
def test_only_a_line_feed_ends_a_line(tmp_path: Path, content: bytes, texts: list[str]) -> None:
    assert texts_of(rows_of(tmp_path / "x.txt", content)) == texts


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["x.txt", "x.tsv", "x.csv", "x.jsonl"])
def test_utf16_is_refused(
    tmp_path: Path, encoding: str, name: str, refusal: Callable[..., str]
) -> None:
    path = tmp_path / name
    path.write_bytes("\ufeffsource\ttarget\na\tb\n".encode(encoding))
    assert "UTF-16" in refusal(path)
    assert "iconv -f UTF-16 -t UTF-8" in refusal(path)
    if name in ("x.tsv", "x.csv"):
        assert "UTF-16" in refusal(path, describe_columns)


LINES = as_lines([f"line {n} {n * 7919 % 1000}" for n in range(5000)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("half.gz", gzip.compress(LINES, mtime=0)[:-2000]),
        ("last_byte.gz", gzip.compress(LINES, mtime=0)[:-1]),
        ("checksum.gz", gzip.compress(LINES, mtime=0)[:-8] + bytes(8)),
        ("garbage.gz", b"this is no gzip"),
        ("half.zst", zstandard.compress(LINES)[:-2000]),
        ("last_byte.zst", zstandard.compress(LINES)[:-1]),
        ("second_frame.zst", zstandard.compress(LINES) + zstandard.compress(LINES)[:-5]),
        ("garbage.zst", b"this is no zstd"),
        ("trailing.zst", zstandard.compress(LINES) + b"more"),
    ],
)
def test_a_damaged_compressed_file_is_refused(
    tmp_path: Path, name: str, content: bytes, refusal: Callable[..., str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = refusal(path)
    assert "damaged" in text
    assert "copy the file again" in text
