"""Input files are listed, inspected and compared with an earlier state."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from lingo_model import InputError
from pipeline.lake.column_selection import ColumnSelection
from pipeline.lake.files import input_files, inspect_file, is_unchanged
from pipeline.lake.range_reader import RangeReader
from pipeline.storage.local_copies import LocalCopies


def test_files_are_sorted_and_hidden_files_are_not_input(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", "_tmp/d.txt", ".hidden", "_success"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")

    lake = input_files(tmp_path)

    assert lake.root == tmp_path
    assert list(lake.stamps) == ["a/c.txt", "b.txt"]


def test_a_folder_without_files_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no file"):
        input_files(tmp_path)
    with pytest.raises(InputError, match=r"missing\.txt: cannot be read"):
        input_files(tmp_path / "missing.txt")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,x\n")
    file = inspect_file(tmp_path, path.name).file
    assert is_unchanged(tmp_path, file)

    os.utime(path, ns=(0, file.modified_ns + 1))
    assert not is_unchanged(tmp_path, file)

    path.unlink()
    assert not is_unchanged(tmp_path, file)


@pytest.mark.parametrize(("value", "fits"), [(2**53, True), (2**53 + 1, False)])
def test_json_integers_must_have_an_exact_double_if_later_rows_have_fractions(
    tmp_path: Path, value: int, fits: bool
) -> None:
    lines = [f'{{"n": {value}}}'] * 10_001 + [
        '{"n": 0.5}'
    ]  # types are inferred from 10,000 rows at a time
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    if not fits:
        with pytest.raises(InputError, match=r"a\.jsonl: a key has values of different types"):
            inspect_file(tmp_path, "a.jsonl")
        return
    schema = inspect_file(tmp_path, "a.jsonl").schema
    assert schema.field("n").type == pa.float64()
    reader = RangeReader(LocalCopies(tmp_path), ColumnSelection(), schema)
    assert reader.read("a.jsonl", 0, 1).table["n"].to_pylist() == [2**53]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x\n")
    with pytest.raises(InputError, match=r"'caf\\udce9\.txt' below .*not UTF-8; rename the file"):
        input_files(tmp_path)
