"""Files in an encoding that the options name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.formats.options import ReadOptions
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row

TEXTS = {
    "cp1252": "café €",
    "latin-1": "café ñ",
    "utf-8": "狗 😀",
    "utf-16": "狗 😀",
    "utf-16-le": "Ċ 狗 😀",
    "utf-16-be": "Ċ 狗",
    "utf-32-le": "狗",
    "shift_jis": "犬が走る表",
    "gb18030": "狗在跑。",
    "cp1251": "собака",
    "iso2022_jp": "犬が走る",
    "big5": "狗在跑",
}


def table(name: str, text: str) -> str:
    """A table with two rows of a text, in the format of a file's name."""
    match name.split(".")[1]:
        case "csv":
            return f'source,target\n{text},"x, {text}"\n{text},y\n'
        case "tsv":
            return f"source\ttarget\n{text}\tx, {text}\n{text}\ty\n"
        case "jsonl":
            pairs = [(text, f"x, {text}"), (text, "y")]
            rows = [{"source": a, "target": b} for a, b in pairs]
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        case _:
            pairs = [(text, f"x, {text}"), (text, "y")]
            return json.dumps([{"source": a, "target": b} for a, b in pairs], ensure_ascii=False)


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
def test_tables_are_read_in_a_named_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    text = TEXTS[encoding]
    for mark in ("", "\ufeff") if encoding.startswith("utf-16-") else ("",):
        path = tmp_path / name
        path.write_bytes((mark + table(name, text)).encode(encoding))
        assert list(iter_rows(path, ReadOptions(encoding=encoding))) == [
            Row({"source": text, "target": f"x, {text}"}),
            Row({"source": text, "target": "y"}),
        ]


@pytest.mark.parametrize("encoding", TEXTS)
def test_plain_text_is_read_in_a_named_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(f"{TEXTS[encoding]}\r\nb\n".encode(encoding)))
    rows = list(iter_rows(path, ReadOptions(encoding=encoding)))
    assert [row.values["text"] for row in rows] == [TEXTS[encoding], "b"]


@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("ascii", b"caf\xe9"),
        ("cp1252", b"a \x81\x8d b"),
        ("shift_jis", b"a \x81\x20 b"),
        ("gb18030", b"a \x81\x20 b"),
        ("euc_jp", b"a \xff b"),
        ("utf-16-le", b"a\0\x00\xdcb\0"),
    ],
)
def test_only_the_line_that_cannot_be_decoded_is_undecodable(
    tmp_path: Path, encoding: str, bad: bytes
) -> None:
    path = tmp_path / "a.txt"
    good, end = "good\n".encode(encoding), "\n".encode(encoding)
    path.write_bytes(good + bad + end + good * 20)
    rows = list(iter_rows(path, ReadOptions(encoding=encoding)))
    assert [row.problem for row in rows] == [None, "undecodable"] + [None] * 20
    assert "\ufffd" in rows[1].values["text"]
    assert rows[1].detail == "bytes that cannot be decoded"


def test_half_a_character_at_the_end_of_a_file_is_undecodable(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("good\nbad".encode("utf-16-le") + b"x")
    rows = list(iter_rows(path, ReadOptions(encoding="utf-16-le")))
    assert [row.problem for row in rows] == [None, "undecodable"]


def test_many_undecodable_rows_name_the_encoding(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9\n" * 20)
    message = refusal(path, lambda path: list(iter_rows(path, ReadOptions(encoding="shift_jis"))))
    assert "20 of 20 rows are not shift_jis" in message
    assert "set another `encoding`" in message
    assert "set the `encoding` of the input" in refusal(path)


@pytest.mark.parametrize(
    "encoding",
    ["", "klingon", "rot13", "base64", "hex", "idna", "undefined", "unicode_escape", "utf-8\0"],
)
def test_unknown_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(InputError, match=r"^encoding=.*needs one such as"):
        ReadOptions(encoding=encoding)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_the_refusal_of_another_encoding_names_the_setting_that_reads_it(
    tmp_path: Path, refusal: Callable[..., str], encoding: str, mark: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(f"{mark}The dog runs.\nThe cat eats.\n".encode(encoding))
    named = refusal(path).split("set `encoding: ")[1].split("`")[0]
    assert named == encoding
    rows = list(iter_rows(path, ReadOptions(encoding=named)))
    assert [row.values["text"] for row in rows] == ["The dog runs.", "The cat eats."]
