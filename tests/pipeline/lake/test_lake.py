"""Input files of a translation: rows of any format, any range, columns joined or refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.formats.read import iter_rows
from pipeline.lake.column_types import joined_schema, joined_type
from pipeline.lake.files import input_files, inspect_file, is_unchanged, partition_values
from pipeline.lake.range_reader import RangeReader, RowRange, read_column
from pipeline.storage.local_copies import LocalCopies

ROWS = [{"id": str(i), "text": f"sentence {i}"} for i in range(25)]


def write(path: Path) -> Path:
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
    return RangeReader(LocalCopies(path.parent), rename, schema).read(path.name, first_row, n_rows)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv", "a.tsv.gz"])
@pytest.mark.parametrize(("first", "n"), [(0, 25), (0, 7), (6, 3), (13, 12), (24, 1)])
def test_a_range_of_any_format_holds_its_rows(
    tmp_path: Path, name: str, first: int, n: int
) -> None:
    path = write(tmp_path / name)
    found_file = inspect_file(tmp_path, path.name)

    found = read_range(path, {}, found_file.schema, first, n)

    assert (found_file.file.path, found_file.file.n_rows) == (name, 25)
    assert found_file.group_rows == ([7, 7, 7, 4] if name == "a.parquet" else None)
    assert found.table.to_pylist() == ROWS[first : first + n]
    assert found.problems == [None] * n


def test_columns_are_renamed_and_a_column_that_a_file_lacks_is_null(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    schema = pa.schema([("key", pa.string()), ("text", pa.string()), ("note", pa.int64())])

    found = read_range(path, {"id": "key"}, schema, 3, 1)

    assert found.table.to_pylist() == [{"key": "3", "text": "sentence 3", "note": None}]


def test_a_row_that_cannot_be_read_has_a_problem_and_the_others_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nb\xe9d\ngood too\n")

    found = read_range(path, {}, pa.schema([("text", pa.string())]), 0, 3)

    assert found.problems == [None, "undecodable", None]
    assert found.table["text"].to_pylist() == ["good", "b�d", "good too"]


def test_jsonl_columns_come_from_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b", "n": 1, "tags": ["x"]}\nnot json\n')

    found_file = inspect_file(tmp_path, path.name)
    found = read_range(path, {}, found_file.schema, 0, 3)

    assert found_file.file.n_rows == 3
    assert found.table.to_pylist()[1] == {"text": "b", "n": 1, "tags": ["x"]}
    assert found.problems == [None, None, "malformed"]


def test_files_are_sorted_and_hidden_ones_are_no_input(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", "_tmp/d.txt", ".hidden", "_success"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")

    root, files = input_files(tmp_path)

    assert root == tmp_path
    assert list(files) == ["a/c.txt", "b.txt"]


def test_a_folder_without_files_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no file"):
        input_files(tmp_path)
    with pytest.raises(InputError, match=r"missing\.txt: cannot be read"):
        input_files(tmp_path / "missing.txt")


def test_schemas_are_joined_or_refused_by_name() -> None:
    a = pa.schema([("text", pa.string()), ("n", pa.int64())])
    b = pa.schema([("text", pa.string()), ("day", pa.date32())])

    assert joined_schema({"a": a, "b": b}).names == ["text", "n", "day"]
    with pytest.raises(InputError, match=r"^c: column 'n' is string, in a it is int64"):
        joined_schema({"a": a, "c": pa.schema([("n", pa.string())])})


def test_a_changed_file_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    file = inspect_file(tmp_path, path.name).file
    assert is_unchanged(tmp_path, file)

    os.utime(path, ns=(0, file.modified_ns + 1))
    assert not is_unchanged(tmp_path, file)

    path.unlink()
    assert not is_unchanged(tmp_path, file)


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv"])
def test_ranges_in_any_order_hold_their_rows(tmp_path: Path, name: str) -> None:
    schema = inspect_file(tmp_path, write(tmp_path / name).name).schema
    reader = RangeReader(LocalCopies(tmp_path), {}, schema)
    ranges = [(0, 3), (3, 5), (20, 5), (8, 12), (8, 1), (7, 7), (24, 1), (0, 25), (14, 0)]
    for first, n in ranges:
        assert reader.read(name, first, n).table.to_pylist() == ROWS[first : first + n], (first, n)


def test_ranges_that_follow_one_another_read_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = inspect_file(tmp_path, write(tmp_path / "a.csv").name).schema
    opened = []
    monkeypatch.setattr(
        "pipeline.lake.range_reader.iter_rows", lambda p: opened.append(p) or iter_rows(p)
    )
    reader = RangeReader(LocalCopies(tmp_path), {}, schema)
    for first in range(0, 25, 5):
        reader.read("a.csv", first, 5)
    assert len(opened) == 1
    reader.read("a.csv", 0, 5)
    assert len(opened) == 2


def test_text_of_parquet_that_is_not_utf8_is_a_bad_row(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"b\xe9d", None], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": bad, "n": [1, 2, 3]}), tmp_path / "a.parquet")
    schema = inspect_file(tmp_path, "a.parquet").schema

    found = RangeReader(LocalCopies(tmp_path), {}, schema).read("a.parquet", 0, 3)

    assert found.problems == [None, "undecodable", None]
    assert found.table.to_pylist() == [
        {"text": "good", "n": 1},
        {"text": "b\ufffdd", "n": 2},
        {"text": None, "n": 3},
    ]


def test_any_text_of_parquet_that_is_not_utf8_makes_its_row_a_bad_one(tmp_path: Path) -> None:
    bad = pa.array([b"1", b"caf\xe9", None]).cast(pa.string(), safe=False)
    table = pa.table({"text": ["a", "b", "c"], "name": bad, "lang": bad.dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    inspected = inspect_file(tmp_path, "a.parquet")

    found = RangeReader(LocalCopies(tmp_path), {}, inspected.schema).read("a.parquet", 0, 3)

    assert found.problems == [None, "undecodable", None]
    assert found.table["name"].to_pylist() == ["1", "caf\ufffd", None]
    assert found.table["lang"].to_pylist() == ["1", "caf\ufffd", None]
    found.table.validate(full=True)


@pytest.mark.parametrize(("value", "fits"), [(2**53, True), (2**53 + 1, False)])
def test_an_integer_of_json_fits_the_fractions_of_later_rows(
    tmp_path: Path, value: int, fits: bool
) -> None:
    lines = [f'{{"n": {value}}}'] * 10_001 + ['{"n": 0.5}']  # types are told by 10,000 rows
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    if not fits:
        with pytest.raises(InputError, match=r"a\.jsonl: a key has values of different types"):
            inspect_file(tmp_path, "a.jsonl")
        return
    schema = inspect_file(tmp_path, "a.jsonl").schema
    assert schema.field("n").type == pa.float64()
    assert read_range(tmp_path / "a.jsonl", {}, schema, 0, 1).table["n"].to_pylist() == [2**53]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x\n")
    with pytest.raises(InputError, match=r"'caf\\udce9\.txt' below .*not UTF-8; rename the file"):
        input_files(tmp_path)


def test_hive_partitions_are_columns(tmp_path: Path) -> None:
    assert partition_values("day=2026-11-23/kind=a%20b/x.parquet") == {
        "day": "2026-11-23",
        "kind": "a b",
    }
    assert partition_values("n=__HIVE_DEFAULT_PARTITION__/=x/y=/a.txt") == {"n": None, "y": ""}
    for folder, name in (("lang=en", "a.parquet"), ("lang=de", "b.jsonl")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name)
    paths = ["lang=de/b.jsonl", "lang=en/a.parquet"]
    schemas = {p: inspect_file(tmp_path, p).schema for p in paths}
    schema = joined_schema(schemas)
    assert schema.names == ["id", "text", "lang"]
    renamed = pa.schema([(name, pa.string()) for name in ("id", "text", "language")])
    reader = RangeReader(LocalCopies(tmp_path), {"lang": "language"}, renamed)
    for path, language in zip(paths, ("de", "en"), strict=True):
        found = reader.read(path, 3, 2).table.to_pylist()
        assert found == [row | {"language": language} for row in ROWS[3:5]]
    assert next(read_column(tmp_path, paths[0], {}, "lang")) == ("de", True)


def test_a_column_of_the_file_goes_before_the_partition(tmp_path: Path) -> None:
    (tmp_path / "id=x").mkdir()
    for name in ("a.parquet", "b.csv"):
        write(tmp_path / "id=x" / name)
        inspected = inspect_file(tmp_path, f"id=x/{name}")
        assert inspected.schema.names == ["id", "text"]
        reader = RangeReader(LocalCopies(tmp_path), {}, inspected.schema)
        assert reader.read(f"id=x/{name}", 1, 1).table.to_pylist() == ROWS[1:2]


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.uint64(), pa.int64(), None),
        (pa.int32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), None),  # 2**53 + 1 would be lost
        (pa.int16(), pa.float32(), pa.float32()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.null(), pa.date32(), pa.date32()),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("us"), pa.timestamp("ns"), None),
        (pa.timestamp("s", "UTC"), pa.timestamp("s"), None),
        (pa.list_(pa.int8()), pa.large_list(pa.int32()), pa.large_list(pa.int32())),
        (pa.list_(pa.int8()), pa.list_(pa.string()), None),
        (pa.string(), pa.int64(), None),
        (pa.bool_(), pa.int8(), None),
    ],
)
def test_types_are_joined_where_nothing_is_lost(
    one: pa.DataType, other: pa.DataType, joined: pa.DataType | None
) -> None:
    assert joined_type(one, other) == joined_type(other, one) == joined
