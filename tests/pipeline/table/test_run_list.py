"""The runs of a table as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.table.manifest import RunHeader, RunPlan
from pipeline.table.open_table import open_table
from pipeline.table.run_list import run_list


def test_a_table_without_runs(table: Path, new_table: Callable[[Path], Path]) -> None:
    assert run_list(new_table(table)) == "no runs"


def test_published_runs_are_listed_and_then_the_unfinished_one(
    table: Path, new_table: Callable[[Path], Path], add_run: Callable[..., None]
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "1", "b": "2"}, quarantined=("x",))
    add_run(table, "000002-bbbb", {"x": "3"}, retry_of="000001-aaaa")
    first = open_table(table).published()[0]
    fields = first.model_dump(include=set(RunHeader.model_fields)) | {"run_id": "000003-cccc"}
    open_table(table).begin(RunPlan.model_validate(fields | {"memory_runs": ()}))

    header, *lines = [line.split() for line in run_list(table).splitlines()]

    names = "run finished (UTC) rows translated reused passed quarantined model note"
    assert header == names.split()
    finished = ["2026-11-22", "01:02"]
    model = "0123456789abcdef"
    assert lines == [
        ["000001-aaaa", *finished, "3", "2", "0", "0", "1", model],
        ["000002-bbbb", *finished, "1", "1", "0", "0", "0", model, "retry", "of", "000001-aaaa"],
        ["000003-cccc", "unfinished"],
    ]


def test_a_folder_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a translation table"):
        run_list(tmp_path)
