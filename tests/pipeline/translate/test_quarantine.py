"""Rows that fail: found by halving, put into quarantine with a reason, tried again when told."""

from __future__ import annotations

from functools import partial
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
from pipeline.table.query import connect, run_query
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.in_process import run_in_process
from pipeline.translate.retry_quarantine import retry_quarantine
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import RowCounter, TranslationRun

translate_here = partial(translate_table, run_units=run_in_process)
retry_here = partial(retry_quarantine, run_units=run_in_process)

CONFIG = TranslateConfig(rows_per_unit=20)
RESOURCES = TranslateResources(n_actors=2)
SENTENCES = [pair.source for pair in generate_pairs(90, seed=9, split="test")]


def write(path: Path, texts: list[str]) -> None:
    pq.write_table(pa.table({"doc": list(range(len(texts))), "text": texts}), path)


def latest(table: Path) -> dict[str, dict[str, Any]]:
    """The latest rows by their text."""
    found = run_query(connect(table, None), "SELECT * FROM latest")
    assert found is not None
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert len({row["row_id"] for row in rows}) == len(rows)
    return {row["text"]: row for row in rows}


def test_a_run_that_can_only_fail_is_stopped(lake: Path, table: Path, bundle: Path) -> None:
    """Receipts of two tasks say so, and no third is waited for."""
    write(lake / "a.parquet", SENTENCES)
    seen = []

    def fail_three_rows_each(run: TranslationRun) -> None:
        counter = RowCounter(run)
        for number in range(5):
            seen.append(number)
            counter.count(number, 3)

    with pytest.raises(RunError, match=r"6 of 90 rows failed.*max_failed_share=0\.05"):
        translate_table(lake, bundle, table, CONFIG, RESOURCES, run_units=fail_three_rows_each)
    assert seen == [0, 1]


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
def test_the_reason_of_a_failure_is_its_own_not_rays(text: str, reason: str) -> None:
    assert reason_in_traceback(text) == reason


def test_a_quarantine_is_tried_again_when_told_and_then_stands_once(
    lake: Path, table: Path, bundle: Path
) -> None:
    """Two rows are too long; one of them changes in the lake meanwhile, so that it is settled."""
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    long, other = "A dog plays. " * 20, "A cat plays. " * 20
    write(lake / "a.parquet", ["Two dogs.", long])
    write(lake / "b.parquet", [other])
    (lake / "c.txt.jsonl").write_text('{"text": "x"}\nbroken\n')
    first = translate_here(lake, bundle, table, short, RESOURCES)
    assert first is not None
    assert first.rows.n_quarantined == 3
    write(lake / "b.parquet", ["A cat."])
    translate_here(lake, bundle, table, short, RESOURCES)
    assert translate_here(lake, bundle, table, short, RESOURCES) is None  # not retried by itself

    again = retry_here(first.run_id, bundle, table, CONFIG, RESOURCES)

    assert again is not None
    assert (again.retry_of, again.rows.n_input, again.rows.n_translated) == (first.run_id, 1, 1)
    rows = latest(table)
    assert set(rows) == {"Two dogs.", long, "A cat.", "x"}
    assert rows[long]["doc"] == 1  # its other columns came along
    assert rows[long]["n_segments"] == 20
    assert retry_here("1", bundle, table, CONFIG, RESOURCES) is None  # settled now
    assert translate_here(lake, bundle, table, short, RESOURCES) is None
    write(lake / "a.parquet", ["Two dogs."])  # the row goes like any other
    last = translate_here(lake, bundle, table, short, RESOURCES)
    assert last is not None
    assert last.n_rows_deleted == 1
    assert set(latest(table)) == {"Two dogs.", "A cat.", "x"}
    with pytest.raises(
        InputError, match=rf"run '9': not in the table; its runs are {first.run_id}"
    ):
        retry_here("9", bundle, table, CONFIG, RESOURCES)


def test_a_quarantine_of_more_rows_than_a_unit(lake: Path, table: Path, bundle: Path) -> None:
    texts = [f"The dog {i} plays. " * 10 for i in range(30)]
    write(lake / "a.parquet", texts)
    units = CONFIG.model_copy(update={"max_source_characters": 100, "rows_per_unit": 30})
    first = translate_here(lake, bundle, table, units, RESOURCES)
    assert first is not None
    again = retry_here(
        first.run_id, bundle, table, CONFIG.model_copy(update={"rows_per_unit": 7}), RESOURCES
    )
    assert again is not None
    assert (again.n_units_emitted, again.rows.n_translated) == (5, 30)
    assert set(latest(table)) == set(texts)


def test_what_fails_again_stays_in_quarantine(lake: Path, table: Path, bundle: Path) -> None:
    config = CONFIG.model_copy(update={"max_source_characters": 100})
    write(lake / "a.parquet", ["Two dogs.", "A dog plays. " * 20])
    first = translate_here(lake, bundle, table, config, RESOURCES)
    assert first is not None
    for _ in range(2):
        again = retry_here(first.run_id, bundle, table, config, RESOURCES)
        assert again is not None
        assert (again.rows.n_input, again.rows.n_quarantined) == (1, 1)
        assert set(latest(table)) == {"Two dogs."}
        first = again


@pytest.mark.parametrize(("share", "published"), [(0.02, True), (0.01, False)])
def test_above_a_share_of_failures_nothing_is_published(
    lake: Path,
    table: Path,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    published: bool,
) -> None:
    """One row of ninety fails, and its batch with it until it is found."""
    write(lake / "a.parquet", SENTENCES)
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
            translate_here(lake, bundle, table, config, RESOURCES)
        assert not (table / "data").exists()
        return
    manifest = translate_here(lake, bundle, table, config, RESOURCES)
    assert manifest is not None
    assert (manifest.rows.n_translated, manifest.rows.n_quarantined) == (89, 1)
    ((text, reason, detail),) = duckdb.sql(
        f"SELECT text, reason, detail FROM '{table}/data/*/*/_quarantine/*.parquet'"
    ).fetchall()
    assert (text, reason) == (bad, "failed")
    assert "failed alone" in detail and "RuntimeError: planted" in detail


def test_an_unfinished_replay_is_refused_to_other_settings(
    lake: Path, table: Path, bundle: Path
) -> None:
    short = CONFIG.model_copy(update={"max_source_characters": 100})
    write(lake / "a.parquet", ["Two dogs.", "A dog plays. " * 20])
    first = translate_here(lake, bundle, table, short, RESOURCES)
    assert first is not None

    def die(_run: TranslationRun) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_quarantine(first.run_id, bundle, table, short, RESOURCES, run_units=die)
    with pytest.raises(
        InputError,
        match=r"unfinished run .* has settings\.max_source_characters=100, not .*table abort",
    ):
        retry_here(first.run_id, bundle, table, CONFIG, RESOURCES)
    again = retry_here(first.run_id, bundle, table, short, RESOURCES)
    assert again is not None
    assert again.rows.n_quarantined == 1
