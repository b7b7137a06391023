"""The page of a run, and the quality signals in its manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.table.manifest import RunManifest
from pipeline.translate.config import TranslateConfig

CONFIG = TranslateConfig(rows_per_unit=20)


def test_a_run_has_a_page_and_quality_signals(
    bundle: Path,
    tmp_path: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    write_rows: Callable[[Path, list[str]], None],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    lake = tmp_path / "la<b>ke"
    lake.mkdir()
    texts = ["Two dogs play.", "See {name}, twice: {name}.", "3 - 4", "A cat. " * 20]
    write_rows(lake / "a.parquet", texts)
    config = CONFIG.model_copy(update={"max_source_characters": 100})

    run = translate_here(lake, bundle, table, config)

    assert run is not None
    rows = [row for row in rows_of(table) if row["status"] == "translated"]
    for name, signal in run.quality_signals.items():
        values = [row[name] for row in rows]
        assert signal.n_rows == len(values) == 2
        assert signal.mean == pytest.approx(sum(values) / 2)
        assert (signal.minimum, signal.maximum) == (min(values), max(values))
    assert run.n_truncated == sum(row["truncated"] for row in rows)
    assert run.n_placeholders_lost == sum(row["placeholders_ok"] is False for row in rows)
    assert run.quarantined == {"too_long": 1}
    page = next(table.glob("data/*/*/_report.html")).read_text()
    assert "4 rows = 2 translated" in " ".join(page.split())
    assert "la&lt;b&gt;ke" in page
    assert "la<b>ke" not in page
    assert "too_long" in page
    assert "<svg" in page
