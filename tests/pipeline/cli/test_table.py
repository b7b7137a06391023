"""``lingo translate``, ``preview`` and ``table``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline.translate.publish
from lingo_model import Translator, load_bundle
from pipeline.table.manifest import RunPlan
from pipeline.translate.reconcile import ReconcileResult, reconcile


def test_a_preview_prints_the_first_rows_and_writes_nothing(
    lingo: Callable[..., Any], lake: Path, models: Path
) -> None:
    before = sorted(lake.parent.rglob("*"))
    done = lingo(
        *("preview", lake, "--model", models / "tiny", "--limit", 1, "--text-column", "body")
    )
    assert (done.status, done.err) == (0, "")
    texts = ["Two dogs play.", "My cat sleeps."]
    expected = Translator(load_bundle(models / "tiny")).translate(texts)
    lines = done.out.splitlines()
    assert lines[::2] == texts
    assert lines[1::2] == [f"    {t.text}    ({t.score:.2f})" for t in expected]
    assert sorted(lake.parent.rglob("*")) == before


@pytest.mark.ray
def test_a_table_is_translated_planned_and_listed_and_a_changed_file_is_deferred(
    running_ray: None,
    lingo: Callable[..., Any],
    lake: Path,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pq.write_table(pa.table({"body": ["A new one."]}), lake / "late.parquet")

    def reconcile_after_a_change(staged: Path, plan: RunPlan, *rest: object) -> ReconcileResult:
        pq.write_table(pa.table({"body": ["changed", "meanwhile"]}), lake / "late.parquet")
        return reconcile(staged, plan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline.translate.publish, "reconcile", reconcile_after_a_change)
    table = tmp_path / "my table"
    options = (lake, "--model", models / "tiny", "--output", table, "--text-column", "body")

    done = lingo("translate", *options, "--actors", 1)

    assert done.status == 3
    assert done.err == "deferred to the next run because they changed meanwhile: late.parquet\n"
    run, table_line, query_line = done.out.splitlines()
    assert re.fullmatch(
        r"run 000001-[0-9a-f]{4}: 4 rows = 3 translated \+ 0 reused \+ 1 passed through "
        r"\+ 0 quarantined",
        run,
    )
    assert table_line == f"table: {table}"

    answer = lingo(*shlex.split(query_line.removeprefix("query: "))[1:])
    assert (answer.status, answer.err) == (0, "")
    assert re.search(r"translated +│ +3 ", answer.out)
    assert re.search(r"passed_through +│ +1 ", answer.out)

    forecast = lingo("table", "plan", *options, "--each-unit")
    assert (forecast.status, forecast.err) == (0, "")
    (first, second, third, *summary) = forecast.out.splitlines()
    for line in (first, second):
        assert re.fullmatch(
            r"skip [0-9a-f]{24} [ab]\.parquet rows 1 to 2: published in run 000001-.*", line
        )
    assert re.fullmatch(r"translate [0-9a-f]{24} late\.parquet rows 1 to 2: new file", third)
    assert summary[0] == "translate 2 rows, 1 units, 1 files: new file"
    assert re.fullmatch(
        r"to translate: 2 rows, about 0\.\d minutes at [\d,]+ rows/s.*", summary[-1]
    )
    assert lingo("table", "plan", *options).out.splitlines() == summary
    assert len(list(table.glob("data/*/*"))) == 1  # planning publishes nothing

    (lake / "late.parquet").unlink()
    nothing_new = f"nothing new: every row of {lake} is in {table}\n"
    assert lingo("translate", *options, "--actors", 1) == (0, nothing_new, "")
    assert lingo("table", "abort", table) == (0, "no unfinished run\n", "")

    listed = lingo("table", "runs", table)
    header, line = listed.out.splitlines()
    assert header.split()[:3] == ["run", "finished", "(UTC)"]
    assert re.match(r"000001-[0-9a-f]{4} +20\d\d-\d\d-\d\d \d\d:\d\d +4 +3 +0 +1 +0 +", line)
    retried = lingo("table", "retry-quarantine", table, "1", "--model", models / "tiny")
    assert retried.out.startswith("nothing to retry: run 1 quarantined no such rows")
    assert lingo("table", "remove-orphans", table).out == "deleted 0 files and folders, 0 bytes\n"
