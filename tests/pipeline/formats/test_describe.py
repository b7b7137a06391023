"""Descriptions of files: format, columns, types, rows and row groups."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.formats import describe
from pipeline.formats.describe import FileColumns, FileDescription, describe_columns, describe_file

TEXT_COLUMNS = pa.schema([("id", pa.string()), ("text", pa.string())])
TYPED_COLUMNS = pa.schema([("id", pa.int64()), ("text", pa.string())])
ROWS = [{"id": n, "text": f"sentence {n}"} for n in range(5)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the same five rows in each format."""
    lines = {"csv": ["id,text"], "tsv": ["id\ttext"], "jsonl": [], "txt": []}
    for row in ROWS:
        lines["csv"].append(f"{row['id']},{row['text']}")
        lines["tsv"].append(f"{row['id']}\t{row['text']}")
        lines["jsonl"].append(json.dumps(row))
        lines["txt"].append(str(row["text"]))
    for suffix in lines:
        (tmp_path / f"x.{suffix}").write_text("".join(f"{line}\n" for line in lines[suffix]))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x.parquet", row_group_size=2)
    return tmp_path


def test_columns_of_each_format(files: Path) -> None:
    text = pa.schema([("text", pa.string())])
    assert describe_columns(files / "x.csv") == FileColumns("csv", TEXT_COLUMNS)
    assert describe_columns(files / "x.tsv") == FileColumns("tsv", TEXT_COLUMNS)
    assert describe_columns(files / "x.txt") == FileColumns("text", text)
    assert describe_columns(files / "x.jsonl") == FileColumns("jsonl", None)
    assert describe_columns(files / "x.parquet") == FileColumns("parquet", TYPED_COLUMNS)


def test_a_header_may_be_quoted_compressed_and_have_a_bom(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf"so,urce",target\r\n', mtime=0))
    assert describe_columns(path).schema.names == ["so,urce", "target"]


def test_rows_of_each_format(files: Path) -> None:
    text = pa.schema([("text", pa.string())])
    assert describe_file(files / "x.csv") == FileDescription("csv", TEXT_COLUMNS, 5, None)
    assert describe_file(files / "x.tsv") == FileDescription("tsv", TEXT_COLUMNS, 5, None)
    assert describe_file(files / "x.txt") == FileDescription("text", text, 5, None)
    assert describe_file(files / "x.jsonl") == FileDescription("jsonl", TYPED_COLUMNS, 5, None)
    parquet = FileDescription("parquet", TYPED_COLUMNS, 5, [2, 2, 1])
    assert describe_file(files / "x.parquet") == parquet


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x.jsonl", "x.parquet"])
def test_rows_are_not_read_for_the_columns(
    files: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(describe, "iter_rows", lambda path: pytest.fail(f"{path} was read"))
    describe_columns(files / name)


def test_a_parquet_file_is_opened_once(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    open_parquet = describe.open_parquet
    monkeypatch.setattr(
        describe, "open_parquet", lambda path: opened.append(path) or open_parquet(path)
    )
    describe_file(files / "x.parquet")
    assert opened == [files / "x.parquet"]


def test_keys_of_json_are_those_of_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\nnot json\n{"a": 0.5, "b": ["x"]}\n')
    schema = pa.schema([("a", pa.float64()), ("b", pa.list_(pa.string()))])
    assert describe_file(path) == FileDescription("jsonl", schema, 3, None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1}, {"a": "one"}], "key 'a' is a number in line 1 and text in line 2: 'one'"),
        ([{"a": 1}, {"a": True}], "key 'a' is a number in line 1 and true or false in line 2"),
        ([{"a": None}, {"a": [1]}, {"a": 2}], "key 'a' is a list in line 2 and a number in line 3"),
        (
            [{"a": {"b": 1}}, {"a": {"b": "x"}}],
            "key 'a.b' is a number in line 1 and text in line 2",
        ),
        ([{"a": [1, "x"]}], "key 'a[]' is a number in line 1 and text in line 1"),
        ([{"a": 2**70}], f"key 'a' has the number {2**70} in line 1"),
        ([{"a": 2**60 + 1}, {"a": 0.5}], f"key 'a' has {2**60 + 1} in line 1 and 0.5 in line 2"),
    ],
)
@pytest.mark.parametrize("n_before", [0, 10_000])
def test_a_json_key_with_values_of_different_types_is_refused(
    tmp_path: Path,
    rows: list[dict[str, object]],
    message: str,
    n_before: int,
    refusal: Callable[..., str],
) -> None:
    path = tmp_path / "x.jsonl"
    if n_before and "line 1" in message:
        rows = [rows[0]] * n_before + rows
        message = message.replace("line 2", f"line {n_before + 2}")
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = refusal(path, describe_file)
    assert "a key has values of different types" in found
    assert message in found
    assert found.endswith("or leave the key out (translate: --drop KEY)")


def test_two_columns_with_one_name_are_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    (tmp_path / "x.tsv").write_bytes(b"a\tb\ta\n1\t2\t3\n")
    (tmp_path / "x.csv").write_bytes(b"a,b,a\n1,2,3\n")
    table = pa.Table.from_arrays([pa.array([1])] * 3, names=["a", "b", "a"])
    pq.write_table(table, tmp_path / "x.parquet")
    for name in ("x.tsv", "x.csv", "x.parquet"):
        path = tmp_path / name
        for describe_either in (describe_columns, describe_file):
            assert refusal(path, describe_either) == (
                f"{path}: two columns are named 'a'; rename one of them"
            )
