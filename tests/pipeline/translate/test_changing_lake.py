"""Lakes as they change from night to night: what leaves the latest rows, and what must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator
from pipeline.storage.files import write_bytes
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.compaction import compact
from pipeline.table.manifest import PLAN, QUARANTINE_FOLDER, RunManifest, RunPlan
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.translate import reconcile, tombstones
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun

translate_here = partial(translate_table, run_units=run_in_process)

CONFIG = TranslateConfig(rows_per_unit=20)
BY_ID = CONFIG.model_copy(update={"id_column": "id"})


Night = Callable[..., RunManifest | None]


@pytest.fixture
def night(lake: Path, table: Path, bundle: Path) -> Night:
    """One run over the lake, or another input."""

    def run(config: TranslateConfig = CONFIG, source: Location = lake) -> RunManifest | None:
        return translate_here(source, bundle, table, config, TranslateResources(n_actors=1))

    return run


def latest(table: Location, columns: str = "text") -> list[Any]:
    found = run_query(connect(table, None), f"SELECT {columns} FROM latest ORDER BY ALL")
    assert found is not None
    rows = found.fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def write_csv(path: Path, **texts: str) -> None:
    path.write_text("id,text\n" + "".join(f"{i[1:]},{text}\n" for i, text in texts.items()))


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_the_rows_of_a_file_that_is_empty_now_are_no_more(
    lake: Path, table: Path, night: Night, kind: str
) -> None:
    config = TranslateConfig.model_validate(CONFIG.model_dump() | {"lake": kind})
    (lake / "a.txt").write_text("A dog plays.\nA cat plays.\n")
    (lake / "b.txt").write_text("A fish swims.\n")
    night(config)
    (lake / "a.txt").write_text("")

    emptied = night(config)

    assert emptied is not None
    assert (emptied.rows.n_input, emptied.n_rows_deleted) == (0, 2)
    assert latest(table) == ["A fish swims."]
    assert night(config) is None
    (lake / "a.txt").write_text("A dog plays.\n")
    night(config)
    assert latest(table) == ["A dog plays.", "A fish swims."]


def test_an_id_that_moves_to_another_file_stays(lake: Path, table: Path, night: Night) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _5="A cat.", _7="A hat.")
    night(BY_ID)
    write_csv(lake / "b.csv", _5="A cat.", _6="A fish.")
    night(BY_ID)
    write_csv(lake / "a.csv", _1="A dog.")

    third = night(BY_ID)

    assert third is not None
    assert third.n_rows_deleted == 1  # 7; 5 is in b.csv
    assert latest(table, "row_id, text") == [("1", "A dog."), ("5", "A cat."), ("6", "A fish.")]


def test_an_id_that_moves_within_a_run_is_not_retracted(
    lake: Path, table: Path, night: Night
) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _5="A cat.", _7="A hat.")
    night(BY_ID)
    write_csv(lake / "a.csv", _1="A dog.")
    write_csv(lake / "b.csv", _5="A cat.")

    second = night(BY_ID)

    assert second is not None
    assert second.n_rows_deleted == 1  # 7
    assert latest(table, "row_id") == ["1", "5"]


@pytest.mark.parametrize("stays", [False, True])
def test_an_id_whose_new_version_in_another_file_is_in_quarantine_has_no_latest_row(
    lake: Path, table: Path, night: Night, stays: bool
) -> None:
    config = BY_ID.model_copy(update={"max_source_characters": 20})
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat.")
    night(config)
    if not stays:
        write_csv(lake / "a.csv", _1="A dog.")
    write_csv(lake / "b.csv", _2="A cat that is too long.")

    night(config)

    assert latest(table, "row_id") == ["1"]


def test_of_a_compacted_table_ids_are_read_back_once(
    lake: Path, table: Path, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1, 6):
        write_csv(lake / f"{n}.csv", **{f"_{n}": "A dog.", f"_{n}0": "A cat."})
    night(BY_ID)
    compact(table)
    write_csv(lake / "1.csv", _1="A dog.")
    read: list[Location] = []
    true_read = tombstones.read_parquet
    monkeypatch.setattr(
        tombstones,
        "read_parquet",
        lambda path, columns: read.append(path) or true_read(path, columns),
    )

    night(BY_ID)

    assert len([path for path in read if "compact" in path.name or "run=000001" in str(path)]) == 2
    assert latest(table, "row_id") == sorted(
        ["1", *(f"{n}{z}" for n in range(2, 6) for z in ("", "0"))]
    )


@pytest.mark.parametrize("before", ["emptied", "deleted"])
def test_a_file_that_is_back_before_the_run_ends_keeps_its_rows(
    lake: Path, table: Path, night: Night, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """A writer empties or removes it and writes it again, while the run plans and works."""
    config = CONFIG.model_copy(update={"lake": "snapshot"})
    for name in ("a.txt", "b.txt"):
        (lake / name).write_text(f"A dog plays in {name}.\n")
    night(config)
    (lake / "b.txt").write_text("A cat plays.\n")
    if before == "emptied":
        (lake / "a.txt").write_text("")
    else:
        (lake / "a.txt").unlink()
    true_reconcile = reconcile.reconcile

    def when_it_is_back(*given: Any) -> Any:
        (lake / "a.txt").write_text("A fish swims.\n")
        return true_reconcile(*given)

    with monkeypatch.context() as planted:
        planted.setattr("pipeline.translate.publish.reconcile", when_it_is_back)
        night(config)
    assert latest(table) == ["A cat plays.", "A dog plays in a.txt."]

    night(config)

    assert latest(table) == ["A cat plays.", "A fish swims."]


def test_a_link_that_points_elsewhere_each_night_is_one_lake(
    tmp_path: Path, table: Path, night: Night
) -> None:
    for day, text in (("day1", "A dog.\n"), ("day2", "A cat.\n")):
        write_bytes(tmp_path / day / "data.txt", text.encode())
        (tmp_path / "current").unlink(missing_ok=True)
        (tmp_path / "current").symlink_to(tmp_path / day)
        night(CONFIG.model_copy(update={"lake": "snapshot"}), source=tmp_path / "current")

    assert latest(table) == ["A cat."]


def test_ids_of_a_deleted_file_that_stand_in_another_stay(
    lake: Path, table: Path, night: Night
) -> None:
    config = BY_ID.model_copy(update={"lake": "snapshot"})
    write_csv(lake / "old.csv", _1="A dog.", _2="A cat.")
    night(config)
    write_csv(lake / "new.csv", _1="A dog.")
    night(config)
    (lake / "old.csv").unlink()
    night(config)

    assert latest(table, "row_id") == ["1"]


def test_a_file_of_the_same_name_elsewhere_does_not_replace_the_first(
    tmp_path: Path, table: Path, night: Night
) -> None:
    days = [tmp_path / "exports" / day for day in ("day1", "day2")]
    for day, text in zip(days, ("A dog.\n", "A cat.\n"), strict=True):
        write_bytes(day / "data.txt", text.encode())
    night(source=days[0])

    for source in (days[1], days[1] / "data.txt"):
        with pytest.raises(
            InputError,
            match=r"day2/data\.txt: would replace the rows of another file data\.txt, which run "
            ".* read from .*d",
        ):
            night(source=source)
    assert latest(table) == ["A dog."]
    night(source=days[0] / "data.txt")  # the same file by another name
    night(source=tmp_path / "exports")
    assert latest(table) == ["A cat.", "A dog.", "A dog."]


def test_a_lake_that_moved_goes_on_when_told(
    tmp_path: Path, lake: Path, table: Path, night: Night
) -> None:
    (lake / "a.txt").write_text("A dog.\n")
    (lake / "b.txt").write_text("A fish.\n")
    night()
    moved = lake.rename(tmp_path / "elsewhere")
    assert night(source=moved) is None  # nothing changed
    (moved / "a.txt").write_text("A cat.\n")

    with pytest.raises(
        InputError, match="if the lake has a new location, run once with --lake moved"
    ):
        night(source=moved)
    night(CONFIG.model_copy(update={"lake": "moved"}), source=moved)
    with pytest.raises(InputError, match="if the lake has a new location"):
        night(source=lake_again(lake))
    (moved / "b.txt").write_text("A bird.\n")
    night(source=moved)

    assert latest(table) == ["A bird.", "A cat."]


def lake_again(lake: Path) -> Path:
    """Something else where the lake was, with a file of the same path."""
    write_bytes(lake / "a.txt", b"Not that lake.\n")
    return lake


def test_a_snapshot_that_moved_goes_on_when_told(
    tmp_path: Path, lake: Path, table: Path, night: Night
) -> None:
    snapshot, told = (CONFIG.model_copy(update={"lake": kind}) for kind in ("snapshot", "moved"))
    (lake / "a.txt").write_text("A dog.\n")
    (lake / "b.txt").write_text("A fish.\n")
    night(snapshot)
    moved = lake.rename(tmp_path / "elsewhere")
    (moved / "a.txt").unlink()

    with pytest.raises(InputError, match="as a snapshot it would delete the rows of"):
        night(snapshot, source=moved)
    assert night(told, source=moved) is not None  # nothing but where it is
    assert night(told, source=moved) is None
    night(snapshot, source=moved)

    assert latest(table) == ["A fish."]


def test_a_row_that_failed_only_once_is_not_counted_twice(
    lake: Path, table: Path, bundle: Path, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The actor that saw it fail died after it had written the quarantine."""
    (lake / "a.txt").write_text("A dog plays.\nA cat plays.\n")
    config = CONFIG.model_copy(update={"max_failed_share": 1.0})

    def fail(*_: object) -> Any:
        raise MemoryError("planted")

    def stop_before_publishing(run: TranslationRun) -> None:
        run_in_process(run)
        raise InterruptedError

    with monkeypatch.context() as planted, pytest.raises(InterruptedError):
        planted.setattr(Translator, "translate_sources", fail)
        translate_table(lake, bundle, table, config, run_units=stop_before_publishing)
    (staged,) = (table / "_staging").iterdir()
    (unit,) = RunPlan.load(staged / PLAN).units
    assert pq.read_table(staged / QUARANTINE_FOLDER / unit.file_name).num_rows == 2
    (staged / unit.file_name).unlink()

    manifest = night(config)

    assert manifest is not None
    assert (manifest.rows.n_translated, manifest.rows.n_quarantined) == (2, 0)


