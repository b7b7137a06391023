"""A table on S3: the same rows as on a disk, and a run that counts once its manifest is there."""

from __future__ import annotations

import datetime
import socket
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.storage.files import files_in
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.compaction import compact
from pipeline.table.maintenance import abort_unfinished, remove_orphan_files
from pipeline.table.manifest import RunManifest, run_path
from pipeline.table.query import connect, run_query
from pipeline.table.s3_table import S3Table
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.forecast import forecast_run
from pipeline.translate.in_process import run_in_process
from pipeline.translate.publish import finish_run
from pipeline.translate.retry_quarantine import retry_quarantine
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun
from pipeline.translate.unit_translator import UnitTranslator

translate_here = partial(translate_table, run_units=run_in_process)
retry_here = partial(retry_quarantine, run_units=run_in_process)


CONFIG = TranslateConfig(
    text_column="english", id_column="key", rows_per_unit=4, max_source_characters=60
)
RESOURCES = TranslateResources()
VIEWS = ("translations", "latest", "quarantine", "tombstones")


class Interrupted(Exception):
    pass


def content(keys: str, text: str = "plays", **more: Any) -> bytes:
    """A Parquet file of some rows."""
    texts = [f"The dog {key} {text}." for key in keys]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"key": list(keys), "english": texts, **more}), sink)
    return bytes(sink.getvalue())


def put(lake: Location, name: str, value: bytes) -> None:
    if isinstance(lake, Path):
        (lake / name).parent.mkdir(parents=True, exist_ok=True)
    (lake / name).write_bytes(value)


def query(table: Location, sql: str, as_of: str | None = None) -> list[Any]:
    result = run_query(connect(table, None, as_of=as_of), sql)
    assert result is not None
    return result.fetchall()


def shown(table: Location) -> dict[str, list[Any]]:
    """Rows of each view, but for the random part of run names and for times."""
    number = "split_part(run, '-', 1)"
    found = {
        view: query(table, f"SELECT {number}, * EXCLUDE run FROM {view} ORDER BY ALL")
        for view in VIEWS
    }
    found["runs"] = query(
        table,
        f"SELECT {number}, * EXCLUDE (run, started_at, finished_at, retry_of), "
        "split_part(retry_of, '-', 1), finished_at >= started_at FROM runs ORDER BY ALL",
    )
    found["lineage"] = query(table, "SELECT row_id, model, corpus FROM lineage ORDER BY ALL")
    return found


def nights(
    lake: Location, table: Location, bundle: Path, other_bundle: Path
) -> list[RunManifest | None]:
    """Five nights: first files, one new, one changed and one deleted, nothing, a new model, a
    replay."""

    def night(model: Path = bundle, **changes: Any) -> RunManifest | None:
        config = CONFIG.model_copy(update={"lake": "snapshot", **changes})
        return translate_here(lake, model, table, config, RESOURCES)

    put(lake, "lang=en/a.parquet", content("abcdefghi"))
    put(lake, "b.parquet", content("jklmno", n=pa.array(range(6), pa.int32())))
    put(lake, "c.parquet", content("p", text="plays " * 20))
    put(lake, "d.jsonl", b'{"key": "q", "english": "A cat."}\n{"key": "r", "english": ""}\nx\n')
    found = [night()]
    put(lake, "b.parquet", content("jkl", text="sleeps", n=pa.array(range(3), pa.int64())))
    put(lake, "e.parquet", content("stu"))
    (lake / "d.jsonl").unlink()
    found += [night(), night(), night(other_bundle, on_new_model="retranslate")]
    last = found[-1]
    assert last is not None
    longer = CONFIG.model_copy(update={"max_source_characters": 1000})
    found.append(retry_here(last.run_id, other_bundle, table, longer, RESOURCES))
    return found


def test_the_same_nights_give_the_same_table_as_on_a_disk(
    s3: S3Path, tmp_path: Path, bundle: Path, other_bundle: Path
) -> None:
    here = nights(tmp_path / "lake", tmp_path / "table", bundle, other_bundle)
    there = nights(s3 / "lake", s3 / "table", bundle, other_bundle)

    for one, other in zip(here, there, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert other.rows == one.rows
            assert other.row_id_digest == one.row_id_digest
            assert other.quality_signals == one.quality_signals
    assert [run is None for run in there] == [False, False, True, False, False]
    assert shown(s3 / "table") == shown(tmp_path / "table")
    assert len(query(s3 / "table", "FROM latest")) == 9 + 3 + 1 + 3
    first = there[0]
    assert first is not None
    assert len(query(s3 / "table", "FROM latest", as_of=first.run_id)) == 9 + 6 + 2


def test_files_that_are_as_the_table_knows_them_are_not_fetched(
    s3: S3Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3 / "lake", "a.parquet", content("abc"))
    translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)

    def download(path: S3Path, _to: Path) -> None:
        raise AssertionError(f"{path} was fetched")

    monkeypatch.setattr(S3Path, "download", download)
    assert translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES) is None
    assert forecast_run(s3 / "lake", bundle, s3 / "table", CONFIG).n_rows == 0


