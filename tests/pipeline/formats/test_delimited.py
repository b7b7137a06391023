"""Rows of CSV and TSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.formats import records
from pipeline.formats.describe import describe_columns
from pipeline.formats.options import ReadOptions
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


ROWS = [f"Row {n} eats.,Fila {n} come." for n in range(150)]


@pytest.mark.parametrize("between", [ROWS[:1], ROWS[:3], ROWS])
@pytest.mark.parametrize(
    "closing", ['He said "go" twice.,Dijo.', 'He said go",Dijo.', 'He said go,"Dijo', None]
)
@pytest.mark.parametrize("opening", ['"Stop here,Para aqui.', 'Stop here,"Para aqui.'])
def test_a_stray_quotation_mark_costs_one_row(
    tmp_path: Path, opening: str, between: list[str], closing: str | None
) -> None:
    after = [] if closing is None else [closing, "The horse eats.,El caballo come."]
    lines = ["en,es", "The cat sleeps.,El gato duerme.", opening, *between, *after]
    rows = rows_of(tmp_path / "x.csv", as_lines(lines))
    assert [row.line for row in rows] == list(range(2, len(lines) + 1))
    bad = [row for row in rows if row.problem]
    assert (bad[0].line, bad[0].text, bad[0].n_lines) == (3, opening, 1)
    assert "quotation mark" in str(bad[0].detail)
    expected = [dict(zip(("en", "es"), line.split(","), strict=True)) for line in between]
    assert [row.values for row in rows[2 : 2 + len(between)]] == expected
    # The line that closes the cell may be a row with a stray mark of its own.
    assert {row.line for row in bad} <= {3, 4 + len(between)}


def test_a_stray_quotation_mark_in_a_table_with_numbers_and_quoted_cells(tmp_path: Path) -> None:
    lines = ["id,score,text,more", *(f'{n},0.{n},"yes, {n}",' for n in range(20))]
    lines += ['20,0.5,"Stop here,x', "21,0.5,go,", '22,0.5,"a, b",', '23,0.5,run",', "24,1,z,"]
    rows = rows_of(tmp_path / "x.csv", as_lines(lines))
    assert [row.line for row in rows if row.problem] == [22]
    assert [row.values["text"] for row in rows[-4:]] == ["go", "a, b", 'run"', "z"]


@pytest.mark.parametrize(
    "cells",
    [
        ("Dear all,\nas agreed, we meet on Monday.\nYours, Eva", "Hola"),
        ("Hello,\nworld", "Hola,\nmundo"),
        ("Roses are red,\nViolets are blue,\nSugar is sweet,\nAnd so are you", "Rosas"),
        ("x", "Dear Eva,\nHello,\nYours,\nAda"),
        ('Say ""no"",go\nor ""yes"",stay', "Hola"),
        ("x", "It costs 1,000 dollars.\nOr 2,5 euros,\nor 3,14."),
        ("one\n\ntwo", ""),
        ("\n", "\n\n"),
        ('say ""hi""\nand, go', "a\nb\nc\nd\ne"),
    ],
)
@pytest.mark.parametrize("n_others", [0, 50])
def test_a_cell_of_several_lines_of_text_is_one_cell(
    tmp_path: Path, cells: tuple[str, str], n_others: int
) -> None:
    others = [(f"Row {n}", f"Fila {n}") for n in range(n_others)]
    rows = rows_of(tmp_path / "x.csv", as_csv([*others, cells, ("after", "luego")]))
    assert [tuple(row.values.values()) for row in rows] == [*others, cells, ("after", "luego")]
    assert [row.problem for row in rows] == [None] * (n_others + 2)
    row = rows[n_others]
    assert (row.line, row.n_lines) == (n_others + 2, 1 + "".join(cells).count("\n"))
    assert rows[-1].line == n_others + 2 + row.n_lines


def test_a_letter_in_a_table_with_empty_cells_is_one_cell(tmp_path: Path) -> None:
    pairs = [("Dear Sir,\nThank you.", "x"), *[(f"Row {n}", "") for n in range(30)]]
    rows = rows_of(tmp_path / "x.csv", as_csv([*pairs, pairs[0]]))
    assert [tuple(row.values.values()) for row in rows] == [*pairs, pairs[0]]


def test_a_stray_quotation_mark_in_a_table_with_empty_cells_costs_one_row(tmp_path: Path) -> None:
    lines = ["id,text,note", *(f"{n},text {n}," for n in range(30))]
    lines += ['30,"Stop here,', "31,go,x", "32,,", '33,run",', "34,end,"]
    rows = rows_of(tmp_path / "x.csv", as_lines(lines))
    assert [row.line for row in rows if row.problem] == [32]
    assert len(rows) == 35


def test_many_cells_of_several_lines_are_read_as_they_are(tmp_path: Path) -> None:
    pairs = [(f"Dear {n},\nwe meet.\n\nYours,\nEva", f"Hola {n}\nSi,no\nNo,si") for n in range(500)]
    rows = rows_of(tmp_path / "x.csv", as_csv(pairs))
    assert [tuple(row.values.values()) for row in rows] == pairs


def test_a_row_of_several_lines_with_too_few_cells_is_one_malformed_row(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "x.csv", b'a,b,c\n1,"two\nlines"\n2,x,y\n')
    assert [(row.problem, row.line, row.n_lines) for row in rows] == [
        ("malformed", 2, 2),
        (None, 4, 1),
    ]
    assert rows[0].text == '1,"two\nlines"'
    assert rows[0].detail == "2 cells, the header has 3"


def test_an_open_cell_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORD_LINES", 10)
    lines = ["text", '"open', *(f"line {n}" for n in range(30)), 'end"', '"a', 'b"', "c"]
    rows = rows_of(tmp_path / "x.csv", as_lines(lines))
    assert [row.values.get("text") for row in rows] == [
        *(None, *(f"line {n}" for n in range(30)), 'end"', "a\nb", "c")
    ]


def test_a_header_with_a_stray_quotation_mark_is_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "x.csv"
    for content in (b'"en,es\na,b\nc",d\n', b'"en,es\na,b\n', b'"en"x,es\na,b\n'):
        path.write_bytes(content)
        for read in (None, describe_columns):
            assert "line 1 needs the column names, but a quotation mark" in refusal(path, read)


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_delimiter_at_the_end_of_every_row_is_left_out(tmp_path: Path, delimiter: str) -> None:
    lines = ["source|target", *(f"{n}|x|" for n in range(40))]
    path = tmp_path / ("x.csv" if delimiter == "," else "x.tsv")
    rows = rows_of(path, as_lines([line.replace("|", delimiter) for line in lines]))
    assert rows == [Row({"source": str(n), "target": "x"}) for n in range(40)]


def test_a_delimiter_at_the_end_of_some_rows_is_malformed(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "x.csv", b"a,b\n" + b"c,d\n" * 30 + b"e,f,\n")
    assert [row.problem for row in rows] == [None] * 30 + ["malformed"]
    assert rows[-1].detail == "3 cells, the header has 2"


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("x.csv", b"a,b,c\n", b"1,2\n"),
        ("x.tsv", b"a\tb\n", b"1\t2\t3\n"),
        ("x.csv", b"a\n", b"1,2\n"),
    ],
)
def test_a_file_with_many_malformed_rows_is_refused(
    tmp_path: Path, name: str, header: bytes, row: bytes, refusal: Callable[..., str]
) -> None:
    path = tmp_path / name
    path.write_bytes(header + row * 10)
    separator = b"," if name == "x.csv" else b"\t"
    n_cells, n_columns = row.count(separator) + 1, header.count(separator) + 1
    message = refusal(path)
    assert "10 of 10 rows are malformed" in message
    assert f"line 2: {n_cells} cells, the header has {n_columns}" in message
    path.write_bytes(header + row * 9)
    assert [row.problem for row in iter_rows(path)] == ["malformed"] * 9


def as_quoted_tsv(pairs: list[tuple[str, str]], quoting: int) -> bytes:
    """TSV as Python and pandas write it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("source", "target"), *pairs])
    return text.getvalue().encode()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize(
    "pairs",
    [
        [('He said "go".', 'Dijo "vete".'), ("Two\nlines.", "Dos\nlíneas."), ("a", "b")],
        [("Two\nlines in a cell.", "Dos\nlíneas en una celda."), ("a", "b")],
        [("a\tb", "c"), ("d", "e")],
        [("a", 'b "c"')] * 3,
        [(f"plain {n}", "x") for n in range(3000)] + [('"', "one\n\nempty line"), ("c", "d")],
    ],
)
def test_tsv_that_is_written_with_quoting_is_unquoted(
    tmp_path: Path, pairs: list[tuple[str, str]], quoting: int
) -> None:
    path = tmp_path / "x.tsv"
    rows = rows_of(path, as_quoted_tsv(pairs, quoting))
    assert rows == [Row({"source": source, "target": target}) for source, target in pairs]
    assert describe_columns(path).schema.names == ["source", "target"]


