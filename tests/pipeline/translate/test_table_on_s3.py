"""A table on S3 holds the same rows as a table on a disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest

from lingo_model import InputError
from pipeline.storage.files import write_bytes
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.manifest import RunManifest
from pipeline.table.open_table import open_table
from pipeline.translate.config import TranslateConfig
from pipeline.translate.forecast import forecast_run


@pytest.fixture
def five_nights(
    bundle: Path,
    other_bundle: Path,
    put_rows: Callable[..., None],
    translate_here: Callable[..., RunManifest | None],
    retry_here: Callable[..., RunManifest | None],
    keyed_config: TranslateConfig,
) -> Callable[[Location, Location], list[RunManifest | None]]:
    """A function that does five nights over a lake and gives their manifests.

    New files; a new, a changed and a deleted file; nothing new; another model; a retry.
    """

    def do_five_nights(lake: Location, table: Location) -> list[RunManifest | None]:
        def night(model: Path = bundle, **changes: Any) -> RunManifest | None:
            config = keyed_config.model_copy(update={"lake": "snapshot", **changes})
            return translate_here(lake, model, table, config)

        put_rows(lake, "lang=en/a.parquet", "abcdefghi")
        put_rows(lake, "b.parquet", "jklmno", n=pa.array(range(6), pa.int32()))
        put_rows(lake, "c.parquet", "p", text="plays " * 20)
        rows = b'{"key": "q", "english": "A cat."}\n{"key": "r", "english": ""}\nx\n'
        write_bytes(lake / "d.jsonl", rows)
        runs = [night()]
        put_rows(lake, "b.parquet", "jkl", text="sleeps", n=pa.array(range(3), pa.int64()))
        put_rows(lake, "e.parquet", "stu")
        (lake / "d.jsonl").unlink()
        runs += [night(), night(), night(other_bundle, on_new_model="retranslate")]
        last = runs[-1]
        assert last is not None
        longer = keyed_config.model_copy(update={"max_source_characters": 1000})
        runs.append(retry_here(last.run_id, other_bundle, table, longer))
        return runs

    return do_five_nights


def test_the_same_runs_give_the_same_table_as_on_a_disk(
    s3: S3Path,
    tmp_path: Path,
    query: Callable[..., list[Any]],
    shown: Callable[[Location], dict[str, list[Any]]],
    five_nights: Callable[[Location, Location], list[RunManifest | None]],
) -> None:
    disk_runs = five_nights(tmp_path / "lake", tmp_path / "table")
    s3_runs = five_nights(s3 / "lake", s3 / "table")

    for disk_run, s3_run in zip(disk_runs, s3_runs, strict=True):
        assert (disk_run is None) == (s3_run is None)
        if disk_run is not None and s3_run is not None:
            assert s3_run.rows == disk_run.rows
            assert s3_run.row_id_digest == disk_run.row_id_digest
            assert s3_run.quality_signals == disk_run.quality_signals
    assert [run is None for run in s3_runs] == [False, False, True, False, False]
    assert shown(s3 / "table") == shown(tmp_path / "table")
    assert len(query(s3 / "table", "FROM latest")) == 9 + 3 + 1 + 3
    first = s3_runs[0]
    assert first is not None
    assert len(query(s3 / "table", "FROM latest", as_of=first.run_id)) == 9 + 6 + 2


def test_unchanged_files_are_not_downloaded(
    s3: S3Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
) -> None:
    put_rows(s3 / "lake", "a.parquet", "abc")
    translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)

    def download(path: S3Path, _to: Path) -> None:
        raise AssertionError(f"{path} was downloaded")

    monkeypatch.setattr(S3Path, "download", download)
    assert translate_here(s3 / "lake", bundle, s3 / "table", keyed_config) is None
    assert forecast_run(s3 / "lake", bundle, s3 / "table", keyed_config).n_rows == 0


def test_a_bucket_may_be_a_table_and_a_missing_file_is_an_error(
    s3: S3Path,
    tmp_path: Path,
    bundle: Path,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
    put_rows: Callable[..., None],
) -> None:
    put_rows(tmp_path / "lake", "a.parquet", "abc")
    translate_here(tmp_path / "lake", bundle, s3, keyed_config)
    assert len(query(s3, "FROM latest")) == 3
    (part,) = s3.glob("data/*/*/part-*.parquet")
    part.unlink()
    with pytest.raises(InputError, match="part-"):
        query(s3, "FROM latest")


def test_the_input_may_be_one_file(
    s3: S3Path,
    bundle: Path,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
) -> None:
    put_rows(s3 / "lake", "a.parquet", "abc")
    run = translate_here(s3 / "lake/a.parquet", bundle, s3 / "table", keyed_config)
    assert run is not None
    assert [file.path for file in run.files] == ["a.parquet"]


def test_a_missing_or_damaged_input_is_refused_by_name(
    s3: S3Path,
    bundle: Path,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
) -> None:
    with pytest.raises(
        InputError, match=rf"{s3}/lake: (no such file, and no folder|holds no file)"
    ):
        translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    write_bytes(s3 / "lake/a.parquet", b"PAR1 and not Parquet")
    with pytest.raises(InputError, match=rf"^{s3}/lake/a\.parquet: not readable as Parquet"):
        translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    assert not (s3 / "table").exists()


def test_objects_that_mark_folders_on_s3_are_not_files(
    s3: S3Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    client = boto3.client("s3")
    for key in ("lake/", "lake/sub/", "lake/empty/", "out/"):
        client.put_object(Bucket=s3.bucket, Key=key)
    with pytest.raises(InputError, match="holds no file to translate"):
        translate_here(s3 / "lake", bundle, s3 / "out")
    write_bytes(s3 / "lake/sub/a.txt", b"A dog.\n")
    write_bytes(s3 / "lake/nothing.txt", b"")

    manifest = translate_here(s3 / "lake", bundle, s3 / "out")

    assert manifest is not None
    assert [file.path for file in manifest.files] == ["nothing.txt", "sub/a.txt"]
    assert latest(s3 / "out") == ["A dog."]
    assert open_table(s3 / "out").published() == [manifest]
