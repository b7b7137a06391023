"""Rows of JSONL files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.formats import jsonl
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row


def rows_of(path: Path, content: bytes) -> list[Row]:
    """Write ``content`` and read it as rows."""
    path.write_bytes(content)
    return list(iter_rows(path))


@pytest.mark.parametrize(
    "line",
    [
        rb'{"source": "\ud800", "target": "b"}',
        rb'{"source": "a", "more": {"deep": ["\udfff"]}}',
        b'{"source": "a", "more": {"deep": ["\xe9"]}}',
        b'{"source": "\xe9 \\ud800 \\udce9"}',
        b'{"sourc\xe9": "a"}',
    ],
)
def test_surrogates_in_json_are_replaced_everywhere(tmp_path: Path, line: bytes) -> None:
    (row,) = rows_of(tmp_path / "x.jsonl", line + b"\n")
    assert row.problem == "undecodable"
    text = json.dumps(row.values, ensure_ascii=False)
    assert text.encode().decode() == text
    assert "\ufffd" in text


def test_a_surrogate_pair_in_json_is_one_character(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "x.jsonl", rb'{"source": "\ud83d\ude00 \u00e9"}' + b"\n")
    assert row == Row({"source": "😀 é"})


@pytest.mark.parametrize(
    "line",
    [b'{"source": "a"', b"[1, 2]", b'"text"', b"5", b"null", b"plain", b"[" * 100_000],
)
def test_a_line_that_is_not_a_json_object_is_malformed(tmp_path: Path, line: bytes) -> None:
    rows = rows_of(tmp_path / "x.jsonl", b'{"n": 1}\n' + line + b'\n{"n": 2}\n')
    assert rows == [Row({"n": 1}), Row({}, "malformed"), Row({"n": 2})]


OBJECTS = [
    {"id": n, "text": f'"line" {n}\n, [x] {{y}} é', "more": [n, {"z": None}]} for n in range(20)
]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x", "x.txt"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_array", [True, False])
def test_arrays_and_objects_of_several_lines_are_read(
    tmp_path: Path, name: str, indent: int | None, is_array: bool
) -> None:
    if is_array:
        text = json.dumps(OBJECTS, indent=indent)
    else:
        text = "\n".join(json.dumps(row, indent=indent) for row in OBJECTS)
    rows = rows_of(tmp_path / name, text.encode())
    assert rows == [Row(values) for values in OBJECTS]
    lines = text.split("\n")
    for row, values in zip(rows, OBJECTS, strict=True):
        assert row.line is not None
        taken = "\n".join(lines[row.line - 1 : row.line - 1 + row.n_lines])
        assert json.dumps(values["text"]) in taken


def test_an_array_larger_than_the_buffer_is_read_as_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "_CHUNK_CHARACTERS", 7)
    values = [{"n": n, "text": "x" * (n % 50)} for n in range(300)]
    rows = rows_of(tmp_path / "x.json", json.dumps(values).encode())
    assert rows == [Row(value) for value in values]
    stream = iter_rows(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(json.dumps(values).encode()[:-5])
    assert next(stream).values == values[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[\n{"a": 1},\n{"a": }\n]\n', "from line 3 on (not a JSON object: Expecting value"),
        (b'[{"a": 1},\n{"a": 2}\n', "the array is not closed"),
        (b'[{"a": 1}]\n[{"a": 2}]\n', "from line 2 on (there is more text"),
        (b'{\n"a": 1\n}\n{\n"a" 2\n}\n', "from line 4 on"),
    ],
)
def test_damaged_json_is_refused_with_its_line(
    tmp_path: Path, content: bytes, message: str, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert message in refusal(path)
    assert refusal(path).endswith("write one JSON object on each line")


def test_a_value_in_an_array_that_is_not_an_object_is_malformed(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "x.json", b'[{"a": 1}, 25, "text", {"a": "\xff"}]')
    assert rows == [
        Row({"a": 1}),
        Row({}, "malformed"),
        Row({}, "malformed"),
        Row({"a": "\ufffd"}, "undecodable"),
    ]
    assert rows[1].detail == "not a JSON object, but a number"


def test_a_file_without_json_objects_is_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"id,text\n" * 12)
    message = refusal(path)
    assert "12 of 12 rows are malformed (the first is row 1: not a JSON object" in message
    assert message.endswith("write one JSON object on each line")


def test_text_that_begins_like_json_is_text(tmp_path: Path) -> None:
    for content in (b'{"a": 1}\nplain\n', b"{name} is here\n", b"[1] A note.\n", b"{}\n"):
        rows = rows_of(tmp_path / "x.txt", content)
        assert [row.values["text"] for row in rows] == content.decode().splitlines()
