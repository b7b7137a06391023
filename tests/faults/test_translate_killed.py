"""A translation run whose processes are killed with SIGKILL: nothing lost, nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from pipeline.demo_pairs import generate_pairs
from pipeline.table import Table

pytestmark = pytest.mark.ray

N_UNITS, ROWS_PER_UNIT = 20, 150

DRIVER = """
import sys
from pathlib import Path
from pipeline.translate import TranslateResources, translate_table
from pipeline.units import TranslateConfig

lake, bundle, table = map(Path, sys.argv[1:])
translate_table(
    lake, bundle, table,
    TranslateConfig(text_column="english", rows_per_unit=150),
    TranslateResources(n_actors=2, ray_address="local"),
)
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    sentences = [p.source for p in generate_pairs(N_UNITS * ROWS_PER_UNIT, seed=5)]
    pq.write_table(pa.table({"english": sentences}), folder / "a.parquet")
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    lake: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    table = tmp_path_factory.mktemp("undisturbed") / "table"
    assert driver(lake, bundle, table).wait(timeout=200) == 0
    return rows_of(table)


def driver(lake: Path, bundle: Path, table: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(lake), str(bundle), str(table)])


def rows_of(table: Path) -> list[dict[str, Any]]:
    found = pads.dataset(table / "data").to_table()
    return sorted(found.to_pylist(), key=lambda row: row["row_id"])


def wait_for_units(process: subprocess.Popen[bytes], table: Path, n_units: int) -> None:
    """Until so many units are staged; the run must not be over by then."""
    deadline = time.monotonic() + 120
    while len(list(table.glob("_staging/*/part-*.parquet"))) < n_units:
        assert process.poll() is None, "the run ended before it was disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_driver_is_killed_and_the_same_command_goes_on(
    lake: Path, bundle: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    table = tmp_path / "table"
    process = driver(lake, bundle, table)
    wait_for_units(process, table, 4)

    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert not (table / "data").exists()  # half a run is never published
    n_staged = len(list(table.glob("_staging/*/part-*.parquet")))
    assert 4 <= n_staged < N_UNITS
    assert driver(lake, bundle, table).wait(timeout=200) == 0
    assert rows_of(table) == undisturbed
    (manifest,) = Table(table).published()
    assert manifest.rows.n_input == N_UNITS * ROWS_PER_UNIT
    assert not any((table / "_staging").iterdir())


def test_an_actor_is_killed_and_the_run_ends_by_itself(
    lake: Path,
    bundle: Path,
    undisturbed: list[dict[str, Any]],
    tmp_path: Path,
    descendants: Callable[[int], dict[int, str]],
) -> None:
    table = tmp_path / "table"
    process = driver(lake, bundle, table)
    wait_for_units(process, table, 2)
    actors = [pid for pid, command in descendants(process.pid).items() if "MapWorker" in command]
    assert len(actors) == 2

    os.kill(actors[0], signal.SIGKILL)

    assert process.wait(timeout=200) == 0
    assert rows_of(table) == undisturbed
