"""A plan tells what a run does with each file, and why."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import BundleManifest, InputError, read_bundle_manifest
from pipeline.decoding import DecodeConfig
from pipeline.table.manifest import FORMAT_VERSION, Lineage, RowCounts, RunManifest, RunPlan
from pipeline.translate.config import TranslateConfig
from pipeline.translate.planning import plan_run
from pipeline.translate.row_ids import expected_row_ids

CONFIG = TranslateConfig(rows_per_unit=10)
LINEAGE = Lineage(model="models/m", dataset_fingerprint="d", corpus=())


@pytest.fixture
def model(bundle: Path) -> BundleManifest:
    """The manifest of a model."""
    return read_bundle_manifest(bundle)


@pytest.fixture
def two_files(lake: Path) -> Path:
    """A lake of two files with 25 and 8 rows."""
    for name, n_rows in (("a.txt", 25), ("b.txt", 8)):
        write_lines(lake / name, n_rows)
    return lake


def write_lines(path: Path, n_rows: int) -> None:
    """Write a text file of different lines."""
    path.write_text("".join(f"{path.name} has line {i}.\n" for i in range(n_rows)))


def published(plan: RunPlan) -> RunManifest:
    """The manifest of a run that did everything in its plan."""
    names = RunManifest.model_fields.keys() & RunPlan.model_fields.keys()
    n_rows = sum(unit.n_rows for unit in plan.units)
    return RunManifest(
        **{name: getattr(plan, name) for name in names},
        finished_at=plan.started_at,
        units_deferred=(),
        n_units_planned=len(plan.units) + plan.n_units_skipped,
        n_units_deferred=0,
        n_units_emitted=len(plan.units),
        rows=RowCounts(
            n_input=n_rows, n_translated=n_rows, n_reused=0, n_passed_through=0, n_quarantined=0
        ),
        n_rows_deleted=0,
        quarantined={},
        quality_signals={},
        n_placeholders_lost=0,
        n_truncated=0,
        row_id_digest="0",
    )


def plan(
    lake: Path,
    model: BundleManifest,
    runs: list[RunManifest],
    config: TranslateConfig = CONFIG,
) -> tuple[RunPlan, dict[str, tuple[str, bool]]]:
    """A plan, and for each file the reason and whether it is translated."""
    run_id = f"{len(runs) + 1:06d}-aaaa"
    planned = plan_run(run_id, lake, model, config, runs, LINEAGE, table=lake.parent / "table")
    whys = {decision.path: (decision.why, decision.todo) for decision in planned.decisions}
    return planned.plan, whys


def test_units_cover_each_row_once(two_files: Path, model: BundleManifest) -> None:
    planned, why = plan(two_files, model, [])
    assert [(u.path, u.first_row, u.n_rows) for u in planned.units] == [
        ("a.txt", 0, 10),
        ("a.txt", 10, 10),
        ("a.txt", 20, 5),
        ("b.txt", 0, 8),
    ]
    assert why == {"a.txt": ("new file", True), "b.txt": ("new file", True)}
    assert len({unit.unit_id for unit in planned.units}) == 4


def test_an_unchanged_file_is_not_opened(
    two_files: Path, model: BundleManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = plan(two_files, model, [])

    def refuse(path: Path, *_rest: object) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("pipeline.translate.decisions.inspect_file", refuse)
    again, why = plan(two_files, model, [published(first)])
    assert (again.units, again.files, again.n_units_skipped) == ((), (), 4)
    assert why == dict.fromkeys(["a.txt", "b.txt"], ("published in run 000001-aaaa", False))


def test_a_touched_file_is_read_but_not_translated_again(
    two_files: Path, model: BundleManifest
) -> None:
    first, _ = plan(two_files, model, [])
    os.utime(two_files / "a.txt", ns=(0, 1))
    again, why = plan(two_files, model, [published(first)])
    assert again.units == ()
    assert [file.path for file in again.files] == ["a.txt"]  # records the new time for the next run
    assert why["a.txt"] == ("published in run 000001-aaaa", False)
    third, _ = plan(two_files, model, [published(first), published(again)])
    assert third.files == ()


def test_a_file_that_changes_back_is_translated_again(
    two_files: Path, model: BundleManifest
) -> None:
    """Its first version is published, but it is no longer the newest."""
    runs: list[RunManifest] = []
    for n_rows in (25, 30, 25):
        write_lines(two_files / "a.txt", n_rows)
        planned, why = plan(two_files, model, runs)
        assert sum(unit.n_rows for unit in planned.units if unit.path == "a.txt") == n_rows
        runs.append(published(planned))
    assert why["a.txt"] == ("content changed since run 000002-aaaa", True)
    assert why["b.txt"] == ("published in run 000001-aaaa", False)


@pytest.mark.parametrize(
    "change",
    [
        {"decode": DecodeConfig(beam_size=2)},
        {"max_segment_tokens": 64},
    ],
)
def test_a_setting_that_can_change_a_row_makes_every_row_new(
    two_files: Path, model: BundleManifest, change: dict[str, Any]
) -> None:
    first, _ = plan(two_files, model, [])
    config = TranslateConfig.model_validate(CONFIG.model_dump() | change)
    again, why = plan(two_files, model, [published(first)], config)
    assert sum(unit.n_rows for unit in again.units) == 33
    assert why["a.txt"] == ("other settings than in run 000001-aaaa", True)
    ids = [{unit.content_id for unit in run.units} for run in (first, again)]
    assert not ids[0] & ids[1]


def test_other_settings_make_no_row_new(two_files: Path, model: BundleManifest) -> None:
    first, _ = plan(two_files, model, [])
    config = CONFIG.model_copy(update={"reuse": False, "max_failed_share": 0.5})
    assert plan(two_files, model, [published(first)], config)[0].units == ()


def test_a_new_model_retranslates_by_policy(
    two_files: Path, model: BundleManifest, other_bundle: Path
) -> None:
    first, _ = plan(two_files, model, [])
    other = read_bundle_manifest(other_bundle)
    kept, why = plan(two_files, other, [published(first)])
    assert kept.units == ()
    assert why["a.txt"] == (
        f"published in run 000001-aaaa by model {model.model_id}, on_new_model=keep",
        False,
    )
    config = CONFIG.model_copy(update={"on_new_model": "retranslate"})
    again, why = plan(two_files, other, [published(first)], config)
    assert [u.content_id for u in again.units] == [u.content_id for u in first.units]
    assert not {u.unit_id for u in again.units} & {u.unit_id for u in first.units}
    assert {file.path for file in again.files} == {"a.txt", "b.txt"}
    second = published(again)
    assert plan(two_files, other, [published(first), second], config)[0].units == ()
    # The first model again: the newest version is not its own.
    assert len(plan(two_files, model, [published(first), second], config)[0].units) == 4


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_a_deleted_file_is_planned_by_the_kind_of_lake(
    two_files: Path, model: BundleManifest, kind: str
) -> None:
    config = TranslateConfig.model_validate(CONFIG.model_dump() | {"lake": kind})
    first, _ = plan(two_files, model, [], config)
    (two_files / "b.txt").unlink()
    again, why = plan(two_files, model, [published(first)], config)
    is_deleted = kind == "snapshot"
    assert again.deleted_files == (("b.txt",) if is_deleted else ())
    assert ("b.txt" in why) == is_deleted
    third, _ = plan(two_files, model, [published(first), published(again)], config)
    assert third.deleted_files == ()  # it is deleted once
    write_lines(two_files / "b.txt", 8)
    _, why = plan(two_files, model, [published(first), published(again)], config)
    assert why["b.txt"][0] == ("new file" if is_deleted else "published in run 000001-aaaa")


def test_a_run_uses_the_memory_of_runs_with_the_same_model_and_decoding(
    two_files: Path, model: BundleManifest, other_bundle: Path
) -> None:
    first, _ = plan(two_files, model, [])
    runs = [published(first)]
    folder = f"run_date={first.run_date}/run=000001-aaaa"
    assert plan(two_files, model, runs)[0].memory_runs == (folder,)
    other = read_bundle_manifest(other_bundle)
    assert plan(two_files, other, runs)[0].memory_runs == ()
    config = CONFIG.model_copy(update={"decode": DecodeConfig(beam_size=3)})
    assert plan(two_files, model, runs, config)[0].memory_runs == ()
    units = CONFIG.model_copy(update={"rows_per_unit": 7})  # segments do not depend on it
    assert plan(two_files, model, runs, units)[0].memory_runs == (folder,)


def test_a_later_file_is_joined_with_the_columns_of_earlier_runs(
    lake: Path, model: BundleManifest
) -> None:
    pq.write_table(pa.table({"text": ["a"], "n": pa.array([1], pa.int32())}), lake / "a.parquet")
    first, _ = plan(lake, model, [])
    pq.write_table(pa.table({"text": ["b"], "n": pa.array([2], pa.int64())}), lake / "b.parquet")
    again, _ = plan(lake, model, [published(first)])
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(again.schema_base64)))
    assert schema.field("n").type == pa.int64()
    pq.write_table(pa.table({"text": ["c"], "n": ["two"]}), lake / "c.parquet")
    with pytest.raises(InputError, match=r"c\.parquet: column 'n' is string, in .* it is int64"):
        plan(lake, model, [published(first), published(again)])


def write_ids(path: Path, ids: list[Any]) -> None:
    """Write rows with these values in the column ``key``."""
    pq.write_table(pa.table({"key": ids, "text": [f"text {i}" for i in ids]}), path)


def test_missing_and_repeated_ids_are_refused_before_any_work(
    lake: Path, model: BundleManifest
) -> None:
    config = CONFIG.model_copy(update={"id_column": "key"})
    write_ids(lake / "a.parquet", [1, 2, 3])
    planned, _ = plan(lake, model, [], config)
    assert list(expected_row_ids(lake, planned.units, config)) == ["1", "2", "3"]
    write_ids(lake / "b.parquet", [4, None])
    with pytest.raises(InputError, match=r"b\.parquet: row 2 has no value in the id column 'key'"):
        plan(lake, model, [], config)
    write_ids(lake / "b.parquet", [4, 2])
    with pytest.raises(
        InputError, match=r"'2' is in row 2 of a\.parquet and in row 2 of b\.parquet"
    ):
        plan(lake, model, [], config)
    # In a lake that grows, a later file may bring a newer version of a row.
    assert len(plan(lake, model, [published(planned)], config)[0].units) == 1


def test_an_unreadable_row_needs_no_id(lake: Path, model: BundleManifest) -> None:
    (lake / "a.jsonl").write_text('{"key": 7, "text": "a"}\nnot json\n')
    config = CONFIG.model_copy(update={"id_column": "key"})
    planned, _ = plan(lake, model, [], config)
    ids = list(expected_row_ids(lake, planned.units, config))
    assert ids[0] == "7"
    assert len(ids[1]) == 32
    assert planned.format_version == FORMAT_VERSION


def test_a_snapshot_of_another_lake_is_refused(
    two_files: Path, model: BundleManifest, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"lake": "snapshot"})
    first, _ = plan(two_files, model, [], config)
    other = tmp_path / "other"
    other.mkdir()
    write_lines(other / "z.txt", 3)
    with pytest.raises(
        InputError, match=r"other: .*delete the rows of .*lake, which run 000001-aaaa"
    ):
        plan(other, model, [published(first)], config)
    assert len(plan(other, model, [published(first)])[0].units) == 1  # lake: grows
