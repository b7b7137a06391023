"""Ranges of rows of every format, in any order."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.formats.read import iter_rows
from pipeline.lake.column_selection import ColumnSelection
from pipeline.lake.column_types import joined_schema
from pipeline.lake.files import inspect_file, partition_values
from pipeline.lake.range_reader import RangeReader, RowRange, read_column
from pipeline.storage.local_copies import LocalCopies

ROWS = [{"id": str(i), "text": f"sentence {i}"} for i in range(25)]


def write_rows(path: Path) -> Path:
    """Write ROWS in the format of the file's name."""
    table = pa.Table.from_pylist(ROWS)
    match path.name.removesuffix(".gz").rsplit(".", 1)[-1]:
        case "parquet":
            pq.write_table(table, path, row_group_size=7)
        case "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        case "csv":
            path.write_text("id,text\n" + "".join(f"{r['id']},{r['text']}\n" for r in ROWS))
        case _:
            text = "id\ttext\n" + "".join(f"{r['id']}\t{r['text']}\n" for r in ROWS)
            path.write_bytes(gzip.compress(text.encode()))
    return path


def read_range(
    path: Path, rename: dict[str, str], schema: pa.Schema, first_row: int, n_rows: int
) -> RowRange:
    """Read rows with a new reader."""
    return RangeReader(LocalCopies(path.parent), ColumnSelection(rename), schema).read(
        path.name, first_row, n_rows
    )


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv", "a.tsv.gz"])
@pytest.mark.parametrize(("first", "n"), [(0, 25), (0, 7), (6, 3), (13, 12), (24, 1)])
def test_a_range_has_its_rows_in_every_format(
    tmp_path: Path, name: str, first: int, n: int
) -> None:
    path = write_rows(tmp_path / name)
    inspected = inspect_file(tmp_path, path.name)

    rows = read_range(path, {}, inspected.schema, first, n)

    assert (inspected.file.path, inspected.file.n_rows) == (name, 25)
    assert inspected.group_rows == ([7, 7, 7, 4] if name == "a.parquet" else None)
    assert rows.table.to_pylist() == ROWS[first : first + n]
    assert rows.problems == [None] * n


def test_columns_are_renamed_and_missing_columns_are_null(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet")
    schema = pa.schema([("key", pa.string()), ("text", pa.string()), ("note", pa.int64())])

    rows = read_range(path, {"id": "key"}, schema, 3, 1)

    assert rows.table.to_pylist() == [{"key": "3", "text": "sentence 3", "note": None}]


def test_only_an_unreadable_row_has_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nb\xe9d\ngood too\n")

    rows = read_range(path, {}, pa.schema([("text", pa.string())]), 0, 3)

    assert rows.problems == [None, "undecodable", None]
    assert rows.table["text"].to_pylist() == ["good", "b�d", "good too"]


def test_jsonl_columns_come_from_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "n": 1, "tags": ["x"]}\nnot json\n')

    inspected = inspect_file(tmp_path, path.name)
    rows = read_range(path, {}, inspected.schema, 0, 3)

    assert inspected.file.n_rows == 3
    assert rows.table.to_pylist()[1] == {"text": "b", "n": 1, "tags": ["x"]}
    assert rows.problems == [None, None, "malformed"]


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv"])
def test_ranges_may_be_read_in_any_order(tmp_path: Path, name: str) -> None:
    schema = inspect_file(tmp_path, write_rows(tmp_path / name).name).schema
    reader = RangeReader(LocalCopies(tmp_path), ColumnSelection(), schema)
    ranges = [(0, 3), (3, 5), (20, 5), (8, 12), (8, 1), (7, 7), (24, 1), (0, 25), (14, 0)]
    for first, n in ranges:
        assert reader.read(name, first, n).table.to_pylist() == ROWS[first : first + n], (first, n)


def test_consecutive_ranges_read_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = inspect_file(tmp_path, write_rows(tmp_path / "a.csv").name).schema
    opened = []
    monkeypatch.setattr(
        "pipeline.lake.range_reader.iter_rows", lambda p: opened.append(p) or iter_rows(p)
    )
    reader = RangeReader(LocalCopies(tmp_path), ColumnSelection(), schema)
    for first in range(0, 25, 5):
        reader.read("a.csv", first, 5)
    assert len(opened) == 1
    reader.read("a.csv", 0, 5)
    assert len(opened) == 2


def test_a_parquet_row_with_text_that_is_not_utf8_has_a_problem(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"b\xe9d", None], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": bad, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    schema = inspect_file(tmp_path, "a.parquet").schema

    rows = RangeReader(LocalCopies(tmp_path), ColumnSelection(), schema).read("a.parquet", 0, 3)

    assert rows.problems == [None, "undecodable", None]
    assert rows.table.to_pylist() == [
        {"text": "good", "n": 1},
        {"text": "b\ufffdd", "n": 2},
        {"text": None, "n": 3},
    ]


def test_every_text_column_of_parquet_is_checked_for_utf8(tmp_path: Path) -> None:
    bad = pa.array([b"1", b"caf\xe9", None]).cast(pa.string(), safe=False)
    table = pa.table({"text": ["a", "b", "c"], "name": bad, "lang": bad.dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    inspected = inspect_file(tmp_path, "a.parquet")

    rows = RangeReader(LocalCopies(tmp_path), ColumnSelection(), inspected.schema).read(
        "a.parquet", 0, 3
    )

    assert rows.problems == [None, "undecodable", None]
    assert rows.table["name"].to_pylist() == ["1", "caf\ufffd", None]
    assert rows.table["lang"].to_pylist() == ["1", "caf\ufffd", None]
    rows.table.validate(full=True)


def test_hive_partitions_are_columns(tmp_path: Path) -> None:
    assert partition_values("day=2026-11-23/kind=a%20b/x.parquet") == {
        "day": "2026-11-23",
        "kind": "a b",
    }
    assert partition_values("n=__HIVE_DEFAULT_PARTITION__/=x/y=/a.txt") == {"n": None, "y": ""}
    for folder, name in (("lang=en", "a.parquet"), ("lang=de", "b.jsonl")):
        (tmp_path / folder).mkdir()
        write_rows(tmp_path / folder / name)
    paths = ["lang=de/b.jsonl", "lang=en/a.parquet"]
    schemas = {p: inspect_file(tmp_path, p).schema for p in paths}
    schema = joined_schema(schemas)
    assert schema.names == ["id", "text", "lang"]
    renamed = pa.schema([(name, pa.string()) for name in ("id", "text", "language")])
    reader = RangeReader(LocalCopies(tmp_path), ColumnSelection({"lang": "language"}), renamed)
    for path, language in zip(paths, ("de", "en"), strict=True):
        rows = reader.read(path, 3, 2).table.to_pylist()
        assert rows == [row | {"language": language} for row in ROWS[3:5]]
    assert next(read_column(tmp_path, paths[0], {}, "lang")) == ("de", True)


def test_a_column_of_the_file_overrides_the_partition(tmp_path: Path) -> None:
    (tmp_path / "id=x").mkdir()
    for name in ("a.parquet", "b.csv"):
        write_rows(tmp_path / "id=x" / name)
        inspected = inspect_file(tmp_path, f"id=x/{name}")
        assert inspected.schema.names == ["id", "text"]
        reader = RangeReader(LocalCopies(tmp_path), ColumnSelection(), inspected.schema)
        assert reader.read(f"id=x/{name}", 1, 1).table.to_pylist() == ROWS[1:2]
