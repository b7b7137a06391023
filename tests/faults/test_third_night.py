"""A table of two published nights, and a third night that is disturbed and then run again.

Whatever happens, the table ends like an undisturbed one: every row once, with the same translation.
A reader queries the table all the time and sees two nights or three, never a part of one.
``make faults`` runs all of these tests, ``make test`` some.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.location import Location
from pipeline.table.open_table import open_table

pytestmark = pytest.mark.ray

# See ``night.py``.
MOMENTS = [
    "before planning",
    "while planning",
    "planned",
    "before reconciling",
    "while reconciling",
    "reconciled",
    "page written",
    "manifest written",
    "before the rename",
    "after the rename",
]


@pytest.mark.faults
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_driver_dies_at_a_named_moment(
    world: Any, undisturbed: list[tuple[Any, ...]], reader: Any, moment: str
) -> None:
    process = world.start_night(moment)
    assert process.wait(timeout=200) == -signal.SIGKILL
    published = len(list(world.table.glob("data/*/*")))
    assert published == (3 if moment == "after the rename" else 2)
    world.finish()
    assert world.rows() == undisturbed


@pytest.mark.parametrize(
    "n_units",
    [5, *(pytest.param(n, marks=pytest.mark.faults) for n in (0, 1, 2, 8, 11, 14, 17, 18, 19))],
)
def test_the_driver_dies_in_a_unit_or_between_two(
    world: Any, undisturbed: list[tuple[Any, ...]], reader: Any, n_units: int
) -> None:
    process = world.start_night()
    world.wait_for_units(process, n_units)
    seed = time.time_ns()
    print(f"seed of the delay: {seed}")
    time.sleep(random.Random(seed).random() * 0.2)  # in a unit, or between two
    process.kill()
    process.wait()
    world.finish()
    assert world.rows() == undisturbed


@pytest.mark.parametrize(
    "victims",
    [
        "an actor",
        pytest.param("all actors", marks=pytest.mark.faults),
        pytest.param("the Ray node", marks=pytest.mark.faults),
        pytest.param("the whole process group", marks=pytest.mark.faults),
    ],
)
def test_processes_are_killed(
    world: Any,
    undisturbed: list[tuple[Any, ...]],
    reader: Any,
    descendants: Callable[[int], dict[int, str]],
    victims: str,
) -> None:
    process = world.start_night()
    world.wait_for_units(process, 3)
    below = descendants(process.pid)
    if victims == "the whole process group":
        for pid in [process.pid, *below]:
            kill(pid)
    elif victims == "the Ray node":
        for pid in [pid for pid, command in below.items() if "raylet/raylet" in command]:
            kill(pid)
    else:
        actors = [pid for pid, command in below.items() if "MapWorker" in command]
        assert len(actors) == 2
        for pid in actors[:1] if victims == "an actor" else actors:
            kill(pid)
    process.wait(timeout=250)
    if victims == "an actor":
        assert process.returncode == 0  # Ray replaces the actor
    else:
        world.finish()
    assert world.rows() == undisturbed


def kill(pid: int) -> None:
    """Kill a process, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.faults
@pytest.mark.parametrize("change", ["deleted", "truncated", "replaced"])
def test_an_input_file_changes_during_the_run(
    world: Any, undisturbed: list[tuple[Any, ...]], tmp_path: Path, change: str
) -> None:
    """The file is deferred and listed, and the next night translates it."""
    lake = tmp_path / "lake"
    shutil.copytree(str(world.lake), lake, copy_function=shutil.copy2)
    world = dataclasses.replace(world, lake=lake)
    path = lake / "c3.parquet"
    content = path.read_bytes()
    process = world.start_night()
    world.wait_for_units(process, 2)
    match change:
        case "deleted":
            path.unlink()
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "replaced":
            pq.write_table(pa.table({"english": ["A cat."]}), path)
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 3, errors.decode()[-2000:]
    assert b"deferred to the next run because they changed meanwhile: c3.parquet" in errors
    manifest = open_table(world.table).published()[-1]
    assert {unit.path for unit in manifest.units_deferred} == {"c3.parquet"}
    assert manifest.rows.n_input == 15 * 2000  # 15 of 20 units
    path.write_bytes(content)
    world.finish()
    # Run and status differ: the file came a night later, when more segments were known.
    assert world.without_run_and_status(world.rows()) == world.without_run_and_status(undisturbed)


@pytest.mark.faults
def test_two_runs_at_once(world: Any, undisturbed: list[tuple[Any, ...]], reader: Any) -> None:
    first = world.start_night()
    world.wait_for_units(first, 1)
    second = world.start_night()
    _, errors = second.communicate(timeout=100)
    assert second.returncode == 2
    assert f"another process is using it (process {first.pid})".encode() in errors
    assert first.wait(timeout=250) == 0
    assert world.rows() == undisturbed


@pytest.mark.faults
def test_the_clock_is_set_back_a_day(
    world: Any, undisturbed: list[tuple[Any, ...]], reader: Any
) -> None:
    process = world.start_night("clock")
    assert process.wait(timeout=250) == 0
    assert world.rows() == undisturbed
    runs = open_table(world.table).published()
    assert runs[-1].run_date < runs[0].run_date  # and still it is the last run


@pytest.fixture
def small_disk(mounted: Callable[[str], Path]) -> Path:
    """A file system with space for two nights and half of the third."""
    return mounted("100m")


@pytest.mark.faults
@pytest.mark.parametrize("when", ["in a unit", "while publishing"])
def test_the_disk_is_full(
    two_nights: Any,
    undisturbed: list[tuple[Any, ...]],
    small_disk: Path,
    when: str,
    watched: Callable[[Location], AbstractContextManager[Any]],
) -> None:
    """The run ends with the reason. Once there is space, the same command continues it."""
    world = two_nights.copied_to(small_disk)
    process = world.start_night()
    world.wait_for_units(process, 5 if when == "in a unit" else 20)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:  # until the disk is full
            file.write(b"\0" * 4096)
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 1, errors.decode()[-2000:]
    assert "No space left on device" in errors.decode()
    with watched(world.table):
        ballast.unlink()
        world.finish()
    assert world.rows() == undisturbed
