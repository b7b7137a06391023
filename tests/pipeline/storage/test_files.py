"""Files are written whole and durably, and are read back."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.files import write_bytes, write_json, write_parquet

SCHEMA = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("text", pa.string())])


def names_in(folder: Path) -> list[str]:
    """Names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_write_bytes_creates_folders_and_replaces_files(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names_in(path.parent) == ["file"]


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
        assert names_in(tmp_path) == ["file"]


def test_json_is_readable_and_sorted(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "año", "a": [1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == (
        '{\n  "a": [\n    1\n  ],\n  "b": "año"\n}\n'
    )


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2], "text": ["a", None]}, schema=SCHEMA)
    write_parquet(tmp_path / "x.parquet", table)
    read_back = pq.read_table(tmp_path / "x.parquet")
    assert read_back.equals(table)
    assert read_back.schema.equals(SCHEMA)
    assert names_in(tmp_path) == ["x.parquet"]
