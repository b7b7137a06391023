"""The format of a file, told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.formats.rows import format_of


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.tsv", "tsv"),
        ("a.csv.gz", "csv"),
        ("a.b.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", "text"),
        ("corpus.csv.en", "text"),
        ("a.gz", "text"),
        ("a", "text"),
        ("EXPORT.CSV", "csv"),
        ("A.Tsv.GZ", "tsv"),
    ],
)
def test_the_name_tells_the_format(name: str, found: str) -> None:
    assert format_of(Path(name)) == found
