"""The page of a translation run: it shows every count, and all text is escaped."""

from __future__ import annotations

import datetime
from typing import Any

from markupsafe import Markup

from pipeline.observability.pages import html_page
from pipeline.table.manifest import Lineage, RowCounts, RunManifest, Unit

UNIT = Unit(unit_id="u1", content_id="c1", path="a.parquet", first_row=0, n_rows=12_345)


def make_manifest(**changes: Any) -> RunManifest:
    """The manifest of a run for these tests."""
    values: dict[str, Any] = {
        "format_version": RunManifest.FORMAT_VERSION,
        "run_id": "000042-1f3a",
        "run_date": datetime.date(2026, 11, 22),
        "started_at": datetime.datetime(2026, 11, 22, 1, 2, 3, tzinfo=datetime.UTC),
        "finished_at": datetime.datetime(2026, 11, 22, 1, 4, 5, tzinfo=datetime.UTC),
        "input": "/lakes/<b>news</b>",
        "model_id": "fedcba9876543210",
        "lineage": Lineage(model="models/en-es", dataset_fingerprint="ab" * 32, corpus=("a.tsv",)),
        "source_lang": "en",
        "target_lang": "es",
        "settings": {},
        "settings_key": "k",
        "memory_key": "m",
        "schema_base64": "",
        "files": (),
        "deleted_files": ("old.parquet",),
        "units": (UNIT,),
        "n_units_skipped": 4,
        "units_deferred": (),
        "n_units_planned": 5,
        "n_units_deferred": 0,
        "n_units_emitted": 1,
        "rows": RowCounts(
            n_input=12_345, n_translated=12_000, n_reused=300, n_passed_through=40, n_quarantined=5
        ),
        "n_rows_deleted": 17,
        "row_id_digest": "0",
        "quarantined": {"too_long": 3, "<i>failed</i>": 2},
        "quality_signals": {},
        "n_placeholders_lost": 21,
        "n_truncated": 22,
    }
    return RunManifest.model_validate(values | changes)


def page_of(manifest: RunManifest, **values: Any) -> str:
    """The page of a run, with single spaces."""
    page = html_page("run.html").render(
        **({"run": manifest, "deferred": [], "curves": None, "rate": None} | values)
    )
    return " ".join(page.split())


def test_a_page_shows_the_counts_of_a_run() -> None:
    page = page_of(make_manifest(), curves=Markup("<svg></svg>"), rate=101.2)

    assert "<h1>Run 000042-1f3a</h1>" in page
    assert "2026-11-22 01:02:03 to 2026-11-22 01:04:05 UTC, 101 rows/s</p>" in page
    assert "12,345 rows = 12,000 translated + 300 reused + 40 passed through + 5" in page
    assert "5 units = 4 published by earlier runs + 0 deferred + 1 in this run." in page
    assert "17 rows of earlier runs are no longer in the input." in page
    assert "model lost a placeholder: 21. Rows cut off by the length limit: 22." in page
    assert "<svg></svg>" in page
    assert "0 new or changed, 1 deleted or empty" in page
    assert "Deferred files" not in page
    assert "retry of the quarantine" not in page


def test_text_of_a_page_is_escaped() -> None:
    page = page_of(make_manifest(), deferred=["<script>.parquet"])

    assert "/lakes/&lt;b&gt;news&lt;/b&gt;" in page
    assert "<code>&lt;i&gt;failed&lt;/i&gt;</code>" in page
    assert "<h2>Deferred files</h2>" in page
    assert "<li><code>&lt;script&gt;.parquet</code></li>" in page


def test_a_page_names_the_retried_run() -> None:
    page = page_of(make_manifest(retry_of="000041-aaaa"))
    assert "retry of the quarantine of run <b>000041-aaaa</b>" in page


def test_a_run_without_quality_signals_has_no_figure() -> None:
    page = page_of(make_manifest(quarantined={}))
    assert "Quality signals" not in page
    assert "Quarantined rows by reason" not in page
