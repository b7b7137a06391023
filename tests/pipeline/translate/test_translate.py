"""A translation run: every row once, only new work, what changes is deferred, bad input refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator, engine, load_bundle, read_bundle_manifest
from pipeline.decoding import DecodeConfig
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.errors import RunError
from pipeline.observability.progress import ProgressEvent
from pipeline.schemas import TRANSLATION_COLUMNS
from pipeline.table.maintenance import abort_unfinished
from pipeline.table.manifest import FORMAT_VERSION, PLAN, RunPlan, Unit
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.translate.actors import task_groups
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.in_process import run_in_process
from pipeline.translate.lineage import lineage_of
from pipeline.translate.planning import plan_run
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun
from pipeline.translate.unit_translator import UnitTranslator

translate_here = partial(translate_table, run_units=run_in_process)

pytestmark = pytest.mark.ray

CONFIG = TranslateConfig(text_column="english", rows_per_unit=20)
RESOURCES = TranslateResources(n_actors=2)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two files, 90 rows, one of them of several row groups."""
    folder = tmp_path / "lake"
    folder.mkdir()
    sentences = [pair.source for pair in generate_pairs(90, seed=9, split="test")]
    write_lake_file(folder / "a.parquet", sentences[:50])
    write_lake_file(folder / "b.parquet", sentences[50:])
    return folder


def write_lake_file(path: Path, sentences: list[str]) -> None:
    rows = {"doc": list(range(len(sentences))), "english": sentences}
    pq.write_table(pa.table(rows), path, row_group_size=10)


def rows_of(table: Path) -> list[dict[str, Any]]:
    """Every row that a reader by glob sees, in a fixed order."""
    found = pads.dataset(table / "data", partitioning="hive").to_table()
    return sorted(found.drop_columns(["run", "run_date"]).to_pylist(), key=lambda r: r["row_id"])


def test_every_row_is_translated_once_and_explains_itself(
    running_ray: None, lake: Path, bundle: Path, tmp_path: Path
) -> None:
    manifest = translate_table(lake, bundle, tmp_path / "table", CONFIG, RESOURCES)

    assert manifest is not None
    assert (manifest.n_units_planned, manifest.n_units_emitted) == (5, 5)
    assert manifest.rows.n_input == manifest.rows.n_translated == 90
    rows = rows_of(tmp_path / "table")
    assert len({row["row_id"] for row in rows}) == len(rows) == 90
    source = pads.dataset(lake).to_table()["english"].to_pylist()
    assert sorted(row["english"] for row in rows) == sorted(source)
    translator = Translator(load_bundle(bundle))
    expected = {t: translator.translate([t])[0] for t in source[:10]}
    for row in rows:
        if (alone := expected.get(row["english"])) is not None:
            assert row["translation"] == alone.text
            assert row["score"] == pytest.approx(alone.score, abs=1e-5)
            assert row["n_target_tokens"] == alone.n_target_tokens
        assert (row["status"], row["source_lang"], row["target_lang"]) == ("translated", "en", "es")


