"""Maintenance of a table on S3, and errors of S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.storage.s3 import S3Path
from pipeline.table.compaction import compact
from pipeline.table.maintenance import remove_orphan_files
from pipeline.table.manifest import RunManifest
from pipeline.table.query import connect
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig


def test_files_that_no_run_refers_to_are_deleted(
    s3: S3Path,
    bundle: Path,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
    leave_unfinished: Callable[..., Table],
) -> None:
    put_rows(s3 / "lake", "b.parquet", "xyz")
    translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    put_rows(s3 / "lake", "a.parquet", "abcdefghijkl")
    leave_unfinished(s3 / "lake", bundle, s3 / "table", keyed_config)
    before = (s3 / "table").files()
    manifest = next(name for name in before if name.endswith("_manifest.json"))
    orphans = [
        "_staging/000002-dead/_retry/part-1.parquet",
        "data/run_date=2026-01-01/run=000002-dead/part-1.parquet",
        manifest.replace("_manifest.json", "part-0.parquet"),
    ]
    for name in orphans:
        (s3 / "table" / name).write_bytes(b"left over")

    assert len(remove_orphan_files(s3 / "table", dry_run=True)) == 3
    removed = remove_orphan_files(s3 / "table")

    assert sorted(map(str, removed)) == sorted(f"{s3}/table/{name}" for name in orphans)
    assert sum(removed.values()) == 27
    assert (s3 / "table").files() == before


def test_a_table_on_s3_cannot_be_compacted(
    s3: S3Path,
    bundle: Path,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
) -> None:
    put_rows(s3 / "lake", "b.parquet", "xyz")
    translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    with pytest.raises(InputError, match="S3 cannot exchange two folders"):
        compact(s3 / "table")


def test_a_refused_request_is_not_taken_for_a_missing_table(
    s3: S3Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: S3Path) -> bytes:
        raise OSError(f"{path}: AccessDenied: Access Denied")

    monkeypatch.setattr(S3Path, "read_bytes", refused)
    with pytest.raises(OSError, match=r"_table\.json: AccessDenied: Access Denied$"):
        connect(s3 / "table", None)


def test_a_folder_that_is_no_table_is_refused(
    s3: S3Path,
    bundle: Path,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
) -> None:
    put_rows(s3 / "lake", "a.parquet", "abc")
    with pytest.raises(InputError, match="not empty and not a translation table"):
        translate_here(s3 / "lake", bundle, s3 / "lake", keyed_config)
    with pytest.raises(InputError, match="not a translation table"):
        connect(s3 / "lake", None)