def test_a_whole_bucket_may_be_a_table_and_a_lost_file_is_missed(
    s3: S3Path, tmp_path: Path, bundle: Path
) -> None:
    put(tmp_path / "lake", "a.parquet", content("abc"))
    translate_here(tmp_path / "lake", bundle, s3, CONFIG, RESOURCES)
    assert len(query(s3, "FROM latest")) == 3
    (part,) = s3.glob("data/*/*/part-*.parquet")
    part.unlink()
    with pytest.raises(InputError, match="part-"):
        query(s3, "FROM latest")


def test_one_file_is_a_lake(s3: S3Path, bundle: Path) -> None:
    put(s3 / "lake", "a.parquet", content("abc"))
    run = translate_here(s3 / "lake/a.parquet", bundle, s3 / "table", CONFIG, RESOURCES)
    assert run is not None
    assert [file.path for file in run.files] == ["a.parquet"]


def test_a_lake_that_is_not_there_is_named(s3: S3Path, bundle: Path) -> None:
    with pytest.raises(
        InputError, match=rf"{s3}/lake: (no such file, and no folder|holds no file)"
    ):
        translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    put(s3, "lake/a.parquet", b"PAR1 but no more")
    with pytest.raises(InputError, match=rf"^{s3}/lake/a\.parquet: not readable as Parquet"):
        translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    assert not (s3 / "table").exists()


@pytest.fixture
def interrupted(s3: S3Path, bundle: Path) -> Callable[[], S3Table]:
    """Leaves a run over three units after the first."""

    def do_one_unit(run: TranslationRun) -> None:
        translator = UnitTranslator(run.staged, run.table.data, run.plan, run.model)
        translator.translate(run.plan.units[0])
        raise Interrupted

    def leave() -> S3Table:
        put(s3 / "lake", "a.parquet", content("abcdefghijkl"))
        with pytest.raises(Interrupted):
            translate_table(
                s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES, run_units=do_one_unit
            )
        return S3Table(s3 / "table")

    return leave


def test_a_run_counts_once_its_manifest_is_there(
    s3: S3Path, bundle: Path, interrupted: Callable[[], S3Table]
) -> None:
    table = interrupted()
    plan = table.unfinished()
    assert plan is not None
    (part,) = files_in(table.staged(plan), "part-*.parquet")
    before = part.stamp() if isinstance(part, S3Path) else None
    assert query(s3 / "table", "FROM translations") == []
    assert remove_orphan_files(s3 / "table") == {}

    run = translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)

    assert run is not None
    assert run.run_id == plan.run_id
    assert part.stamp() == before  # what was done was not done again
    assert len(query(s3 / "table", "FROM translations")) == 12
    assert table.unfinished() is None
    assert translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES) is None


def test_an_aborted_run_leaves_nothing(
    s3: S3Path, bundle: Path, interrupted: Callable[[], S3Table]
) -> None:
    table = interrupted()
    plan = table.unfinished()
    assert plan is not None
    assert abort_unfinished(s3 / "table") == plan.run_id
    assert list((s3 / "table").files()) == ["_table.json"]
    assert abort_unfinished(s3 / "table") is None


def test_an_aborted_run_with_a_damaged_plan_leaves_nothing(
    s3: S3Path, bundle: Path, interrupted: Callable[[], S3Table]
) -> None:
    table = interrupted()
    plan = table.unfinished()
    assert plan is not None
    table.plan_file(plan.run_id).write_bytes(b"{")
    assert abort_unfinished(s3 / "table") == "000001"
    assert list((s3 / "table").files()) == ["_table.json"]