def test_the_files_are_read_by_others_without_this_project(
    running_ray: None, lake: Path, bundle: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table"
    translate_table(lake, bundle, table, CONFIG, RESOURCES)

    by_duckdb = duckdb.sql(
        f"SELECT count(*), count(DISTINCT row_id), any_value(run) FROM '{table}/data/*/*/*.parquet'"
    ).fetchall()[0]
    by_pandas = pd.read_parquet(table / "data")
    by_arrow = pads.dataset(table / "data", partitioning="hive").to_table()
    by_polars = polars.read_parquet(f"{table}/data/*/*/*.parquet", hive_partitioning=True)

    assert by_duckdb[:2] == (90, 90)
    assert by_duckdb[2].startswith("000001-")
    assert len(by_pandas) == by_arrow.num_rows == by_polars.height == 90
    assert by_polars["run"].unique().to_list() == [by_duckdb[2]]
    part = next((table / "data").rglob("part-*.parquet"))
    assert pq.read_schema(part).names == ["doc", "english", *TRANSLATION_COLUMNS.names]


def test_one_actor_gives_the_rows_of_two(
    running_ray: None, lake: Path, bundle: Path, tmp_path: Path
) -> None:
    for n_actors in (1, 2):
        translate_table(
            lake, bundle, tmp_path / str(n_actors), CONFIG, TranslateResources(n_actors=n_actors)
        )

    assert rows_of(tmp_path / "1") == rows_of(tmp_path / "2")


def test_a_second_run_takes_only_what_is_new(lake: Path, bundle: Path, tmp_path: Path) -> None:
    table = tmp_path / "table"
    translate_here(lake, bundle, table, CONFIG, RESOURCES)

    assert translate_here(lake, bundle, table, CONFIG, RESOURCES) is None

    write_lake_file(lake / "c.parquet", ["The cat sleeps.", "I like cats."])
    manifest = translate_here(lake, bundle, table, CONFIG, RESOURCES)

    assert manifest is not None
    assert manifest.run_id.startswith("000002-")
    assert (manifest.n_units_planned, manifest.n_units_skipped, manifest.n_units_emitted) == (
        6,
        5,
        1,
    )
    assert len(rows_of(table)) == 92


def test_a_new_model_retranslates_only_when_told(
    lake: Path, bundle: Path, other_bundle: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table"
    translate_here(lake, bundle, table, CONFIG, RESOURCES)

    assert translate_here(lake, other_bundle, table, CONFIG, RESOURCES) is None

    again = CONFIG.model_copy(update={"on_new_model": "retranslate"})
    manifest = translate_here(lake, other_bundle, table, again, RESOURCES)

    assert manifest is not None
    assert manifest.rows.n_translated == 90
    assert len({row["model_id"] for row in rows_of(table)}) == 2


def test_odd_rows_pass_through_or_are_quarantined_with_a_reason(
    bundle: Path, tmp_path: Path
) -> None:
    source = tmp_path / "odd.txt"
    lines = [b"I like cats.", b"", b"12.50 - 13", b"caf\xe9", b"x" * 301, "¿?".encode()]
    source.write_bytes(b"\n".join(lines) + b"\n")
    config = TranslateConfig(max_source_characters=300)

    manifest = translate_here(source, bundle, tmp_path / "table", config, RESOURCES)

    assert manifest is not None
    rows = manifest.rows
    assert (rows.n_input, rows.n_translated, rows.n_passed_through, rows.n_quarantined) == (
        6,
        1,
        3,
        2,
    )
    passed = {r["text"]: r for r in rows_of(tmp_path / "table") if r["status"] == "passed_through"}
    assert passed["12.50 - 13"]["translation"] == "12.50 - 13"
    assert passed["12.50 - 13"]["score"] is None
    found = duckdb.sql(
        f"SELECT reason FROM '{tmp_path}/table/data/*/*/_quarantine/*.parquet' ORDER BY reason"
    ).fetchall()
    assert found == [("too_long",), ("undecodable",)]


def test_a_sentence_of_too_many_tokens_is_cut(bundle: Path, tmp_path: Path) -> None:
    texts = ["Two dogs play.", "Two dogs play and two cats play and two dogs play.", "A cat."]
    (tmp_path / "lake").mkdir()
    pq.write_table(pa.table({"english": texts}), tmp_path / "lake" / "a.parquet")
    lengths = [len(ids) for ids in Translator(load_bundle(bundle)).sources(texts)]
    assert lengths[1] > lengths[0] > lengths[2]
    config = CONFIG.model_copy(update={"decode": DecodeConfig(max_source_tokens=lengths[0])})

    manifest = translate_here(
        tmp_path / "lake", bundle, tmp_path / "table", config, TranslateResources(n_actors=1)
    )

    assert manifest is not None
    assert (manifest.rows.n_translated, manifest.rows.n_quarantined) == (3, 0)
    n_segments = {row["english"]: row["n_segments"] for row in rows_of(tmp_path / "table")}
    assert n_segments[texts[0]] == n_segments[texts[2]] == 1
    assert n_segments[texts[1]] >= 2


@pytest.mark.parametrize(
    "changed", [{"precision": "int8"}, {"beam_size": 3}, {"length_penalty_alpha": 0.5}]
)
def test_every_decode_setting_is_in_a_units_id(
    lake: Path, bundle: Path, changed: dict[str, Any]
) -> None:
    model = read_bundle_manifest(bundle)
    plain, _ = plan_run("000001-aaaa", lake, model, CONFIG, [], lineage_of(bundle))
    config = CONFIG.model_copy(update={"decode": DecodeConfig(**changed)})
    other, _ = plan_run("000001-aaaa", lake, model, config, [], lineage_of(bundle))

    again, _ = plan_run("000001-aaaa", lake, model, CONFIG, [], lineage_of(bundle))
    assert [unit.unit_id for unit in again.units] == [unit.unit_id for unit in plain.units]
    ids = {unit.unit_id for unit in plain.units}, {unit.unit_id for unit in other.units}
    assert len(ids[0]) == 5
    assert not ids[0] & ids[1]


def test_an_id_column_is_the_row_id(lake: Path, bundle: Path, tmp_path: Path) -> None:
    (lake / "b.parquet").unlink()
    config = CONFIG.model_copy(update={"id_column": "doc"})

    translate_here(lake, bundle, tmp_path / "table", config, RESOURCES)

    rows = rows_of(tmp_path / "table")
    assert {row["row_id"] for row in rows} == {str(i) for i in range(50)}
    assert all(row["row_id"] == str(row["doc"]) for row in rows)


class Interrupted(Exception):
    """What these tests interrupt a run with."""


def interrupt(_event: ProgressEvent) -> None:
    raise Interrupted


def staged_run(
    lake: Path,
    bundle: Path,
    table: Path,
    n_units: int,
) -> Path:
    """A run that stopped after some units were staged; its staging folder."""

    def stop_after(run: TranslationRun) -> None:
        translator = UnitTranslator(run.staged, run.table.data, run.plan, run.model)
        for unit in run.plan.units[:n_units]:
            assert not translator.translate(unit).is_deferred
        raise Interrupted

    with pytest.raises(Interrupted):
        translate_table(lake, bundle, table, CONFIG, RESOURCES, run_units=stop_after)
    (staged,) = (table / "_staging").iterdir()
    return staged


def test_an_unfinished_run_is_gone_on_with_and_ends_like_an_undisturbed_one(
    running_ray: None,
    lake: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    staged = staged_run(lake, bundle, tmp_path / "table", n_units=2)
    first = {p.name: p.stat().st_mtime_ns for p in staged.glob("part-*.parquet")}
    assert len(first) == 2
    assert not (tmp_path / "table" / "data").exists()  # readers see nothing of it

    manifest = translate_table(lake, bundle, tmp_path / "table", CONFIG, RESOURCES)
    translate_table(lake, bundle, tmp_path / "undisturbed", CONFIG, RESOURCES)

    assert manifest is not None
    assert manifest.run_id == staged.name
    published = {
        p.name: p.stat().st_mtime_ns for p in (tmp_path / "table" / "data").glob("*/*/part-*")
    }
    assert first.items() <= published.items()  # what was done was not done again
    assert rows_of(tmp_path / "table") == rows_of(tmp_path / "undisturbed")
    assert not staged.exists()


def test_an_unfinished_run_is_refused_to_other_settings_and_can_be_discarded(
    lake: Path,
    bundle: Path,
    other_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = tmp_path / "table"
    staged = staged_run(lake, bundle, table, n_units=1)

    with pytest.raises(
        InputError, match=rf"unfinished run {staged.name} has model_id=.*lingo table abort"
    ):
        translate_here(lake, other_bundle, table, CONFIG, RESOURCES)

    assert abort_unfinished(table) == staged.name
    assert abort_unfinished(table) is None
    assert not staged.exists()
    assert translate_here(lake, other_bundle, table, CONFIG, RESOURCES) is not None


def test_a_run_whose_plan_is_damaged_can_be_discarded(
    lake: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table"
    staged = staged_run(lake, bundle, table, n_units=1)
    (staged / PLAN).write_text("{")

    with pytest.raises(InputError, match=rf"{PLAN}: not valid JSON.*lingo table abort"):
        translate_here(lake, bundle, table, CONFIG, RESOURCES)

    assert abort_unfinished(table) == staged.name
    assert translate_here(lake, bundle, table, CONFIG, RESOURCES) is not None


@pytest.mark.parametrize("change", ["rewritten", "deleted"])
def test_a_file_that_changed_during_the_run_is_deferred(
    running_ray: None,
    lake: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    table = tmp_path / "table"
    staged_run(lake, bundle, table, n_units=2)  # two units of a.parquet
    if change == "deleted":
        (lake / "a.parquet").unlink()
    else:
        write_lake_file(lake / "a.parquet", ["I like cats."])

    manifest = translate_table(lake, bundle, table, CONFIG, RESOURCES)

    assert manifest is not None
    assert {unit.path for unit in manifest.units_deferred} == {"a.parquet"}
    assert manifest.n_units_planned == manifest.n_units_deferred + manifest.n_units_emitted == 3 + 2
    assert {row["english"] for row in rows_of(table)} == set(
        pq.read_table(lake / "b.parquet")["english"].to_pylist()
    )
    if change == "rewritten":
        after = translate_table(lake, bundle, table, CONFIG, RESOURCES)
        assert after is not None
        assert after.rows.n_input == 1


def spoil_rows(table: pa.Table) -> pa.Table:
    return table.slice(1)


def spoil_ids(table: pa.Table) -> pa.Table:
    index = table.schema.get_field_index("row_id")
    ids = table["row_id"].to_pylist()
    return table.set_column(index, "row_id", pa.array([ids[1], *ids[1:]]))


@pytest.mark.parametrize("spoil", [spoil_rows, spoil_ids])
def test_staged_rows_that_are_not_those_of_the_input_are_not_published(
    lake: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pa.Table], pa.Table],
) -> None:
    table = tmp_path / "table"
    staged = staged_run(lake, bundle, table, n_units=1)
    part = staged / RunPlan.load(staged / PLAN).units[0].file_name
    pq.write_table(spoil(pq.read_table(part)), part)

    with pytest.raises(RunError, match=rf"{part.name}.*nothing was published"):
        translate_here(lake, bundle, table, CONFIG, RESOURCES)

    assert open_table(table).published() == []
    part.unlink()
    assert translate_here(lake, bundle, table, CONFIG, RESOURCES) is not None


def test_a_table_that_is_written_to_is_locked(lake: Path, bundle: Path, tmp_path: Path) -> None:
    table = open_table(tmp_path / "table")
    with table.locked(), pytest.raises(InputError, match=rf"process {os.getpid()}"):
        translate_table(lake, bundle, tmp_path / "table", CONFIG, RESOURCES)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such column": (
        {"text_column": "french"},
        r"has no column 'french'; its columns are doc, english",
    ),
    "not text": ({"text_column": "doc"}, r"column 'doc' is int64: needs text"),
    "no id column": ({"id_column": "key"}, r"has no column 'key'.*--id-column"),
    "our own name": ({"rename": {"doc": "score"}}, r"column 'score' has a name.*--rename score="),
    "our own name in capitals": ({"rename": {"doc": "Score"}}, r"column 'Score' has a name"),
    "two of a name": ({"rename": {"doc": "english"}}, r"column 'english' occurs twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_that_do_not_fit_are_refused_and_nothing_is_written(
    lake: Path, bundle: Path, tmp_path: Path, case: str
) -> None:
    changed, message = REFUSED[case]

    with pytest.raises(InputError, match=message):
        translate_table(
            lake, bundle, tmp_path / "table", CONFIG.model_copy(update=changed), RESOURCES
        )

    assert not (tmp_path / "table").exists()


def test_a_tier_that_this_machine_cannot_run_is_refused_before_any_work(
    lake: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "native_precisions", lambda: ("float32",))
    config = CONFIG.model_copy(update={"decode": DecodeConfig(precision="int8")})
    here = TranslateResources(n_actors=1, ray_address="local")

    with pytest.raises(InputError, match=r"precision='int8': this machine supports float32"):
        translate_table(lake, bundle, tmp_path / "table", config, here)

    assert not (tmp_path / "table").exists()


def test_a_place_that_is_no_table_or_another_table_is_refused(
    lake: Path, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="not empty and not a translation table"):
        translate_here(lake, bundle, lake, CONFIG, RESOURCES)
    table = tmp_path / "table"
    translate_here(lake, bundle, table, CONFIG, RESOURCES)
    with pytest.raises(InputError, match=r"a table with limit=None, not 5"):
        translate_here(lake, bundle, table, CONFIG.model_copy(update={"limit": 5}), RESOURCES)
    identity = json.loads((table / "_table.json").read_text())
    (table / "_table.json").write_text(json.dumps(identity | {"format_version": 99}))
    with pytest.raises(InputError, match=f"format_version=99: this release reads {FORMAT_VERSION}"):
        translate_here(lake, bundle, table, CONFIG, RESOURCES)


def test_limit_takes_the_first_rows_of_each_file(lake: Path, bundle: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"limit": 25})

    manifest = translate_here(lake, bundle, tmp_path / "table", config, RESOURCES)

    assert manifest is not None
    assert manifest.rows.n_input == 50
    assert {row["doc"] for row in rows_of(tmp_path / "table")} == set(range(25))


def latest(table: Path) -> dict[str, dict[str, Any]]:
    """What `lingo sql` shows as the latest rows, by their English text."""
    found = run_query(connect(table, None), "SELECT * FROM latest")
    assert found is not None
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert len({row["row_id"] for row in rows}) == len(rows)
    return {row["english"]: row for row in rows}


def sentences_of(name: str, n_rows: int) -> list[str]:
    return [f"The {name} number {i} plays." for i in range(n_rows)]


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_the_latest_rows_are_those_that_the_lake_has(
    bundle: Path, tmp_path: Path, kind: str
) -> None:
    lake, table = tmp_path / "lake", tmp_path / "table"
    lake.mkdir()
    config = TranslateConfig.model_validate(CONFIG.model_dump() | {"lake": kind})
    a, b = sentences_of("dog", 25), sentences_of("cat", 10)
    write_lake_file(lake / "a.parquet", a)
    write_lake_file(lake / "b.parquet", b)
    first = translate_here(lake, bundle, table, config, RESOURCES)
    assert first is not None
    assert set(latest(table)) == {*a, *b}

    changed = [*a[:10], "A new row.", *a[11:20]]
    write_lake_file(lake / "a.parquet", changed)
    write_lake_file(lake / "c.parquet", ["The fish swims."])
    (lake / "b.parquet").unlink()
    second = translate_here(lake, bundle, table, config, RESOURCES)

    assert second is not None
    gone = kind == "snapshot"
    assert second.n_rows_deleted == 5 + (10 if gone else 0)
    rows = latest(table)
    assert set(rows) == {*changed, "The fish swims.", *([] if gone else b)}
    assert (second.rows.n_input, second.rows.n_reused, second.rows.n_translated) == (21, 19, 2)
    assert rows[a[3]]["status"] == "reused"  # by the translation memory of the first run
    assert rows["A new row."]["status"] == "translated"
    assert translate_here(lake, bundle, table, config, RESOURCES) is None
    if gone:  # a run that takes away and brings nothing
        (lake / "c.parquet").unlink()
        third = translate_here(lake, bundle, table, config, RESOURCES)
        assert third is not None
        assert (third.rows.n_input, third.n_rows_deleted) == (0, 1)
        assert set(latest(table)) == set(changed)


def test_rows_with_ids_of_their_own_are_retracted_by_id(bundle: Path, tmp_path: Path) -> None:
    lake, table = tmp_path / "lake", tmp_path / "table"
    lake.mkdir()
    config = CONFIG.model_copy(update={"id_column": "doc"})

    def write(**texts: str) -> None:
        rows = {"doc": list(texts), "english": list(texts.values())}
        pq.write_table(pa.table(rows), lake / "a.parquet")

    write(x="The dog plays.", y="The cat plays.", z="The fish plays.")
    translate_here(lake, bundle, table, config, RESOURCES)
    write(w="The bird plays.", x="The dog plays.", z="The fish swims.")
    manifest = translate_here(lake, bundle, table, config, RESOURCES)

    assert manifest is not None
    assert manifest.n_rows_deleted == 1
    assert {row["row_id"]: text for text, row in latest(table).items()} == {
        "w": "The bird plays.", "x": "The dog plays.", "z": "The fish swims."
    }  # fmt: skip


def test_a_row_whose_new_version_is_in_quarantine_has_no_latest_one(
    bundle: Path, tmp_path: Path
) -> None:
    lake, table = tmp_path / "lake", tmp_path / "table"
    lake.mkdir()
    config = CONFIG.model_copy(update={"max_source_characters": 100})
    for texts in (["A dog.", "A cat."], ["A dog.", "A cat. " * 20], ["A dog.", "A cat."]):
        write_lake_file(lake / "a.parquet", texts)
        translate_here(lake, bundle, table, config, RESOURCES)
        assert set(latest(table)) == {text for text in texts if len(text) <= 100}


def test_a_file_of_other_content_and_the_same_time_is_deferred(
    lake: Path,
    bundle: Path,
    tmp_path: Path,
) -> None:
    """Size and time say nothing here; its digest does."""
    path = lake / "a.parquet"

    def change_and_work(run: TranslationRun) -> None:
        before = path.stat()
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        run_in_process(run)

    manifest = translate_table(
        lake, bundle, tmp_path / "table", CONFIG, RESOURCES, run_units=change_and_work
    )

    assert manifest is not None
    assert {unit.path for unit in manifest.units_deferred} == {"a.parquet"}
    assert manifest.rows.n_input == 40
    assert not list((tmp_path / "table" / "data").rglob("_deferred"))


def test_a_run_has_a_page_and_its_measures(bundle: Path, tmp_path: Path) -> None:
    lake, table = tmp_path / "la<b>ke", tmp_path / "table"
    lake.mkdir()
    texts = ["Two dogs play.", "See {name}, twice: {name}.", "3 - 4", "A cat. " * 20]
    write_lake_file(lake / "a.parquet", texts)
    config = CONFIG.model_copy(update={"max_source_characters": 100})

    run = translate_here(lake, bundle, table, config, RESOURCES)

    assert run is not None
    rows = [row for row in rows_of(table) if row["status"] == "translated"]
    for name, found in run.quality_signals.items():
        values = [row[name] for row in rows]
        assert found.n_rows == len(values) == 2
        assert found.mean == pytest.approx(sum(values) / 2)
        assert (found.least, found.most) == (min(values), max(values))
    assert run.n_truncated == sum(row["truncated"] for row in rows)
    assert run.n_placeholders_lost == sum(row["placeholders_ok"] is False for row in rows)
    assert run.quarantined == {"too_long": 1}
    page = next(table.glob("data/*/*/_report.html")).read_text()
    assert "4 rows = 2 translated" in " ".join(page.split())
    assert "la&lt;b&gt;ke" in page
    assert "la<b>ke" not in page
    assert "too_long" in page
    assert "<svg" in page


def unit(n_rows: int, number: int = 0) -> Unit:
    return Unit(unit_id=f"u{number}", content_id="c", path="a", first_row=0, n_rows=n_rows)


@pytest.mark.parametrize(
    ("sizes", "todo", "n_actors", "expected"),
    [
        ([5, 5, 5, 5], [0, 1, 2, 3], 1, [[0], [1], [2], [3]]),
        ([1] * 20, list(range(20)), 1, [[i, i + 1] for i in range(0, 20, 2)]),  # several an actor
        ([1] * 40 + [10], list(range(41)), 1, [[*range(i, i + 6)] for i in range(0, 36, 6)]
         + [[36, 37, 38, 39], [40]]),
        ([10, 1, 1, 90], [1, 3], 1, [[1], [3]]),
    ],
)  # fmt: skip
def test_small_units_share_a_task(
    sizes: list[int], todo: list[int], n_actors: int, expected: list[list[int]]
) -> None:
    units = [unit(n_rows, number) for number, n_rows in enumerate(sizes)]
    groups = task_groups(units, todo, n_actors, rows_per_task=10)
    assert groups == expected
    assert [i for group in groups for i in group] == todo
