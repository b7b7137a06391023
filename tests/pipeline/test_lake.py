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
from pipeline.lake import input_files, inspect_file, is_unchanged, joined_schema, read_range

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


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.csv", "a.tsv.gz"])
@pytest.mark.parametrize(("first", "n"), [(0, 25), (0, 7), (6, 3), (13, 12), (24, 1)])
def test_a_range_of_any_format_holds_its_rows(
    tmp_path: Path, name: str, first: int, n: int
) -> None:
    path = write(tmp_path / name)
    file, schema = inspect_file(path, tmp_path)

    found = read_range(path, {}, schema, first, n)

    assert (file.path, file.n_rows) == (name, 25)
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

    file, schema = inspect_file(path, tmp_path)
    found = read_range(path, {}, schema, 0, 3)

    assert file.n_rows == 3
    assert found.table.to_pylist()[1] == {"text": "b", "n": 1, "tags": ["x"]}
    assert found.problems == [None, None, "malformed"]


def test_files_are_sorted_and_hidden_ones_are_no_input(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", "_tmp/d.txt", ".hidden", "_success"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")

    root, files = input_files(tmp_path)

    assert root == tmp_path
    assert [str(f.relative_to(tmp_path)) for f in files] == ["a/c.txt", "b.txt"]


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
    file, _ = inspect_file(path, tmp_path)
    assert is_unchanged(tmp_path, file)

    os.utime(path, ns=(0, file.modified_ns + 1))
    assert not is_unchanged(tmp_path, file)

    path.unlink()
    assert not is_unchanged(tmp_path, file)
