"""On S3 a run is published once its manifest exists, also with two processes."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RunError
from pipeline.storage.files import files_in
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.maintenance import abort_unfinished, remove_orphan_files
from pipeline.table.manifest import RunManifest, run_path
from pipeline.table.s3_table import S3Table
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.publish import finish_run
from pipeline.translate.translation_run import TranslationRun


@pytest.fixture
def interrupted(
    s3: S3Path,
    bundle: Path,
    put_rows: Callable[..., None],
    leave_unfinished: Callable[..., Table],
    keyed_config: TranslateConfig,
) -> S3Table:
    """A table whose run over three units was interrupted after the first."""
    put_rows(s3 / "lake", "a.parquet", "abcdefghijkl")
    table = leave_unfinished(s3 / "lake", bundle, s3 / "table", keyed_config)
    assert isinstance(table, S3Table)
    return table


def test_a_run_is_visible_once_its_manifest_exists(
    s3: S3Path,
    bundle: Path,
    interrupted: S3Table,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
) -> None:
    table = interrupted
    plan = table.unfinished()
    assert plan is not None
    (part,) = files_in(table.staged(plan), "part-*.parquet")
    before = part.stamp() if isinstance(part, S3Path) else None
    assert query(s3 / "table", "FROM translations") == []
    assert remove_orphan_files(s3 / "table") == {}

    run = translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)

    assert run is not None
    assert run.run_id == plan.run_id
    assert part.stamp() == before  # the finished unit is not done again
    assert len(query(s3 / "table", "FROM translations")) == 12
    assert table.unfinished() is None
    assert translate_here(s3 / "lake", bundle, s3 / "table", keyed_config) is None


def test_an_aborted_run_leaves_no_files(s3: S3Path, interrupted: S3Table) -> None:
    table = interrupted
    plan = table.unfinished()
    assert plan is not None
    assert abort_unfinished(s3 / "table") == plan.run_id
    assert list((s3 / "table").files()) == ["_table.json"]
    assert abort_unfinished(s3 / "table") is None


def test_an_aborted_run_with_a_damaged_plan_leaves_no_files(
    s3: S3Path, interrupted: S3Table
) -> None:
    table = interrupted
    plan = table.unfinished()
    assert plan is not None
    table.plan_file(plan.run_id).write_bytes(b"{")
    assert abort_unfinished(s3 / "table") == "000001"
    assert list((s3 / "table").files()) == ["_table.json"]


def test_a_second_process_continues_the_run_of_the_first(
    s3: S3Path,
    bundle: Path,
    interrupted: S3Table,
    monkeypatch: pytest.MonkeyPatch,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
) -> None:
    """Both processes plan, work and publish. One run remains."""
    table = interrupted
    plan = table.unfinished()
    assert plan is not None
    # The second process looks for an unfinished run before the first has written its plan.
    answers = iter([None])
    monkeypatch.setattr(S3Table, "unfinished", lambda _table: next(answers))
    second = translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    assert second is not None
    assert second.run_id == plan.run_id
    first = second.model_copy(
        update={"finished_at": datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)}
    )
    assert table.publish(first) == second
    assert [run.run_id for run in table.published()] == [plan.run_id]
    assert len(query(s3 / "table", "FROM translations")) == 12


def test_a_second_process_that_is_late_changes_nothing(
    s3: S3Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    put_rows: Callable[..., None],
    shown: Callable[[Location], dict[str, list[Any]]],
) -> None:
    """It finishes the run after the first process has published it."""
    put_rows(s3 / "lake", "a.parquet", "abcdefghijkl")
    translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    put_rows(s3 / "lake", "a.parquet", "abc", text="sleeps " * 12)
    put_rows(s3 / "lake", "b.parquet", "xyz")
    plans = []
    begin = S3Table.begin
    monkeypatch.setattr(S3Table, "begin", lambda t, plan: plans.append(plan) or begin(t, plan))
    run = translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    assert run is not None
    assert (run.n_rows_deleted, run.rows.n_quarantined) == (9, 3)
    before = shown(s3 / "table")

    same_run = TranslationRun(S3Table(s3 / "table"), plans[0], bundle)
    late = finish_run(same_run, run_in_process)

    assert late == run
    assert shown(s3 / "table") == before


def test_a_plan_that_is_older_than_the_newest_run_is_refused(
    s3: S3Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
    put_rows: Callable[..., None],
) -> None:
    put_rows(s3 / "lake", "a.parquet", "abc")
    translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    with monkeypatch.context() as patch:
        patch.setattr(S3Table, "published", lambda _table: [])
        with pytest.raises(RunError, match="was published while this one was planned; run the sa"):
            translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    assert len(query(s3 / "table", "FROM translations")) == 3


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_file_that_changes_during_a_run_is_deferred(
    s3: S3Path,
    bundle: Path,
    change: str,
    keyed_config: TranslateConfig,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
    put_rows: Callable[..., None],
    leave_unfinished: Callable[..., Table],
) -> None:
    put_rows(s3 / "lake", "b.parquet", "xyz")
    put_rows(s3 / "lake", "a.parquet", "abcdefghijkl")
    leave_unfinished(s3 / "lake", bundle, s3 / "table", keyed_config)
    if change == "replaced":
        put_rows(s3 / "lake", "a.parquet", "ABCDEFGHIJKL")
    else:
        (s3 / "lake/a.parquet").unlink()

    run = translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)

    assert run is not None
    assert {unit.path for unit in run.units_deferred} == {"a.parquet"}
    assert [row[0] for row in query(s3 / "table", "SELECT key FROM latest ORDER BY 1")] == [*"xyz"]
    # A reader by glob does not see the file either: its staged rows are deleted.
    folder = s3 / "table/data" / run_path(run)
    assert [path.name for path in folder.glob("part-*")] == [unit.file_name for unit in run.units]
    later = translate_here(s3 / "lake", bundle, s3 / "table", keyed_config)
    assert (later is None) == (change == "deleted")
