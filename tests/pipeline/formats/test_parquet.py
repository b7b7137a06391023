"""Rows of Parquet files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.formats.describe import describe_columns
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row


def parquet_bytes() -> bytes:
    """The content of a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table({"source": ["one", "two", "three"]}), file)
    return file.getvalue()


def test_only_the_parquet_row_that_is_not_utf8_is_undecodable(
    tmp_path: Path,
) -> None:
    raw = pa.array([b"a", b"caf\xe9", None, b"d"], pa.binary())
    source = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"source": source, "n": [1, 2, 3, 4]}), tmp_path / "x.parquet")
    assert list(iter_rows(tmp_path / "x.parquet")) == [
        Row({"source": "a", "n": 1}),
        Row({"source": "caf\ufffd", "n": 2}, "undecodable"),
        Row({"source": None, "n": 3}),
        Row({"source": "d", "n": 4}),
    ]


@pytest.mark.parametrize("content", [b"", b"this is no parquet", parquet_bytes()[:-10]])
def test_a_file_that_is_not_parquet_is_refused(
    tmp_path: Path, content: bytes, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    for read in (None, describe_columns):
        assert "not readable as Parquet" in refusal(path, read)
        assert "write it again" in refusal(path, read)


def test_a_damaged_parquet_page_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"source": [f"row {n}" for n in range(50_000)]}), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 5000] = bytes(5000)
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_a_timestamp_that_python_cannot_represent_is_refused(tmp_path: Path) -> None:
    after_9999 = pa.array([4 * 10**17], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["a"], "at": after_9999}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: holds a value that is too large"):
        list(iter_rows(tmp_path / "a.parquet"))
