"""A run translates every row once, skips published rows and refuses wrong tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator, load_bundle
from lingo_model.kernels import library
from pipeline.decoding import DecodeConfig
from pipeline.schemas import TRANSLATION_COLUMNS
from pipeline.table.manifest import FORMAT_VERSION, RunManifest
from pipeline.table.open_table import open_table
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.stage import translate_table

pytestmark = pytest.mark.ray
CONFIG = TranslateConfig(rows_per_unit=20)
RESOURCES = TranslateResources(n_actors=2)


def test_every_row_is_translated_once(
    running_ray: None,
    filled_lake: Path,
    bundle: Path,
    table: Path,
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    manifest = translate_table(filled_lake, bundle, table, CONFIG, RESOURCES)

    assert manifest is not None
    assert (manifest.n_units_planned, manifest.n_units_emitted) == (5, 5)
    assert manifest.rows.n_input == manifest.rows.n_translated == 90
    rows = rows_of(table)
    assert len({row["row_id"] for row in rows}) == len(rows) == 90
    source = pads.dataset(filled_lake).to_table()["text"].to_pylist()
    assert sorted(row["text"] for row in rows) == sorted(source)
    translator = Translator(load_bundle(bundle))
    expected = {text: translator.translate([text])[0] for text in source[:10]}
    for row in rows:
        if (alone := expected.get(row["text"])) is not None:
            assert row["translation"] == alone.text
            assert row["score"] == pytest.approx(alone.score, abs=1e-5)
            assert row["n_target_tokens"] == alone.n_target_tokens
        assert (row["status"], row["source_lang"], row["target_lang"]) == ("translated", "en", "es")


def test_duckdb_pandas_arrow_and_polars_read_the_files(
    running_ray: None, filled_lake: Path, bundle: Path, table: Path
) -> None:
    translate_table(filled_lake, bundle, table, CONFIG, RESOURCES)

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
    assert pq.read_schema(part).names == ["doc", "text", *TRANSLATION_COLUMNS.names]


def test_one_actor_gives_the_same_rows_as_two(
    running_ray: None,
    filled_lake: Path,
    bundle: Path,
    tmp_path: Path,
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    for n_actors in (1, 2):
        translate_table(
            filled_lake,
            bundle,
            tmp_path / str(n_actors),
            CONFIG,
            TranslateResources(n_actors=n_actors),
        )

    assert rows_of(tmp_path / "1") == rows_of(tmp_path / "2")


def test_a_second_run_translates_only_new_rows(
    filled_lake: Path,
    bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    translate_here(filled_lake, bundle, table, CONFIG)

    assert translate_here(filled_lake, bundle, table, CONFIG) is None

    write_rows(filled_lake / "c.parquet", ["The cat sleeps.", "I like cats."])
    manifest = translate_here(filled_lake, bundle, table, CONFIG)

    assert manifest is not None
    assert manifest.run_id.startswith("000002-")
    assert (manifest.n_units_planned, manifest.n_units_skipped, manifest.n_units_emitted) == (
        6,
        5,
        1,
    )
    assert len(rows_of(table)) == 92


def test_a_new_model_retranslates_rows_only_on_request(
    filled_lake: Path,
    bundle: Path,
    other_bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    translate_here(filled_lake, bundle, table, CONFIG)

    assert translate_here(filled_lake, other_bundle, table, CONFIG) is None

    again = CONFIG.model_copy(update={"on_new_model": "retranslate"})
    manifest = translate_here(filled_lake, other_bundle, table, again)

    assert manifest is not None
    assert manifest.rows.n_translated == 90
    assert len({row["model_id"] for row in rows_of(table)}) == 2


def test_unusual_rows_pass_through_or_are_quarantined_with_a_reason(
    bundle: Path,
    tmp_path: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    source = tmp_path / "odd.txt"
    lines = [b"I like cats.", b"", b"12.50 - 13", b"caf\xe9", b"x" * 301, "¿?".encode()]
    source.write_bytes(b"\n".join(lines) + b"\n")
    config = TranslateConfig(max_source_characters=300)

    manifest = translate_here(source, bundle, table, config)

    assert manifest is not None
    rows = manifest.rows
    assert (rows.n_input, rows.n_translated, rows.n_passed_through, rows.n_quarantined) == (
        6,
        1,
        3,
        2,
    )
    passed = {r["text"]: r for r in rows_of(table) if r["status"] == "passed_through"}
    assert passed["12.50 - 13"]["translation"] == "12.50 - 13"
    assert passed["12.50 - 13"]["score"] is None
    reasons = duckdb.sql(
        f"SELECT reason FROM '{tmp_path}/table/data/*/*/_quarantine/*.parquet' ORDER BY reason"
    ).fetchall()
    assert reasons == [("too_long",), ("undecodable",)]


def test_a_sentence_of_too_many_tokens_is_cut(
    bundle: Path,
    lake: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    texts = ["Two dogs play.", "Two dogs play and two cats play and two dogs play.", "A cat."]
    write_rows(lake / "a.parquet", texts)
    lengths = [len(ids) for ids in Translator(load_bundle(bundle)).sources(texts)]
    assert lengths[1] > lengths[0] > lengths[2]
    config = CONFIG.model_copy(update={"decode": DecodeConfig(max_source_tokens=lengths[0])})

    manifest = translate_here(lake, bundle, table, config)

    assert manifest is not None
    assert (manifest.rows.n_translated, manifest.rows.n_quarantined) == (3, 0)
    n_segments = {row["text"]: row["n_segments"] for row in rows_of(table)}
    assert n_segments[texts[0]] == n_segments[texts[2]] == 1
    assert n_segments[texts[1]] >= 2


def test_an_id_column_is_the_row_id(
    filled_lake: Path,
    bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    (filled_lake / "b.parquet").unlink()
    config = CONFIG.model_copy(update={"id_column": "doc"})

    translate_here(filled_lake, bundle, table, config)

    rows = rows_of(table)
    assert {row["row_id"] for row in rows} == {str(i) for i in range(50)}
    assert all(row["row_id"] == str(row["doc"]) for row in rows)


def test_limit_takes_the_first_rows_of_each_file(
    filled_lake: Path,
    bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    config = CONFIG.model_copy(update={"limit": 25})

    manifest = translate_here(filled_lake, bundle, table, config)

    assert manifest is not None
    assert manifest.rows.n_input == 50
    assert {row["doc"] for row in rows_of(table)} == set(range(25))


def test_a_table_that_a_process_writes_to_is_locked(
    filled_lake: Path, bundle: Path, table: Path
) -> None:
    with open_table(table).locked(), pytest.raises(InputError, match=rf"process {os.getpid()}"):
        translate_table(filled_lake, bundle, table, CONFIG, RESOURCES)


def test_a_precision_that_this_machine_does_not_support_is_refused_before_any_work(
    filled_lake: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, table: Path
) -> None:
    monkeypatch.setattr(library, "native_precisions", lambda: ("float32",))
    config = CONFIG.model_copy(update={"decode": DecodeConfig(precision="int8")})
    resources = TranslateResources(n_actors=1, ray_address="local")

    with pytest.raises(InputError, match=r"precision='int8': this machine supports float32"):
        translate_table(filled_lake, bundle, table, config, resources)

    assert not table.exists()


def test_a_folder_that_is_no_table_and_a_table_with_other_settings_are_refused(
    filled_lake: Path, bundle: Path, table: Path, translate_here: Callable[..., RunManifest | None]
) -> None:
    with pytest.raises(InputError, match="not empty and not a translation table"):
        translate_here(filled_lake, bundle, filled_lake, CONFIG)
    translate_here(filled_lake, bundle, table, CONFIG)
    with pytest.raises(InputError, match=r"a table with limit=None, not 5"):
        translate_here(filled_lake, bundle, table, CONFIG.model_copy(update={"limit": 5}))
    identity = json.loads((table / "_table.json").read_text())
    (table / "_table.json").write_text(json.dumps(identity | {"format_version": 99}))
    with pytest.raises(InputError, match=f"format_version=99: this release reads {FORMAT_VERSION}"):
        translate_here(filled_lake, bundle, table, CONFIG)