def test_columns_may_have_the_names_of_what_lineage_says(
    lake: Path, table: Path, night: Night
) -> None:
    names = ("corpus", "model", "dataset_fingerprint", "_number")
    pq.write_table(
        pa.table({"text": ["A dog."], **{name: [name] for name in names}}), lake / "a.parquet"
    )
    night()

    connection = connect(table, None)
    lineage = run_query(connection, "SELECT model, corpus FROM lineage")
    compared = run_query(connection, "SELECT same_translation FROM compare('1', '1')")

    assert lineage is not None and compared is not None
    ((model, corpus),) = lineage.fetchall()
    assert (model, corpus) != ("model", "corpus")
    assert compared.fetchall() == [(True,)]
    assert latest(table, "corpus") == ["corpus"]


def test_a_file_that_goes_while_its_ids_are_read_back_is_deferred(
    lake: Path, table: Path, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(lake / "a.csv", _1="A dog.")
    write_csv(lake / "b.csv", _2="A cat.")
    true_ids = reconcile.expected_row_ids

    def ids_of_what_is_deleted(root: Path, units: Any, config: TranslateConfig) -> Iterator[str]:
        units = list(units)
        if units[0].path == "a.csv":
            (root / "a.csv").unlink(missing_ok=True)
        yield from true_ids(root, units, config)

    monkeypatch.setattr(reconcile, "expected_row_ids", ids_of_what_is_deleted)
    manifest = night(BY_ID)

    assert manifest is not None
    assert [unit.path for unit in manifest.units_deferred] == ["a.csv"]
    assert latest(table) == ["A cat."]


def test_malformed_rows_need_no_ids_that_differ(lake: Path, table: Path, night: Night) -> None:
    """A line break without quotation marks leaves half rows, often the same ones."""
    (lake / "a.csv").write_text("id,lang,text\n1,en,A dog.\nRegards,en\n2,en,A cat.\nRegards,en\n")

    manifest = night(BY_ID)

    assert manifest is not None
    assert manifest.quarantined == {"malformed": 2}
    assert latest(table, "row_id") == ["1", "2"]


REFUSED: dict[str, tuple[dict[str, str], TranslateConfig, str]] = {
    "a float as id": (
        {"a.jsonl": '{"id": 1, "text": "x"}\n{"id": 2.0, "text": "y"}\n'},
        BY_ID,
        r"id column 'id' is double: needs text or whole numbers",
    ),
    "a number that no column holds": (
        {"a.jsonl": '{"n": 1, "text": "x"}\n{"n": 9223372036854775808, "text": "y"}\n'},
        CONFIG,
        r"a\.jsonl: a key has values of different types, or a value that is too large",
    ),
    "an object without keys": (
        {"a.jsonl": '{"meta": {}, "text": "x"}\n'},
        CONFIG,
        r"lake: Parquet cannot hold its columns \(.*struct",
    ),
    "names that differ in case, in two files": (
        {"a.csv": "text,Title\nx,y\n", "b.csv": "text,title\nx,y\n"},
        CONFIG,
        r"b\.csv: column 'title' is 'Title' in a\.csv",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_written_is_refused_before_any_work(
    lake: Path, table: Path, night: Night, case: str
) -> None:
    files, config, message = REFUSED[case]
    for name, content in files.items():
        (lake / name).write_text(content)

    with pytest.raises(InputError, match=message):
        night(config)

    assert not table.exists()


def test_an_id_column_of_bytes_that_are_no_text_is_named(
    lake: Path, table: Path, night: Night
) -> None:
    raw = pa.array([b"a", b"\xff"])
    ids = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"id": ids, "text": ["x", "y"]}), lake / "a.parquet")

    with pytest.raises(InputError, match=r"a\.parquet: damaged \(.*utf-8"):
        night(BY_ID)


