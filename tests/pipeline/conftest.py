"""Fixtures for tests of translation tables: input, runs and queries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.files import write_bytes
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun
from pipeline.translate.unit_translator import UnitTranslator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An empty folder for input files."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The path of a table that does not exist yet."""
    return tmp_path / "table"


@pytest.fixture
def translate_here() -> Callable[..., RunManifest | None]:
    """``translate_table`` without Ray: it does the units in this process."""
    return partial(translate_table, run_units=run_in_process)


@pytest.fixture
def query() -> Callable[..., list[Any]]:
    """A function ``query(table, sql, reports=None, as_of=None)`` that gives the result's rows."""

    def rows(
        table: Location | None, sql: str, reports: Path | None = None, as_of: str | None = None
    ) -> list[Any]:
        result = run_query(connect(table, reports, as_of=as_of), sql)
        assert result is not None
        return result.fetchall()

    return rows


@pytest.fixture
def put_rows() -> Callable[..., None]:
    """A function ``put_rows(lake, name, keys, text="plays", **columns)`` that writes Parquet.

    The file has a row for each character of ``keys``, with the columns ``key`` and ``english`` and
    the given other columns. The lake may be on S3.
    """

    def put(lake: Location, name: str, keys: str, text: str = "plays", **columns: pa.Array) -> None:
        texts = [f"The dog {key} {text}." for key in keys]
        content = pa.BufferOutputStream()
        pq.write_table(pa.table({"key": list(keys), "english": texts, **columns}), content)
        write_bytes(lake / name, bytes(content.getvalue()))

    return put


@pytest.fixture
def keyed_config() -> TranslateConfig:
    """Settings for the files of ``put_rows``. Units are small, and long texts are quarantined."""
    return TranslateConfig(
        text_column="english", id_column="key", rows_per_unit=4, max_source_characters=60
    )


class Interrupted(Exception):
    """Interrupts a run."""


@pytest.fixture
def leave_unfinished() -> Callable[..., Table]:
    """A function ``leave_unfinished(lake, model, table, config, n_units=1)`` that begins a run.

    It interrupts the run after the given number of units and returns the table.
    """

    def leave(
        lake: Location, model: Path, table: Location, config: TranslateConfig, n_units: int = 1
    ) -> Table:
        def do_some_units(run: TranslationRun) -> None:
            translator = UnitTranslator(run.staged, run.table.data, run.plan, run.model)
            for unit in run.plan.units[:n_units]:
                assert not translator.translate(unit).is_deferred
            raise Interrupted

        with pytest.raises(Interrupted):
            translate_table(lake, model, table, config, run_units=do_some_units)
        return open_table(table)

    return leave


@pytest.fixture
def imported_by() -> Callable[[str], set[str]]:
    """A function that imports a module in a new interpreter and gives the top-level packages that
    are loaded then."""

    def loaded_packages(module: str) -> set[str]:
        script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    return loaded_packages
