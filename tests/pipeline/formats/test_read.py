"""Reading rows: every format gives the same rows, and bad rows are told from bad files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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


def as_tsv(pairs: list[tuple[str, str]]) -> bytes:
    """TSV without quoting."""
    return as_lines(["source\ttarget", *("\t".join(pair) for pair in pairs)])


def as_csv(pairs: list[tuple[str, str]], line_end: str = "\n") -> bytes:
    """CSV as Python writes it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerows([("source", "target"), *pairs])
    return text.getvalue().encode()


def as_jsonl(pairs: list[tuple[str, str]], *, ascii_only: bool = False) -> bytes:
    """JSON lines."""
    rows = [{"source": source, "target": target} for source, target in pairs]
    return as_lines([json.dumps(row, ensure_ascii=ascii_only) for row in rows])


def as_parquet(pairs: list[tuple[str, str]]) -> bytes:
    """Parquet in row groups of two."""
    table = pa.table({"source": [p[0] for p in pairs], "target": [p[1] for p in pairs]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=2)
    return file.getvalue()


def rows_of(path: Path, content: bytes) -> list[Row]:
    """Write a file and read its rows."""
    path.write_bytes(content)
    return list(iter_rows(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", as_tsv(PAIRS)),
        ("x.tsv.gz", gzip.compress(as_tsv(PAIRS), mtime=0)),
        ("x.tsv.zst", zstandard.compress(as_tsv(PAIRS))),
        ("x.csv", as_csv(PAIRS)),
        ("x.csv", as_csv(PAIRS, "\r\n")),
        ("x.csv.zst", zstandard.compress(as_csv(PAIRS))),
        ("x.jsonl", as_jsonl(PAIRS)),
        ("x.jsonl", as_jsonl(PAIRS, ascii_only=True)),
        ("x.ndjson.gz", gzip.compress(as_jsonl(PAIRS), mtime=0)),
        ("x.parquet", as_parquet(PAIRS)),
    ],
)
def test_every_table_format_gives_the_same_rows(tmp_path: Path, name: str, content: bytes) -> None:
    assert rows_of(tmp_path / name, content) == [
        Row({"source": source, "target": target}) for source, target in PAIRS
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", b"\xef\xbb\xbfsource\ttarget\r\na\tb\r\n\r\nc\td\r\n"),
        ("x.csv", b"\xef\xbb\xbfsource,target\r\na,b\r\n\r\nc,d\r\n"),
        (
            "x.jsonl",
            b'\xef\xbb\xbf{"source":"a","target":"b"}\r\n\r\n{"source":"c","target":"d"}\r\n',
        ),
    ],
)
def test_tables_may_have_a_bom_dos_line_ends_and_blank_lines(
    tmp_path: Path, name: str, content: bytes
) -> None:
    assert rows_of(tmp_path / name, content) == [
        Row({"source": "a", "target": "b"}),
        Row({"source": "c", "target": "d"}),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", b"source\ttarget\na\tb\ncaf\xe9\tc\nd\te\n"),
        ("x.csv", b"source,target\na,b\ncaf\xe9,c\nd,e\n"),
        (
            "x.jsonl",
            b'{"source":"a","target":"b"}\n{"source":"caf\xe9","target":"c"}\n'
            b'{"source":"d","target":"e"}\n',
        ),
    ],
)
def test_only_the_row_that_is_not_utf8_is_undecodable(
    tmp_path: Path, name: str, content: bytes
) -> None:
    assert rows_of(tmp_path / name, content) == [
        Row({"source": "a", "target": "b"}),
        Row({"source": "caf\ufffd", "target": "c"}, "undecodable"),
        Row({"source": "d", "target": "e"}),
    ]


def latin1_lines(n_bad: int, n_good: int) -> bytes:
    """The good lines first."""
    return b"good\n" * n_good + b"caf\xe9\n" * n_bad


@pytest.mark.parametrize(("n_bad", "n_good"), [(9, 0), (9, 9), (10, 91), (50, 451)])
def test_a_few_undecodable_rows_are_bad_rows(tmp_path: Path, n_bad: int, n_good: int) -> None:
    rows = rows_of(tmp_path / "x.txt", latin1_lines(n_bad, n_good))
    assert [row.problem for row in rows] == [None] * n_good + ["undecodable"] * n_bad


@pytest.mark.parametrize(("n_bad", "n_good"), [(10, 0), (10, 90), (50, 450)])
def test_a_file_with_ten_and_a_tenth_undecodable_rows_is_refused(
    tmp_path: Path, n_bad: int, n_good: int, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(latin1_lines(n_bad, n_good))
    text = refusal(path)
    assert f"{n_bad} of {n_bad + n_good} rows are not UTF-8" in text
    assert f"the first is row {n_good + 1}" in text
    assert "iconv" in text


def test_a_parquet_file_with_too_many_undecodable_rows_is_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    raw = pa.array([b"caf\xe9"] * 10, pa.binary())
    source = pa.Array.from_buffers(pa.string(), 10, raw.buffers())
    pq.write_table(pa.table({"source": source}), tmp_path / "x.parquet")
    assert "10 of 10 rows are not UTF-8" in refusal(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["x.txt", "x.gz", "x.zst", "x.tsv", "x.jsonl", "x.parquet"])
def test_a_missing_file_and_a_folder_are_refused(
    tmp_path: Path, name: str, refusal: Callable[..., str]
) -> None:
    (tmp_path / "folder" / name).mkdir(parents=True)
    for read in (None, describe_columns):
        missing = refusal(tmp_path / name, read)
        assert missing.endswith("cannot be read (No such file or directory); check the path")
        folder = refusal(tmp_path / "folder" / name, read)
        assert folder.endswith("cannot be read (Is a directory); check the path")


def test_rows_are_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    lines = as_lines([f"line {n} {n * 7919 % 1000}" for n in range(250_000)])
    path.write_bytes(gzip.compress(lines)[:-1])
    first = next(iter_rows(path))  # the damage is at the end, which is not read
    assert first.values["text"] == "line 0 0"


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"x,y,x\n1,2,3\n"), ("a.tsv", b"x\tx\n1\t2\n"), ("a.parquet", None)],
)
def test_two_columns_of_one_name_are_refused(
    tmp_path: Path, refusal: Callable[..., str], name: str, content: bytes | None
) -> None:
    path = tmp_path / name
    if content is None:
        pq.write_table(pa.table([["a"], ["b"]], names=["x", "x"]), path)
    else:
        path.write_bytes(content)
    for read in (None, describe_columns):
        assert "two columns are named 'x'" in refusal(path, read)
