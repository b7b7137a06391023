"""An interrupted run is continued or discarded, and staged rows are checked before publishing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator
from pipeline.decoding import DecodeConfig
from pipeline.errors import RunError
from pipeline.table.maintenance import abort_unfinished
from pipeline.table.manifest import (
    PLAN,
    QUARANTINE_FOLDER,
    RunManifest,
    RunPlan,
)
from pipeline.table.open_table import open_table
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.forecast import forecast_run
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun

pytestmark = pytest.mark.ray
CONFIG = TranslateConfig(rows_per_unit=20)
RESOURCES = TranslateResources(n_actors=2)


def test_a_continued_run_gives_the_same_rows_as_an_undisturbed_one(
    running_ray: None,
    filled_lake: Path,
    bundle: Path,
    tmp_path: Path,
    table: Path,
    leave_unfinished: Callable[..., Table],
    rows_of: Callable[[Path], list[dict[str, Any]]],
) -> None:
    staged = staged_run_folder(leave_unfinished(filled_lake, bundle, table, CONFIG, n_units=2))
    finished = {p.name: p.stat().st_mtime_ns for p in staged.glob("part-*.parquet")}
    assert len(finished) == 2
    assert not (table / "data").exists()  # readers do not see the run

    manifest = translate_table(filled_lake, bundle, table, CONFIG, RESOURCES)
    translate_table(filled_lake, bundle, tmp_path / "undisturbed", CONFIG, RESOURCES)

    assert manifest is not None
    assert manifest.run_id == staged.name
    published = {p.name: p.stat().st_mtime_ns for p in (table / "data").glob("*/*/part-*")}
    assert finished.items() <= published.items()  # finished units are not done again
    assert rows_of(table) == rows_of(tmp_path / "undisturbed")
    assert not staged.exists()


def test_an_unfinished_run_refuses_another_model_and_can_be_discarded(
    filled_lake: Path,
    bundle: Path,
    other_bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    leave_unfinished: Callable[..., Table],
) -> None:
    staged = staged_run_folder(leave_unfinished(filled_lake, bundle, table, CONFIG))

    with pytest.raises(
        InputError, match=rf"unfinished run {staged.name} has model_id=.*lingo table abort"
    ):
        translate_here(filled_lake, other_bundle, table, CONFIG)

    assert abort_unfinished(table) == staged.name
    assert abort_unfinished(table) is None
    assert not staged.exists()
    assert translate_here(filled_lake, other_bundle, table, CONFIG) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decode": DecodeConfig(beam_size=2)}, r"settings\.decode\.beam_size=1, not 2; finish"),
        ({"rename": {"doc": "key"}}, r"settings\.rename\.doc=None, not 'key'; finish"),
        ({"drop_columns": ("doc",)}, r"settings\.drop_columns=\[\], not \['doc'\]; finish"),
        ({}, r"model_id='[^']*', not '[^']*'; finish"),
    ],
)
def test_a_plan_and_a_run_name_the_setting_in_which_an_unfinished_run_differs(
    filled_lake: Path,
    bundle: Path,
    other_bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    leave_unfinished: Callable[..., Table],
    change: dict[str, Any],
    message: str,
) -> None:
    staged = staged_run_folder(leave_unfinished(filled_lake, bundle, table, CONFIG, n_units=0))
    config = CONFIG.model_copy(update=change)
    model = bundle if change else other_bundle

    for command in (forecast_run, translate_here):
        with pytest.raises(InputError, match=rf"unfinished run {staged.name} has {message}"):
            command(filled_lake, model, table, config)

    assert forecast_run(filled_lake, bundle, table, CONFIG).unfinished_id == staged.name


def test_a_run_that_an_earlier_release_began_is_continued(
    filled_lake: Path,
    bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    leave_unfinished: Callable[..., Table],
) -> None:
    """Its settings lack those that came later."""
    staged = staged_run_folder(leave_unfinished(filled_lake, bundle, table, CONFIG))
    plan = json.loads((staged / PLAN).read_text())
    for name in ("drop_columns", "keep_columns"):
        del plan["settings"][name]
    (staged / PLAN).write_text(json.dumps(plan))

    manifest = translate_here(filled_lake, bundle, table, CONFIG)

    assert manifest is not None and manifest.run_id == staged.name


def test_a_run_whose_plan_is_damaged_can_be_discarded(
    filled_lake: Path,
    bundle: Path,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    leave_unfinished: Callable[..., Table],
) -> None:
    staged = staged_run_folder(leave_unfinished(filled_lake, bundle, table, CONFIG))
    (staged / PLAN).write_text("{")

    with pytest.raises(InputError, match=rf"{PLAN}: not valid JSON.*lingo table abort"):
        translate_here(filled_lake, bundle, table, CONFIG)

    assert abort_unfinished(table) == staged.name
    assert translate_here(filled_lake, bundle, table, CONFIG) is not None


def without_first_row(table: pa.Table) -> pa.Table:
    """A table that lacks a row."""
    return table.slice(1)


def with_repeated_id(table: pa.Table) -> pa.Table:
    """A table in which the first row has the id of the second."""
    index = table.schema.get_field_index("row_id")
    ids = table["row_id"].to_pylist()
    return table.set_column(index, "row_id", pa.array([ids[1], *ids[1:]]))


@pytest.mark.parametrize("spoil", [without_first_row, with_repeated_id])
def test_staged_rows_that_differ_from_the_input_are_not_published(
    filled_lake: Path,
    bundle: Path,
    spoil: Callable[[pa.Table], pa.Table],
    table: Path,
    translate_here: Callable[..., RunManifest | None],
    leave_unfinished: Callable[..., Table],
) -> None:
    staged = staged_run_folder(leave_unfinished(filled_lake, bundle, table, CONFIG))
    part = staged / RunPlan.load(staged / PLAN).units[0].file_name
    pq.write_table(spoil(pq.read_table(part)), part)

    with pytest.raises(RunError, match=rf"{part.name}.*nothing was published"):
        translate_here(filled_lake, bundle, table, CONFIG)

    assert open_table(table).published() == []
    part.unlink()
    assert translate_here(filled_lake, bundle, table, CONFIG) is not None


def test_a_row_that_fails_once_and_then_succeeds_is_counted_once(
    lake: Path,
    table: Path,
    bundle: Path,
    night: Callable[..., RunManifest | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An actor dies after it has written the failed rows to the quarantine."""
    (lake / "a.txt").write_text("A dog plays.\nA cat plays.\n")
    config = CONFIG.model_copy(update={"max_failed_share": 1.0})

    def fail(*_: object) -> Any:
        raise MemoryError("planted")

    def stop_before_publishing(run: TranslationRun) -> None:
        run_in_process(run)
        raise InterruptedError

    with monkeypatch.context() as planted, pytest.raises(InterruptedError):
        planted.setattr(Translator, "translate_sources", fail)
        translate_table(lake, bundle, table, config, run_units=stop_before_publishing)
    (staged,) = (table / "_staging").iterdir()
    (unit,) = RunPlan.load(staged / PLAN).units
    assert pq.read_table(staged / QUARANTINE_FOLDER / unit.file_name).num_rows == 2
    (staged / unit.file_name).unlink()

    manifest = night(config)

    assert manifest is not None
    assert (manifest.rows.n_translated, manifest.rows.n_quarantined) == (2, 0)


def staged_run_folder(table: Table) -> Path:
    """The folder of the table's unfinished run."""
    plan = table.unfinished()
    assert plan is not None
    folder = table.staged(plan)
    assert isinstance(folder, Path)
    return folder
