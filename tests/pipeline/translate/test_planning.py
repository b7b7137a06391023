"""Plans: what a run does with each file, and why."""

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
from pipeline.translate.units import unit_ranges

CONFIG = TranslateConfig(rows_per_unit=10)
LINEAGE = Lineage(model="models/m", dataset_fingerprint="d", corpus=())


@pytest.fixture
def model(bundle: Path) -> BundleManifest:
    return read_bundle_manifest(bundle)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    for name, n_rows in (("a.txt", 25), ("b.txt", 8)):
        write_lines(folder / name, n_rows)
    return folder


def write_lines(path: Path, n_rows: int) -> None:
    path.write_text("".join(f"{path.name} has line {i}.\n" for i in range(n_rows)))


def published(plan: RunPlan) -> RunManifest:
    """The manifest of a run that did all of its plan."""
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
    """A plan, and of each file why and whether."""
    found, decisions = plan_run(f"{len(runs) + 1:06d}-aaaa", lake, model, config, runs, LINEAGE)
    return found, {decision.path: (decision.why, decision.todo) for decision in decisions}


@pytest.mark.parametrize(
    ("n_rows", "group_rows", "expected"),
    [
        (0, None, []),
        (7, None, [(0, 7)]),
        (10, None, [(0, 10)]),
        (25, None, [(0, 10), (10, 10), (20, 5)]),
        (12, [4, 4, 4], [(0, 8), (8, 4)]),  # packed whole
        (16, [6, 6, 4], [(0, 6), (6, 10)]),
        (25, [25], [(0, 10), (10, 10), (20, 5)]),  # split
        (30, [3, 23, 4], [(0, 3), (3, 10), (13, 10), (23, 7)]),
        (5, [3, 23, 4], [(0, 5)]),  # --limit
        (0, [], []),
    ],
)
def test_row_groups_are_packed_or_split_into_units(
    n_rows: int, group_rows: list[int] | None, expected: list[tuple[int, int]]
) -> None:
    assert list(unit_ranges(n_rows, group_rows, 10)) == expected


def test_units_cover_each_row_once(lake: Path, model: BundleManifest) -> None:
    found, why = plan(lake, model, [])
    assert [(u.path, u.first_row, u.n_rows) for u in found.units] == [
        ("a.txt", 0, 10),
        ("a.txt", 10, 10),
        ("a.txt", 20, 5),
        ("b.txt", 0, 8),
    ]
    assert why == {"a.txt": ("new file", True), "b.txt": ("new file", True)}
    assert len({unit.unit_id for unit in found.units}) == 4