@pytest.mark.parametrize(
    "texts",
    [
        ['"Hello," she said.', 'She said "hello".', '"Hi."'],
        ['"Stop here', "go", 'he said go"'],
        ['"Hello."', '"Go."', "plain"],
        ['"', '""', '"""'],
    ],
)
def test_quotation_marks_of_unquoted_tsv_are_text(tmp_path: Path, texts: list[str]) -> None:
    content = as_lines(["source\ttarget", *(f"{text}\tx {text}" for text in texts)])
    assert rows_of(tmp_path / "x.tsv", content) == [
        Row({"source": text, "target": f"x {text}"}) for text in texts
    ]


def test_halves_of_cells_are_never_a_row(tmp_path: Path) -> None:
    lines = ["source\ttarget", *[f'Say "{n}".\tx' for n in range(5)]]
    lines += ['"Two', 'lines."\t"Dos', 'líneas."', "a\tb"]
    rows = rows_of(tmp_path / "x.tsv", as_lines(lines))
    assert [row.problem for row in rows] == [None] * 5 + ["malformed"] * 3 + [None]


def test_options_say_how_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b'a;b\n"x;y";z ""\n')
    rows = list(iter_rows(path, ReadOptions(delimiter=";", quoting="minimal")))
    assert rows == [Row({"a": "x;y", "b": 'z ""'})]
    path = tmp_path / "x.csv"
    path.write_bytes(b'a,b\n"x,y"\n')
    assert list(iter_rows(path, ReadOptions(quoting="none"))) == [Row({"a": '"x', "b": 'y"'})]
    path.write_bytes(b"sep=;\r\na;b\r\n1,5;2\r\n")
    assert [(row.values, row.line) for row in iter_rows(path)] == [({"a": "1,5", "b": "2"}, 3)]


@pytest.mark.parametrize(
    "options", [{"delimiter": ""}, {"delimiter": ";;"}, {"delimiter": '"'}, {"quoting": "all"}]
)
def test_unknown_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^(delimiter|quoting)=.*: needs "):
        ReadOptions(**options)


def test_an_unusable_header_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"")
    assert "empty; add a first line with the column names" in refusal(path, describe_columns)
    path.write_bytes(b"source\ttarget\tcaf\xe9\na\tb\tc\n")
    assert "first line is not UTF-8" in refusal(path, describe_columns)


@pytest.mark.parametrize("name", ["x.tsv.gz", "x.csv.zst", "x.tsv.xz", "x.csv.bz2"])
def test_a_damaged_header_is_refused(
    tmp_path: Path, name: str, refusal: Callable[..., str]
) -> None:
    (tmp_path / name).write_bytes(b"garbage")
    assert "damaged" in refusal(tmp_path / name, describe_columns)
