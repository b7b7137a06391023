"""CSV and TSV dialects: sniffed delimiters, escapes, and files without a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.formats.delimited import delimiter_of
from pipeline.formats.describe import describe_columns
from pipeline.formats.options import ReadOptions
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row


def read(path: Path, content: str, **options: Any) -> list[Row]:
    """Write a file and read its rows."""
    path.write_bytes(content.encode())
    return list(iter_rows(path, ReadOptions(**options)))


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_the_header_tells_the_delimiter_of_csv(
    tmp_path: Path, delimiter: str, quoting: Any
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    rows = [["1", "One, two.", "Uno, dos."], ["2", f"a{delimiter}b", "c"]]
    writer.writerows([["id", "en", "es"], *rows])
    path = tmp_path / "a.csv"
    assert read(path, text.getvalue()) == [
        Row(dict(zip(("id", "en", "es"), row, strict=True))) for row in rows
    ]
    assert delimiter_of(path, "csv") == delimiter


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a,b;c\n1,2\n", ","),
        ('"a;b",c\n1,2\n', ","),
        ("text\nOne; two.\n", ","),
        ("a;b\nx\ny\nz\n", ","),
        ('"a;b"\n"x;y"\n', ","),
        ("a;b|c;d\n1;2;3\n", ";"),
        ("a|b;c|d\n1|2;3|4\n", "|"),
        ("\n\na;b\n1;2\n", ";"),
        ("sep=|\na;b|c\n", "|"),
        ("a;b\n", ";"),
        ("", ","),
    ],
)
def test_other_characters_are_no_delimiters(tmp_path: Path, content: str, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    assert delimiter_of(path, "csv") == delimiter
    assert delimiter_of(path, "csv", ReadOptions(delimiter="#")) == "#"
    if not content.startswith("sep="):
        assert delimiter_of(path, "tsv") == "\t"


SPARK = r"""id,en,es
1,"He said \"hi\", twice","Dijo \"hola\""
2,C:\new\table,"a \\ b"
3,"tail \\",end
4,"two \
lines",x
"""


def test_escaped_quotation_marks_are_read(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", SPARK, escape="\\")
    assert [(row.values["en"], row.values["es"]) for row in rows] == [
        ('He said "hi", twice', 'Dijo "hola"'),
        (r"C:\new\table", r"a \ b"),
        ("tail \\", "end"),
        ("two \nlines", "x"),
    ]
    assert [row.line for row in rows] == [2, 3, 4, 5]
    assert read(tmp_path / "b.csv", SPARK)[0].problem == "malformed"


def test_an_escaped_delimiter_is_text(tmp_path: Path) -> None:
    content = 'a\tb\nx\\\ty\tz \\"w\n'
    assert read(tmp_path / "a.tsv", content, escape="\\") == [Row({"a": "x\ty", "b": 'z "w'})]
    rows = read(tmp_path / "a.csv", "a,b\n1^,5,2\n", escape="^", quoting="none")
    assert rows == [Row({"a": "1,5", "b": "2"})]


def test_the_text_of_a_malformed_row_keeps_its_escapes(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "a.csv", 'a,b\n"x \\" y",1,2\n', escape="\\")
    assert (row.problem, row.text) == ("malformed", '"x \\" y",1,2')


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_columns_without_a_header_are_numbered(tmp_path: Path, name: str) -> None:
    delimiter = "," if name == "a.csv" else "\t"
    content = "".join(delimiter.join(row) + "\n" for row in (["One", "Uno"], ["Two", "Dos"], ["x"]))
    rows = read(tmp_path / name, content, header=False)
    assert rows[:2] == [Row({"1": "One", "2": "Uno"}), Row({"1": "Two", "2": "Dos"})]
    assert [row.line for row in rows] == [1, 2, 3]
    assert (rows[2].problem, rows[2].detail) == ("malformed", "1 cell, the first row has 2")
    schema = describe_columns(tmp_path / name, ReadOptions(header=False)).schema
    assert schema is not None
    assert schema.names == ["1", "2"]


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    rows = read(path, "One\tUno\nTwo\tDos\tx\n", columns=("en", "es"))
    assert rows[0] == Row({"en": "One", "es": "Uno"})
    assert (rows[1].problem, rows[1].detail) == ("malformed", "3 cells, the list of columns has 2")
    schema = describe_columns(path, ReadOptions(columns=("en", "es"))).schema
    assert schema is not None
    assert schema.names == ["en", "es"]


def test_a_first_row_in_quotation_marks_is_unquoted(tmp_path: Path) -> None:
    content = '"One, two"\t"Uno"\n"Three"\t"Tres"\n'
    for options in ({"header": False}, {"columns": ("1", "2")}):
        rows = read(tmp_path / "a.tsv", content, quoting="minimal", **options)
        assert [row.values["1"] for row in rows] == ["One, two", "Three"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"escape": ""}, "escape='': needs one character"),
        ({"escape": '"'}, "needs one character"),
        ({"escape": ";", "delimiter": ";"}, "is the delimiter"),
        ({"columns": ()}, "needs a name for each column"),
        ({"columns": ("a", "")}, "needs a name for each column"),
        ({"columns": ("a", "b", "a")}, "'a' is there twice"),
    ],
)
def test_unusable_options_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as error:
        ReadOptions(**options)
    assert reason in str(error.value)


def test_a_header_in_another_encoding_names_the_setting(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("inglés,español\na,b\n".encode("latin-1"))
    assert "set the `encoding` of the input" in refusal(path, describe_columns)
    schema = describe_columns(path, ReadOptions(encoding="latin-1")).schema
    assert schema is not None
    assert schema.names == ["inglés", "español"]
