"""The format of a file, told by its content and its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.formats.describe import describe_columns
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import format_of


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.tsv", "tsv"),
        ("a.csv.gz", "csv"),
        ("a.csv.bz2", "csv"),
        ("a.tsv.xz", "tsv"),
        ("a.b.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.pq", "parquet"),
        ("a.txt", "text"),
        ("corpus.csv.en", "text"),
        ("a.gz", "text"),
        ("a", "text"),
        ("EXPORT.CSV", "csv"),
        ("A.Tsv.GZ", "tsv"),
        ("a.csv.1", "csv"),
        ("a.jsonl-00003-of-00010", "jsonl"),
        ("part-00000-c000.snappy.parquet", "parquet"),
        *((f"train.{language}", "text") for language in ("cs", "pl", "sh", "ts", "br", "zh_Hant")),
    ],
)
def test_the_name_tells_the_format(name: str, found: str) -> None:
    assert format_of(Path(name)) == found


def parquet_file() -> bytes:
    """The content of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"]}), file)
    return file.getvalue()


def zip_file(name: str) -> bytes:
    """The content of a zip file with one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "text")
    return file.getvalue()


def tar_file() -> bytes:
    """The content of a tar file with one member."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return file.getvalue()


@pytest.mark.parametrize("name", ["a", "a.en", "a.txt", "a.pq", "a.csv", "a.parquet", "a.json"])
def test_parquet_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(parquet_file())
    assert [row.values for row in iter_rows(tmp_path / name)] == [{"text": "a"}, {"text": "b"}]


