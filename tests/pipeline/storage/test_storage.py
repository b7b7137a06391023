"""Files and folders appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model.atomic_files import new_folder
from pipeline.prepare.rows_writer import RowsWriter
from pipeline.storage.files import write_bytes, write_json, write_parquet
from pipeline.storage.hashing import fingerprint_of, sha256_of_file

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("text", pa.string())])


def names(folder: Path) -> list[str]:
    """Names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_write_bytes_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file"]


def test_content_is_on_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def spied_fsync(descriptor: int) -> None:
        events.append("sync")
        fsync(descriptor)

    def spied_rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(Path, "rename", spied_rename)
    write_bytes(tmp_path / "file", b"content")
    assert events == ["sync", "rename", "sync"]
    events.clear()
    with new_folder(tmp_path / "folder") as staging:
        (staging / "one").write_text("1")
        (staging / "two").write_text("2")
    # Both files, the lock and the staging folder, then the rename, then the folder that holds it.
    assert events == ["sync"] * 4 + ["rename", "sync"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    for write in (
        lambda: write_bytes(path, b"new"),
        lambda: write_json(path, {"new": 1}),
        lambda: write_parquet(path, pa.table({"n": [1]})),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["file"]


def test_json_is_readable_and_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "año", "a": [1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == (
        '{\n  "a": [\n    1\n  ],\n  "b": "año"\n}\n'
    )


def test_parquet_comes_back(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2], "text": ["a", None]}, schema=SCHEMA)
    write_parquet(tmp_path / "x.parquet", table)
    found = pq.read_table(tmp_path / "x.parquet")
    assert found.equals(table)
    assert found.schema.equals(SCHEMA)
    assert names(tmp_path) == ["x.parquet"]


def test_a_new_folder_appears_at_the_end(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "folder"
    with new_folder(final) as staging:
        (staging / "inner").mkdir()
        (staging / "inner" / "file").write_text("content")
        assert not final.exists()
        assert staging.parent == final.parent  # a rename works within one file system only
        assert staging.name.startswith(".")  # readers skip it
    assert (final / "inner" / "file").read_text() == "content"
    assert names(final.parent) == ["folder"]
    assert final.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_folder_vanishes(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_folder(tmp_path / "folder") as staging:
        (staging / "file").write_text("content")
        raise error
    assert names(tmp_path) == []


def test_a_killed_processes_folder_is_removed_a_living_ones_is_not(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from lingo_model.atomic_files import new_folder

with new_folder(Path(sys.argv[1])) as staging:
    (staging / "file").write_text("content")
    print(staging.name, flush=True)
    time.sleep(60)
"""
    final = tmp_path / "folder"
    with subprocess.Popen(
        [sys.executable, "-c", code, final], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        staging = other.stdout.readline().strip()
        try:
            with pytest.raises(ValueError, match="mine"), new_folder(final):
                raise ValueError("mine")
            assert names(tmp_path) == [staging]
        finally:
            other.kill()
    assert names(tmp_path) == [staging]

    with new_folder(final):
        pass

    assert names(tmp_path) == ["folder"]


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    write_bytes(tmp_path / "folder" / "mine", b"1")
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "folder") as staging:
        (staging / "file").write_text("content")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["mine"]


def test_sha256_of_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert sha256_of_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_fingerprints_are_of_the_value_not_of_its_order() -> None:
    canonical = '{"a":[1,2],"b":"é"}'.encode()
    expected = hashlib.sha256(canonical).hexdigest()
    assert fingerprint_of({"b": "é", "a": [1, 2]}) == expected
    others: list[Any] = [
        {"b": "é", "a": [2, 1]},
        {"b": "e", "a": [1, 2]},
        {"b": "é", "a": [1, 2], "c": None},
    ]
    assert expected not in map(fingerprint_of, others)


@pytest.mark.parametrize(
    ("n_rows", "sizes"),
    [(0, [0]), (1, [1]), (3, [3]), (5, [5]), (6, [6]), (7, [6, 1]), (12, [6, 6]), (14, [6, 6, 2])],
)
def test_rows_go_to_numbered_files_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_rows: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(RowsWriter, "_BUFFER_ROWS", 3)
    monkeypatch.setattr(RowsWriter, "_ROWS_PER_FILE", 6)
    writer = RowsWriter(tmp_path / "rows", SCHEMA)
    for n in range(n_rows):
        writer.write({"n": n, "text": None if n % 2 else str(n)})
    writer.close()
    files = sorted((tmp_path / "rows").iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(len(sizes))]
    tables = [pq.read_table(file) for file in files]
    assert [table.num_rows for table in tables] == sizes
    assert all(table.schema.equals(SCHEMA) for table in tables)
    assert pa.concat_tables(tables).to_pylist() == [
        {"n": n, "text": None if n % 2 else str(n)} for n in range(n_rows)
    ]


def test_rows_keep_keys_of_later_rows_and_drop_those_outside_the_schema(tmp_path: Path) -> None:
    writer = RowsWriter(tmp_path / "rows", SCHEMA)
    writer.write({"n": 1})
    writer.write({"n": 2, "text": "late", "unknown": 5})
    writer.close()
    assert pq.read_table(tmp_path / "rows").to_pylist() == [
        {"n": 1, "text": None},
        {"n": 2, "text": "late"},
    ]
