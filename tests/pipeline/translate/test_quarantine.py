"""Failing rows are isolated by halving, quarantined with a reason, and retried on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator
from pipeline.cluster.failures import reason_in_traceback
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.errors import RunError
from pipeline.table.manifest import RunManifest
from pipeline.translate.config import TranslateConfig
from pipeline.translate.retry_quarantine import retry_quarantine
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import RowCounter, TranslationRun

CONFIG = TranslateConfig(rows_per_unit=20)
SENTENCES = [pair.source for pair in generate_pairs(90, seed=9, split="test")]


def test_a_run_stops_once_too_many_rows_have_failed(
    lake: Path, table: Path, bundle: Path, write_rows: Callable[[Path, list[str]], None]
) -> None:
    """The third unit is not waited for."""
    write_rows(lake / "a.parquet", SENTENCES)
    counted_units = []

    def fail_three_rows_each(run: TranslationRun) -> None:
        counter = RowCounter(run)
        for number in range(5):
            counted_units.append(number)
            counter.count(number, 3)

    with pytest.raises(RunError, match=r"6 of 90 rows failed.*max_failed_share=0\.05"):
        translate_table(lake, bundle, table, CONFIG, run_units=fail_three_rows_each)
    assert counted_units == [0, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "ray.exceptions.RayTaskError(UserCodeException): \x1b[36mray::MapWorker.submit()\n"
            "  File 'x', line 1\nOSError: [Errno 28] No space left on device\n\n"
            "The above exception was the direct cause of the following exception:\n"
            "ray.exceptions.UserCodeException: UDF failed to process a data block.\n"
            "To change retry attempts, backoff, or which errors are retried, configure ...",
            "OSError: [Errno 28] No space left on device",
        ),
        ("ray.exceptions.ActorDiedError: it died", "ray.exceptions.ActorDiedError: it died"),
        ("something else\n", "something else"),
        ("", "no reason given"),
    ],
)
def test_the_reason_of_a_failure_is_the_original_error(text: str, reason: str) -> None:
    assert reason_in_traceback(text) == reason


def test_quarantined_rows_are_retried_on_request_and_published_once(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    latest_by_text: Callable[[Path], dict[str, dict[str, Any]]],
    retry_here: Callable[..., RunManifest | None],
) -> None:
    """Two rows are too long. One of them becomes shorter in the lake, so it is not retried."""
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    long, other = "A dog plays. " * 20, "A cat plays. " * 20
    write_rows(lake / "a.parquet", ["Two dogs.", long])
    write_rows(lake / "b.parquet", [other])
    (lake / "c.txt.jsonl").write_text('{"text": "x"}\nbroken\n')
    first = translate_here(lake, bundle, table, short)
    assert first is not None
    assert first.rows.n_quarantined == 3
    write_rows(lake / "b.parquet", ["A cat."])
    translate_here(lake, bundle, table, short)
    assert translate_here(lake, bundle, table, short) is None  # no retry without request

    again = retry_here(first.run_id, bundle, table, CONFIG)

    assert again is not None
    assert (again.retry_of, again.rows.n_input, again.rows.n_translated) == (first.run_id, 1, 1)
    rows = latest_by_text(table)
    assert set(rows) == {"Two dogs.", long, "A cat.", "x"}
    assert rows[long]["doc"] == 1  # its other columns are kept
    assert rows[long]["n_segments"] == 20
    assert retry_here("1", bundle, table, CONFIG) is None  # nothing is left to retry
    assert translate_here(lake, bundle, table, short) is None
    write_rows(lake / "a.parquet", ["Two dogs."])  # the row is deleted like any other
    last = translate_here(lake, bundle, table, short)
    assert last is not None
    assert last.n_rows_deleted == 1
    assert set(latest_by_text(table)) == {"Two dogs.", "A cat.", "x"}
    with pytest.raises(
        InputError, match=rf"run '9': not in the table; its runs are {first.run_id}"
    ):
        retry_here("9", bundle, table, CONFIG)


def test_a_quarantine_of_more_rows_than_a_unit(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    latest_by_text: Callable[[Path], dict[str, dict[str, Any]]],
    retry_here: Callable[..., RunManifest | None],
) -> None:
    texts = [f"The dog {i} plays. " * 10 for i in range(30)]
    write_rows(lake / "a.parquet", texts)
    units = CONFIG.model_copy(update={"max_source_characters": 100, "rows_per_unit": 30})
    first = translate_here(lake, bundle, table, units)
    assert first is not None
    again = retry_here(first.run_id, bundle, table, CONFIG.model_copy(update={"rows_per_unit": 7}))
    assert again is not None
    assert (again.n_units_emitted, again.rows.n_translated) == (5, 30)
    assert set(latest_by_text(table)) == set(texts)


def test_a_row_that_fails_again_stays_in_quarantine(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    latest_by_text: Callable[[Path], dict[str, dict[str, Any]]],
    retry_here: Callable[..., RunManifest | None],
) -> None:
    config = CONFIG.model_copy(update={"max_source_characters": 100})
    write_rows(lake / "a.parquet", ["Two dogs.", "A dog plays. " * 20])
    first = translate_here(lake, bundle, table, config)
    assert first is not None
    for _ in range(2):
        again = retry_here(first.run_id, bundle, table, config)
        assert again is not None
        assert (again.rows.n_input, again.rows.n_quarantined) == (1, 1)
        assert set(latest_by_text(table)) == {"Two dogs."}
        first = again


@pytest.mark.parametrize(("share", "published"), [(0.02, True), (0.01, False)])
def test_nothing_is_published_if_too_many_rows_fail(
    lake: Path,
    table: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    published: bool,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
) -> None:
    """One row of ninety fails. Its batch fails until the row is isolated."""
    write_rows(lake / "a.parquet", SENTENCES)
    bad = SENTENCES[7]
    translate = Translator.translate_sources

    def break_on_one(self: Translator, sources: Any) -> Any:
        if self.sources([bad])[0] in sources:
            raise RuntimeError("planted")
        return translate(self, sources)

    monkeypatch.setattr(Translator, "translate_sources", break_on_one)
    config = CONFIG.model_copy(update={"max_failed_share": share})
    if not published:
        with pytest.raises(RunError, match=r"1 of 90 rows failed.*max_failed_share=0\.01"):
            translate_here(lake, bundle, table, config)
        assert not (table / "data").exists()
        return
    manifest = translate_here(lake, bundle, table, config)
    assert manifest is not None
    assert (manifest.rows.n_translated, manifest.rows.n_quarantined) == (89, 1)
    ((text, reason, detail),) = duckdb.sql(
        f"SELECT text, reason, detail FROM '{table}/data/*/*/_quarantine/*.parquet'"
    ).fetchall()
    assert (text, reason) == (bad, "failed")
    assert "failed alone" in detail and "RuntimeError: planted" in detail


def test_an_unfinished_retry_refuses_other_settings(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    retry_here: Callable[..., RunManifest | None],
) -> None:
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    write_rows(lake / "a.parquet", ["Two dogs.", "A dog plays. " * 20])
    first = translate_here(lake, bundle, table, short)
    assert first is not None

    def die(_run: TranslationRun) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_quarantine(first.run_id, bundle, table, short, run_units=die)
    with pytest.raises(
        InputError,
        match=r"unfinished run .* has settings\.max_source_characters=100, not .*table abort",
    ):
        retry_here(first.run_id, bundle, table, CONFIG)
    again = retry_here(first.run_id, bundle, table, short)
    assert again is not None
    assert again.rows.n_quarantined == 1


def test_a_quarantined_row_has_its_place_in_the_lake(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
) -> None:
    """The line of the file, counted from 1 with the header; in Parquet the number of the row."""
    (lake / "day=1").mkdir()
    (lake / "day=1" / "a.csv").write_text('text,n\n"Two\ndogs.",1\nA cat.,2,3\n\nA dog.\n')
    (lake / "b.jsonl").write_bytes(b'{"text": "A dog."}\n\n{"text": "caf\xe9"}\nbroken\n')
    (lake / "c.txt").write_text("A dog.\n" + "A cat. " * 20 + "\n")
    pq.write_table(pa.table({"text": ["A dog."] * 25 + ["A cat. " * 20]}), lake / "d.parquet")

    translate_here(lake, bundle, table, CONFIG.model_copy(update={"max_source_characters": 100}))

    rows = query(table, "SELECT input_file, input_row, reason, detail FROM quarantine ORDER BY ALL")
    assert [row[:3] for row in rows] == [
        ("b.jsonl", 3, "undecodable"),
        ("b.jsonl", 4, "malformed"),
        ("c.txt", 2, "too_long"),
        ("d.parquet", 26, "too_long"),
        ("day=1/a.csv", 4, "malformed"),
        ("day=1/a.csv", 6, "malformed"),
    ]
    details = [row[3] for row in rows]
    assert all(details)
    assert "140 characters, more than 100" in details[2]
    assert "3 cells" in details[4] and "the row begins with 'A cat.,2,3" in details[4]


def test_a_row_that_fails_again_keeps_its_place(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    retry_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
) -> None:
    (lake / "a.txt").write_text("A dog.\n" + "A cat. " * 20 + "\n")
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    first = translate_here(lake, bundle, table, short)
    assert first is not None
    retry_here(first.run_id, bundle, table, short)
    places = query(table, "SELECT input_file, input_row FROM quarantine")
    assert places == [("a.txt", 2), ("a.txt", 2)]


def test_a_quarantine_without_places_is_retried(
    lake: Path,
    table: Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    retry_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
) -> None:
    """Earlier releases wrote no places."""
    long = "A cat. " * 20
    (lake / "a.txt").write_text(f"A dog.\n{long}\n")
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    first = translate_here(lake, bundle, table, short)
    assert first is not None
    (part,) = table.glob("data/*/*/_quarantine/*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(["input_file", "input_row"]), part)

    assert query(table, "SELECT text, reason FROM quarantine") == [(long, "too_long")]
    again = retry_here(first.run_id, bundle, table, short)
    assert again is not None and again.rows.n_quarantined == 1
    assert query(table, "SELECT DISTINCT input_file, input_row FROM quarantine") == [(None, None)]
    last = retry_here(again.run_id, bundle, table, CONFIG)
    assert last is not None and last.rows.n_translated == 1


@pytest.mark.parametrize("name", ["input_file", "input_row"])
def test_an_input_may_have_a_column_of_the_name_of_a_place(
    lake: Path,
    table: Path,
    bundle: Path,
    name: str,
    translate_here: Callable[..., RunManifest | None],
    retry_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
) -> None:
    long = "A cat. " * 20
    (lake / "a.csv").write_text(f"text,{name}\nA dog.,x\n{long},y\n")
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    first = translate_here(lake, bundle, table, short)
    assert first is not None
    assert query(table, f"SELECT {name}, detail FROM quarantine") == [
        ("y", "a.csv, row 3: 140 characters, more than 100")
    ]
    assert retry_here(first.run_id, bundle, table, CONFIG) is not None
    assert query(table, f"SELECT {name} FROM latest ORDER BY ALL") == [("x",), ("y",)]