def test_a_file_that_the_table_knows_is_not_opened(
    lake: Path, model: BundleManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = plan(lake, model, [])

    def refuse(path: Path, *_rest: object) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("pipeline.translate.decisions.inspect_file", refuse)
    again, why = plan(lake, model, [published(first)])
    assert (again.units, again.files, again.n_units_skipped) == ((), (), 4)
    assert why == dict.fromkeys(["a.txt", "b.txt"], ("published in run 000001-aaaa", False))


def test_a_touched_file_is_read_but_not_done_again(lake: Path, model: BundleManifest) -> None:
    first, _ = plan(lake, model, [])
    os.utime(lake / "a.txt", ns=(0, 1))
    again, why = plan(lake, model, [published(first)])
    assert again.units == ()
    assert [file.path for file in again.files] == ["a.txt"]  # its new time, for the next run
    assert why["a.txt"] == ("published in run 000001-aaaa", False)
    third, _ = plan(lake, model, [published(first), published(again)])
    assert third.files == ()


def test_a_file_that_changes_back_is_done_again(lake: Path, model: BundleManifest) -> None:
    """Its first version is published, but no more the newest."""
    runs: list[RunManifest] = []
    for n_rows in (25, 30, 25):
        write_lines(lake / "a.txt", n_rows)
        found, why = plan(lake, model, runs)
        assert sum(unit.n_rows for unit in found.units if unit.path == "a.txt") == n_rows
        runs.append(published(found))
    assert why["a.txt"] == ("content changed since run 000002-aaaa", True)
    assert why["b.txt"] == ("published in run 000001-aaaa", False)


@pytest.mark.parametrize(
    "change",
    [
        {"decode": DecodeConfig(beam_size=2)},
        {"max_segment_tokens": 64},
        {"max_source_characters": 100},
        {"rows_per_unit": 5},
    ],
)
def test_a_setting_that_can_change_a_row_makes_all_new(
    lake: Path, model: BundleManifest, change: dict[str, Any]
) -> None:
    first, _ = plan(lake, model, [])
    config = TranslateConfig.model_validate(CONFIG.model_dump() | change)
    again, why = plan(lake, model, [published(first)], config)
    assert sum(unit.n_rows for unit in again.units) == 33
    assert why["a.txt"] == ("other settings than in run 000001-aaaa", True)
    ids = [{unit.content_id for unit in one.units} for one in (first, again)]
    assert not ids[0] & ids[1]


def test_a_setting_that_cannot_change_a_row_does_not(lake: Path, model: BundleManifest) -> None:
    first, _ = plan(lake, model, [])
    config = CONFIG.model_copy(update={"reuse": False, "max_failed_share": 0.5})
    assert plan(lake, model, [published(first)], config)[0].units == ()


def test_another_model_by_policy(lake: Path, model: BundleManifest, other_bundle: Path) -> None:
    first, _ = plan(lake, model, [])
    other = read_bundle_manifest(other_bundle)
    kept, why = plan(lake, other, [published(first)])
    assert kept.units == ()
    assert why["a.txt"] == (
        f"published in run 000001-aaaa by model {model.model_id}, on_new_model=keep",
        False,
    )
    config = CONFIG.model_copy(update={"on_new_model": "retranslate"})
    again, why = plan(lake, other, [published(first)], config)
    assert [u.content_id for u in again.units] == [u.content_id for u in first.units]
    assert not {u.unit_id for u in again.units} & {u.unit_id for u in first.units}
    assert {file.path for file in again.files} == {"a.txt", "b.txt"}
    done = published(again)
    assert plan(lake, other, [published(first), done], config)[0].units == ()
    # The first model again: what is newest is not its own.
    assert len(plan(lake, model, [published(first), done], config)[0].units) == 4


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_a_deleted_file_by_the_kind_of_lake(lake: Path, model: BundleManifest, kind: str) -> None:
    config = TranslateConfig.model_validate(CONFIG.model_dump() | {"lake": kind})
    first, _ = plan(lake, model, [], config)
    (lake / "b.txt").unlink()
    again, why = plan(lake, model, [published(first)], config)
    gone = kind == "snapshot"
    assert again.deleted_files == (("b.txt",) if gone else ())
    assert ("b.txt" in why) == gone
    third, _ = plan(lake, model, [published(first), published(again)], config)
    assert third.deleted_files == ()  # once
    write_lines(lake / "b.txt", 8)
    _, why = plan(lake, model, [published(first), published(again)], config)
    assert why["b.txt"][0] == ("new file" if gone else "published in run 000001-aaaa")


def test_the_memory_of_a_run_is_of_the_same_model_and_decode_settings(
    lake: Path, model: BundleManifest, other_bundle: Path
) -> None:
    first, _ = plan(lake, model, [])
    runs = [published(first)]
    folder = f"run_date={first.run_date}/run=000001-aaaa"
    assert plan(lake, model, runs)[0].memory_runs == (folder,)
    other = read_bundle_manifest(other_bundle)
    assert plan(lake, other, runs)[0].memory_runs == ()
    config = CONFIG.model_copy(update={"decode": DecodeConfig(beam_size=3)})
    assert plan(lake, model, runs, config)[0].memory_runs == ()
    units = CONFIG.model_copy(update={"rows_per_unit": 7})  # no matter to a segment
    assert plan(lake, model, runs, units)[0].memory_runs == (folder,)


def test_a_later_file_is_joined_with_the_columns_of_earlier_runs(
    tmp_path: Path, model: BundleManifest
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    pq.write_table(pa.table({"text": ["a"], "n": pa.array([1], pa.int32())}), lake / "a.parquet")
    first, _ = plan(lake, model, [])
    pq.write_table(pa.table({"text": ["b"], "n": pa.array([2], pa.int64())}), lake / "b.parquet")
    again, _ = plan(lake, model, [published(first)])
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(again.schema_base64)))
    assert schema.field("n").type == pa.int64()
    pq.write_table(pa.table({"text": ["c"], "n": ["two"]}), lake / "c.parquet")
    with pytest.raises(InputError, match=r"c\.parquet: column 'n' is string, in .* it is int64"):
        plan(lake, model, [published(first), published(again)])


def ids_file(path: Path, ids: list[Any]) -> None:
    pq.write_table(pa.table({"key": ids, "text": [f"text {i}" for i in ids]}), path)


def test_ids_that_are_null_or_doubled_are_refused_before_any_work(
    tmp_path: Path, model: BundleManifest
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    config = CONFIG.model_copy(update={"id_column": "key"})
    ids_file(lake / "a.parquet", [1, 2, 3])
    found, _ = plan(lake, model, [], config)
    assert list(expected_row_ids(lake, found.units, config)) == ["1", "2", "3"]
    ids_file(lake / "b.parquet", [4, None])
    with pytest.raises(InputError, match=r"b\.parquet: row 2 has no value in the id column 'key'"):
        plan(lake, model, [], config)
    ids_file(lake / "b.parquet", [4, 2])
    with pytest.raises(
        InputError, match=r"'2' is in row 2 of a\.parquet and in row 2 of b\.parquet"
    ):
        plan(lake, model, [], config)
    # In a lake that grows, a later file may bring a newer version of a row.
    assert len(plan(lake, model, [published(found)], config)[0].units) == 1


def test_a_row_that_cannot_be_read_needs_no_id(tmp_path: Path, model: BundleManifest) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / "a.jsonl").write_text('{"key": 7, "text": "a"}\nnot json\n')
    config = CONFIG.model_copy(update={"id_column": "key"})
    found, _ = plan(lake, model, [], config)
    ids = list(expected_row_ids(lake, found.units, config))
    assert ids[0] == "7"
    assert len(ids[1]) == 32
    assert found.format_version == FORMAT_VERSION


def test_a_snapshot_of_another_lake_retracts_nothing(
    lake: Path, model: BundleManifest, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"lake": "snapshot"})
    first, _ = plan(lake, model, [], config)
    other = tmp_path / "other"
    other.mkdir()
    write_lines(other / "z.txt", 3)
    with pytest.raises(
        InputError, match=r"other: .*delete the rows of .*lake, which run 000001-aaaa"
    ):
        plan(other, model, [published(first)], config)
    assert len(plan(other, model, [published(first)])[0].units) == 1  # in one that grows
