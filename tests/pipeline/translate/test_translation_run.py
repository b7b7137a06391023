"""A run in progress: unfinished units, and the counter that stops a failing run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingo_model import read_bundle_manifest
from pipeline.errors import RunError
from pipeline.storage.files import write_bytes
from pipeline.table.manifest import Lineage
from pipeline.table.open_table import open_table
from pipeline.translate.config import TranslateConfig
from pipeline.translate.planning import plan_run
from pipeline.translate.translation_run import RowCounter, TranslationRun

LINEAGE = Lineage(model="models/m", dataset_fingerprint="d", corpus=())


@pytest.fixture
def run(lake: Path, table: Path, bundle: Path) -> TranslationRun:
    """A run over 25 rows in units of 10, 10 and 5 rows. A tenth of the rows may fail."""
    (lake / "a.txt").write_text("A dog.\n" * 25)
    config = TranslateConfig(rows_per_unit=10, max_failed_share=0.1)
    model = read_bundle_manifest(bundle)
    plan = plan_run("000001-aaaa", lake, model, config, [], LINEAGE, table=table).plan
    return TranslationRun(open_table(table), plan, bundle)


def finish_unit(run: TranslationRun, number: int) -> None:
    write_bytes(run.staged / run.plan.units[number].file_name, b"")


def test_a_unit_is_finished_once_its_file_is_staged(run: TranslationRun) -> None:
    assert run.unfinished_units() == [0, 1, 2]
    finish_unit(run, 1)
    assert run.unfinished_units() == [0, 2]
    assert run.n_rows == 25
    assert run.config.max_failed_share == 0.1


def test_the_counter_begins_with_the_finished_rows(run: TranslationRun) -> None:
    finish_unit(run, 0)
    counter = RowCounter(run)
    assert counter.n_done == 10
    counter.count(2, 0)
    assert counter.n_done == 15


def test_the_counter_stops_a_run_in_which_too_many_rows_fail(run: TranslationRun) -> None:
    counter = RowCounter(run)
    counter.count(0, 1)
    counter.count(1, 1)  # 2 of 25 rows are less than a tenth
    with pytest.raises(RunError) as error:
        counter.count(2, 1)
    message = str(error.value)
    assert message.startswith(f"{run.staged}: 3 of 25 rows failed, more than max_failed_share=0.1;")
    assert "\n" not in message