def test_a_second_process_goes_on_with_the_run_of_the_first(
    s3: S3Path,
    bundle: Path,
    interrupted: Callable[[], S3Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both plan, both work, both publish: one run stands."""
    table = interrupted()
    plan = table.unfinished()
    assert plan is not None
    # As if the second had looked before the first had put its plan.
    looks = iter([None])
    monkeypatch.setattr(S3Table, "unfinished", lambda _table: next(looks))
    second = translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    assert second is not None
    assert second.run_id == plan.run_id
    first = second.model_copy(
        update={"finished_at": datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)}
    )
    assert table.publish(first) == second
    assert [run.run_id for run in table.published()] == [plan.run_id]
    assert len(query(s3 / "table", "FROM translations")) == 12


def test_a_second_process_that_is_late_changes_nothing(
    s3: S3Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finishes the run again after the first has published it."""
    put(s3 / "lake", "a.parquet", content("abcdefghijkl"))
    translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    put(s3 / "lake", "a.parquet", content("abc", text="sleeps " * 12))
    put(s3 / "lake", "b.parquet", content("xyz"))
    plans = []
    begin = S3Table.begin
    monkeypatch.setattr(S3Table, "begin", lambda t, plan: plans.append(plan) or begin(t, plan))
    run = translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    assert run is not None
    assert (run.n_rows_deleted, run.rows.n_quarantined) == (9, 3)
    before = shown(s3 / "table")

    same_run = TranslationRun(S3Table(s3 / "table"), plans[0], bundle, RESOURCES)
    late = finish_run(same_run, run_in_process)

    assert late == run
    assert shown(s3 / "table") == before


def test_a_plan_from_before_another_run_was_published_is_not_begun(
    s3: S3Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3 / "lake", "a.parquet", content("abc"))
    translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    with monkeypatch.context() as patch:
        patch.setattr(S3Table, "published", lambda _table: [])
        with pytest.raises(RunError, match="was published while this one was planned; run the sa"):
            translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    assert len(query(s3 / "table", "FROM translations")) == 3


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_file_that_changes_meanwhile_is_deferred(
    s3: S3Path, bundle: Path, interrupted: Callable[[], S3Table], change: str
) -> None:
    put(s3 / "lake", "b.parquet", content("xyz"))
    interrupted()
    if change == "replaced":
        put(s3 / "lake", "a.parquet", content("ABCDEFGHIJKL"))
    else:
        (s3 / "lake/a.parquet").unlink()

    run = translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)

    assert run is not None
    assert {unit.path for unit in run.units_deferred} == {"a.parquet"}
    assert [row[0] for row in query(s3 / "table", "SELECT key FROM latest ORDER BY 1")] == [*"xyz"]
    # By glob, too: what was staged of the file is withdrawn.
    folder = s3 / "table/data" / run_path(run)
    assert [path.name for path in folder.glob("part-*")] == [unit.file_name for unit in run.units]
    later = translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    assert (later is None) == (change == "deleted")


def test_what_no_run_refers_to_goes(
    s3: S3Path, bundle: Path, interrupted: Callable[[], S3Table]
) -> None:
    put(s3 / "lake", "b.parquet", content("xyz"))
    translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    interrupted()
    before = (s3 / "table").files()
    stray = [
        "data/run_date=2026-01-01/run=000002-dead/part-1.parquet",
        f"data/{next(iter(before)).split('data/')[-1].rsplit('/', 1)[0]}/part-0.parquet",
        "_staging/000002-dead/_replay/part-1.parquet",
    ]
    stray[1] = sorted(n for n in before if n.endswith("_manifest.json"))[0].replace(
        "_manifest.json", "part-0.parquet"
    )
    for name in stray:
        (s3 / "table" / name).write_bytes(b"left over")

    assert len(remove_orphan_files(s3 / "table", dry_run=True)) == 3
    found = remove_orphan_files(s3 / "table")

    assert sorted(map(str, found)) == sorted(f"{s3}/table/{name}" for name in stray)
    assert sum(found.values()) == 27
    assert (s3 / "table").files() == before


def test_compacting_needs_a_disk(s3: S3Path, bundle: Path) -> None:
    put(s3 / "lake", "b.parquet", content("xyz"))
    translate_here(s3 / "lake", bundle, s3 / "table", CONFIG, RESOURCES)
    with pytest.raises(InputError, match="S3 cannot exchange two folders"):
        compact(s3 / "table")


def test_an_s3_that_refuses_is_not_an_s3_without_the_table(
    s3: S3Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: S3Path) -> bytes:
        raise OSError(f"{path}: AccessDenied: Access Denied")

    monkeypatch.setattr(S3Path, "read_bytes", refused)
    with pytest.raises(OSError, match=r"_table\.json: AccessDenied: Access Denied$"):
        connect(s3 / "table", None)


def test_what_is_no_table_is_not_written_to(s3: S3Path, bundle: Path) -> None:
    put(s3 / "lake", "a.parquet", content("abc"))
    with pytest.raises(InputError, match="not empty and not a translation table"):
        translate_here(s3 / "lake", bundle, s3 / "lake", CONFIG, RESOURCES)
    with pytest.raises(InputError, match="not a translation table"):
        connect(s3 / "lake", None)


def test_one_file_at_a_time_is_copied_and_the_dead_leave_nothing(
    s3: S3Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("x/a.csv", "b.csv"):
        (s3 / name).write_bytes(name.encode())
    finished = subprocess.Popen(["true"])
    finished.wait()
    dead = tmp_path / f"lingo-copy-{socket.gethostname()}-{finished.pid}-abc"
    elsewhere = tmp_path / f"lingo-copy-another-machine-{finished.pid}-abc"
    for folder in (dead, elsewhere):
        folder.mkdir()

    copies = LocalCopies(s3)
    first = copies.path("x/a.csv")
    assert (first.name, first.read_text()) == ("a.csv", "x/a.csv")
    assert copies.path("x/a.csv") == first
    assert copies.path("b.csv").read_text() == "b.csv"
    assert not first.exists()
    copies.forget()
    assert list(tmp_path.iterdir()) == [elsewhere]