def test_a_file_without_rows_needs_no_columns(lake: Path, table: Path, night: Night) -> None:
    (lake / "a.jsonl").write_text("")
    (lake / "b.jsonl").write_text('{"text": "A dog."}\n')
    night()
    assert latest(table) == ["A dog."]
    (lake / "b.jsonl").unlink()
    assert night() is None


def test_folders_that_tools_have_marked_on_s3_are_no_files(s3: S3Path, bundle: Path) -> None:
    client = boto3.client("s3")
    for key in ("lake/", "lake/sub/", "lake/empty/", "out/"):
        client.put_object(Bucket=s3.bucket, Key=key)
    resources = TranslateResources(n_actors=1)
    with pytest.raises(InputError, match="holds no file to translate"):
        translate_here(s3 / "lake", bundle, s3 / "out", CONFIG, resources)
    write_bytes(s3 / "lake/sub/a.txt", b"A dog.\n")
    write_bytes(s3 / "lake/nothing.txt", b"")

    manifest = translate_here(s3 / "lake", bundle, s3 / "out", CONFIG, resources)

    assert manifest is not None
    assert [file.path for file in manifest.files] == ["nothing.txt", "sub/a.txt"]
    assert latest(s3 / "out") == ["A dog."]
    assert open_table(s3 / "out").published() == [manifest]
