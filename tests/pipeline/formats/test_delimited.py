"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.formats.describe import describe_columns
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row


def as_lines(texts: list[str]) -> bytes:
    """Plain text with one text on each line."""
    return "".join(f"{text}\n" for text in texts).encode()


def as_csv(pairs: list[tuple[str, str]], line_end: str = "\n") -> bytes:
    """CSV as Python writes it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerows([("source", "target"), *pairs])
    return text.getvalue().encode()


def rows_of(path: Path, content: bytes) -> list[Row]:
    """Write a file and read its rows."""
    path.write_bytes(content)
    return list(iter_rows(path))


def test_csv_cells_may_have_line_ends_commas_and_quotation_marks(tmp_path: Path) -> None:
    pairs = [("two\nlines", "a, b"), ('"', "dos\r\nlíneas"), ("a\rb", "\n")]
    assert rows_of(tmp_path / "x.csv", as_csv(pairs)) == [
        Row({"source": source, "target": target}) for source, target in pairs
    ]


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_carriage_return_in_a_cell_is_kept(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / ("x.csv" if delimiter == "," else "x.tsv")
    lines = ["source|target", "a\rb|c\r", "\rd|\r\re"]
    rows = rows_of(path, as_lines([f"{line}\r".replace("|", delimiter) for line in lines]))
    assert rows == [
        Row({"source": "a\rb", "target": "c\r"}),
        Row({"source": "\rd", "target": "\r\re"}),
    ]


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_row_with_another_number_of_cells_is_malformed(tmp_path: Path, delimiter: str) -> None:
    lines = ["source|target", "a|b", "short", "x|y|long", "c|d"]
    path = tmp_path / ("x.csv" if delimiter == "," else "x.tsv")
    rows = rows_of(path, as_lines([line.replace("|", delimiter) for line in lines]))
    assert [row.problem for row in rows] == [None, "malformed", "malformed", None]
    assert rows[1].values == {"source": "short"}
    assert rows[2].values == {"source": "x", "target": "y"}
    assert rows[3].values == {"source": "c", "target": "d"}


@pytest.mark.parametrize("cell", ['"a" b', '"He said "hi", then left"'])
def test_a_csv_row_with_wrong_quoting_is_malformed(tmp_path: Path, cell: str) -> None:
    content = f"source,target\na,b\n{cell},x\nc,d\n".encode()
    assert rows_of(tmp_path / "x.csv", content) == [
        Row({"source": "a", "target": "b"}),
        Row({}, "malformed"),
        Row({"source": "c", "target": "d"}),
    ]


def test_a_quotation_mark_that_is_never_closed_is_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'source,target\na,b\nc,"d\ne,f\ng,h\n')
    assert "quotation mark after row 1 is never closed" in refusal(path)


def test_an_unusable_header_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"")
    assert "empty; add a first line with the column names" in refusal(path, describe_columns)
    path.write_bytes(b"source\ttarget\tcaf\xe9\na\tb\tc\n")
    assert "first line is not UTF-8" in refusal(path, describe_columns)


def test_a_damaged_header_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    for name in ("x.tsv.gz", "x.csv.zst"):
        (tmp_path / name).write_bytes(b"garbage")
        assert "damaged" in refusal(tmp_path / name, describe_columns)
