"""Fixtures for tests of translation tables: tables from real runs, and tables written by hand."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.schemas import QUARANTINE_COLUMNS, TOMBSTONES, TRANSLATION_COLUMNS
from pipeline.storage.files import write_parquet
from pipeline.table.manifest import (
    FORMAT_VERSION,
    QUARANTINE_FOLDER,
    TOMBSTONES_FOLDER,
    Lineage,
    RowCounts,
    RunManifest,
    TableIdentity,
    Unit,
)
from pipeline.table.open_table import open_table
from pipeline.translate.config import TranslateConfig

INPUT_COLUMNS = pa.schema([pa.field("text", pa.string())])
TIME = "2026-11-22T01:02:03+00:00"


@pytest.fixture
def two_run_table(
    lake: Path,
    table: Path,
    bundle: Path,
    put_rows: Callable[..., None],
    translate_here: Callable[..., RunManifest | None],
    keyed_config: TranslateConfig,
) -> Path:
    """Two runs: five units and a quarantined row, then a new version of a file."""
    put_rows(lake, "a.parquet", "abcdefghi")
    put_rows(lake, "b.parquet", "jklmno")
    put_rows(lake, "c.parquet", "p", text="plays " * 20)
    translate_here(lake, bundle, table, keyed_config)
    put_rows(lake, "a.parquet", "abcdefgh", text="sleeps")
    translate_here(lake, bundle, table, keyed_config)
    return table


@pytest.fixture
def all_rows(query: Callable[..., list[Any]]) -> Callable[[Path], dict[str, list[Any]]]:
    """A function that gives the sorted rows of each view of a table."""
    views = ("translations", "latest", "quarantine", "tombstones", "runs")
    return lambda table: {
        view: query(table, f"SELECT * FROM {view} ORDER BY ALL") for view in views
    }


@pytest.fixture
def new_table() -> Callable[[Path], Path]:
    """A function that creates a table without runs."""

    def create(root: Path) -> Path:
        identity = TableIdentity(
            format_version=FORMAT_VERSION,
            source_lang="en",
            target_lang="es",
            text_column="text",
            id_column=None,
            limit=None,
        )
        open_table(root).create(identity)
        return root

    return create


@pytest.fixture
def add_run() -> Callable[..., None]:
    """A function that publishes a run; see :func:`_add_run`."""
    return _add_run


def _add_run(
    table: Path,
    run_id: str,
    translations: dict[str, str],
    *,
    run_date: str = "2026-11-22",
    quarantined: tuple[str, ...] = (),
    deleted: tuple[str, ...] = (),
    **changes: Any,
) -> None:
    """Publish a run whose files are written by hand.

    Args:
        table: a table on a disk.
        run_id: the run's id.
        translations: the translated rows, translation by row id.
        run_date: the day of the run.
        quarantined: the ids of quarantined rows.
        deleted: the ids of deleted rows.
        changes: other fields of the manifest.
    """
    unit = Unit(unit_id="u1", content_id="c1", path="a.txt", first_row=0, n_rows=len(translations))
    fields = {
        "format_version": FORMAT_VERSION,
        "run_id": run_id,
        "run_date": run_date,
        "started_at": TIME,
        "finished_at": TIME,
        "input": "lake",
        "model_id": "0123456789abcdef",
        "lineage": Lineage(model="models/m", dataset_fingerprint="d1", corpus=("a.tsv", "b.tsv")),
        "source_lang": "en",
        "target_lang": "es",
        "settings": {},
        "settings_key": "k",
        "memory_key": "k",
        "schema_base64": base64.b64encode(pa.schema(INPUT_COLUMNS).serialize()).decode(),
        "deleted_files": (),
        "files": (),
        "units": (unit,),
        "units_deferred": (),
        "n_units_planned": 4,
        "n_units_skipped": 2,
        "n_units_deferred": 1,
        "n_units_emitted": 1,
        "rows": RowCounts(
            n_input=len(translations) + len(quarantined),
            n_translated=len(translations),
            n_reused=0,
            n_passed_through=0,
            n_quarantined=len(quarantined),
        ),
        "n_rows_deleted": len(deleted),
        "quarantined": {},
        "quality_signals": {},
        "n_placeholders_lost": 0,
        "n_truncated": 0,
        "row_id_digest": "0",
    }
    manifest = RunManifest.model_validate(fields | changes)
    staged = open_table(table).staged(manifest)
    constants = {
        "status": "translated",
        "source_hash": "ab",
        "source_lang": "en",
        "target_lang": "es",
        "model_id": manifest.model_id,
        "score": -0.5,
        "n_segments": 1,
        "truncated": False,
    }
    rows = [
        {"text": f"text {row_id}", "row_id": row_id, "translation": translation} | constants
        for row_id, translation in translations.items()
    ]
    schema = pa.schema([*INPUT_COLUMNS, *TRANSLATION_COLUMNS])
    write_parquet(staged / unit.file_name, pa.Table.from_pylist(rows, schema=schema))
    if quarantined:
        rows = [{"text": None, "row_id": row_id, "reason": "malformed"} for row_id in quarantined]
        schema = pa.schema([*INPUT_COLUMNS, *QUARANTINE_COLUMNS])
        write_parquet(
            staged / QUARANTINE_FOLDER / unit.file_name, pa.Table.from_pylist(rows, schema=schema)
        )
    write_parquet(
        staged / TOMBSTONES_FOLDER / f"part-{run_id}.parquet",
        pa.table({"row_id": [*deleted, *quarantined]}, schema=TOMBSTONES),
    )
    open_table(table).publish(manifest)