COMPRESSORS = [gzip.compress, zstandard.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("compress", COMPRESSORS)
@pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", "a.xz", "a.en.bz2"])
def test_compression_is_told_by_the_content(
    tmp_path: Path, compress: Callable[[bytes], bytes], name: str
) -> None:
    (tmp_path / name).write_bytes(compress(b"one\ntw") + compress(b"o\n"))
    assert [row.values["text"] for row in iter_rows(tmp_path / name)] == ["one", "two"]


@pytest.mark.parametrize("name", ["a.gz", "a.zst", "a.txt.bz2", "a.xz"])
def test_text_with_the_name_of_a_compressed_file_is_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"one\ntwo\n")
    assert [row.values["text"] for row in iter_rows(tmp_path / name)] == ["one", "two"]


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
@pytest.mark.parametrize("damage", [lambda c: c[:-4], lambda c: c + b"junk", lambda c: c + c[:-9]])
def test_damaged_bzip2_and_xz_are_refused(
    tmp_path: Path,
    compress: Callable[[bytes], bytes],
    damage: Callable[[bytes], bytes],
    refusal: Callable[..., str],
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(damage(compress(b"".join(b"line %d\n" % n for n in range(10_000)))))
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'<?xml version="1.0"?>\n<tmx version="1.4">\n', "is TMX"),
        (b"\xef\xbb\xbf\n<xliff version='1.2'>\n", "is XLIFF"),
        (b"<!DOCTYPE html>\n<html>\n", "is HTML"),
        (b'<?xml version="1.0"?>\n<note/>\n', "is XML"),
        (b'# de\nmsgid ""\nmsgstr ""\n"Language: de\\n"\n', "gettext catalogue"),
        (b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHi\r\n", "SRT subtitles"),
        (b"WEBVTT\n\n", "WebVTT subtitles"),
        (b"%PDF-1.7\n%\xe2\xe3\n", "is PDF"),
        (b"{\\rtf1 text}\n", "is RTF"),
        (b"SQLite format 3\x00" + bytes(100), "SQLite"),
        (b"ORC\x01" + bytes(100), "is ORC"),
        (b"Obj\x01" + bytes(100), "is Avro"),
        (b"ARROW1\x00\x00", "is Arrow"),
        (zip_file("word/document.xml"), "a Word document"),
        (zip_file("xl/workbook.xml"), "an Excel workbook"),
        (zip_file("en-es.en"), "a zip archive"),
        (tar_file(), "a tar archive"),
        (gzip.compress(tar_file()), "a tar archive"),
        (gzip.compress(gzip.compress(b"a\n" * 100)), "compressed twice"),
        (gzip.compress(parquet_file()), "a compressed Parquet file"),
        (b"7z\xbc\xaf\x27\x1c\x00", "7-Zip"),
        (b"\x04\x22\x4d\x18\x60", "is LZ4"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (bytes(range(256)) * 8, "is not text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",  # some contents hold the time
)
@pytest.mark.parametrize("name", ["a", "a.txt", "train.en", "a.csv", "a.jsonl"])
def test_files_that_are_not_text_are_refused_by_name(
    tmp_path: Path, content: bytes, kind: str, name: str, refusal: Callable[..., str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (None, describe_columns):
        assert kind in refusal(path, read)


@pytest.mark.parametrize(
    "name",
    ["a.po", "a.html", "a.xlf.gz", "README.md", "a.yaml", "a.py", "a.log", "a.SQL", "a.docx"],
)
def test_endings_of_markup_code_and_documents_are_refused(
    tmp_path: Path, name: str, refusal: Callable[..., str]
) -> None:
    (tmp_path / name).write_bytes(b"text\n")
    message = refusal(tmp_path / name)
    assert "cannot be read" in message
    assert all(known in message for known in (".parquet", ".jsonl", ".csv", ".tsv", ".txt", ".xz"))


@pytest.mark.parametrize("name", ["a.tmx", "a.xlf", "a.po.gz", "a.mo", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"text\n"])
def test_a_file_without_the_content_of_its_ending_is_refused(
    tmp_path: Path, name: str, content: bytes, refusal: Callable[..., str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert "unless its content is of that format" in refusal(tmp_path / name, format_of)


TEXTS = [
    "The dog runs.\nThe cat eats.\n",
    "Собака бежит.\nКошка ест.\n" * 3,
    "司机借走了新的雨伞，但是没有告诉任何人。\n狗跑。\n",
    "كلب يجري\nقطة تأكل\n",
    "😀 smile\n",
    "id,text\n1,one\n",
    "no line end",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["a.en", "a.csv"])
def test_other_unicode_encodings_are_refused_with_a_command_that_converts_them(
    tmp_path: Path, text: str, mark: str, encoding: str, name: str, refusal: Callable[..., str]
) -> None:
    path = tmp_path / name
    path.write_bytes((mark + text).encode(encoding))
    message = refusal(path)
    assert f"is {encoding[:6].upper()}; " in message
    iconv_name = message.split("iconv -f ")[1].split()[0]
    assert path.read_bytes().decode(iconv_name).removeprefix("\ufeff") == text


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.txt", ["good", "ba\0d", "\0"]),
        ("a.tsv", ["a\tb", "c\td", "e\0\tf", "\0\t\0"]),
        ("a.csv", ["a,b", "c,d", 'e\0,"f"', "g,\0"]),
        ("a.jsonl", ['{"a": "b"}', '{"a": "c\0"}', '{"a": "\0"}']),
    ],
)
def test_a_row_with_a_nul_byte_is_undecodable(tmp_path: Path, name: str, lines: list[str]) -> None:
    path = tmp_path / name
    path.write_text("".join(f"{line}\n" for line in [*lines, *[lines[-3]] * 30]))
    rows = list(iter_rows(path))
    assert [row.problem for row in rows[1:3]] == ["undecodable"] * 2
    assert {row.problem for row in [rows[0], *rows[3:]]} == {None}
    assert rows[1].detail == "a NUL character"
    assert not any("\0" in str(value) for row in rows for value in row.values.values())


def test_a_file_with_nul_bytes_in_many_rows_is_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a long line of text with a NUL\0 in it\n" * 20)
    assert "20 of 20 rows are not UTF-8 (the first is row 1: a NUL character)" in refusal(path)


def test_a_row_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n\r\n1,"x\r\n\r\ny"\r\n2\r\n3,z\r\n')
    rows = list(iter_rows(tmp_path / "a.csv"))
    assert [(row.line, row.n_lines) for row in rows] == [(3, 3), (6, 1), (7, 1)]
    assert (rows[1].text, rows[1].detail) == ("2", "1 cell, the header has 2")
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n\n[2]\n')
    rows = list(iter_rows(tmp_path / "a.jsonl"))
    assert [(row.line, row.text) for row in rows] == [(1, None), (3, "[2]")]
    (tmp_path / "a.txt").write_bytes(b"x\ny\n")
    assert [row.line for row in iter_rows(tmp_path / "a.txt")] == [1, 2]


def test_the_text_of_a_malformed_row_is_bounded_and_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"x\xff" * 100_000 + b"\n")
    (row,) = iter_rows(tmp_path / "a.csv")
    assert row.text == "x\ufffd" * 2048


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv", "a.jsonl"])
def test_lines_that_end_with_carriage_returns_alone_are_refused(
    tmp_path: Path, refusal: Callable[..., str], name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"source,target\rone,uno\rtwo,dos\r")
    assert "carriage returns alone" in refusal(path)


def test_one_line_may_have_a_carriage_return(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\rtwo\r")
    assert [row.values for row in iter_rows(path)] == [{"text": "one\rtwo"}]
