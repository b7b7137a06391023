"""Rows of JSONL files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
