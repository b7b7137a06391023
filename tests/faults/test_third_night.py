"""A table with two published nights, and a third that is disturbed in every way and run again.

Whatever happens, the table ends as the undisturbed one: every row once, with the same translation.
A reader asks the table all the while, by glob and by the view ``latest``, and sees two nights or
three, never a part of one. ``make faults`` runs all of it, ``make test`` some.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.settings import load_yaml
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.translate.config import TranslateConfig
from pipeline.translate.stage import translate_table

pytestmark = pytest.mark.ray

N_UNITS, ROWS_PER_UNIT = 20, 2000
N_OLD_ROWS, N_OLD_UNITS = 3000, 2

# Dies by itself where its last argument says: so far from the outside nobody could hit the moment.
NIGHT = """
import os, signal, sys
from pathlib import Path
import pipeline.table.store, pipeline.translate.planning, pipeline.translate.reconcile
import pipeline.storage.manifests, pipeline.translate.stage
from pipeline.cli.app import main

def die(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

def dies_after(function, n_calls=1):
    calls = []
    def called(*arguments, **options):
        result = function(*arguments, **options)
        calls.append(1)
        if len(calls) == n_calls:
            die()
        return result
    return called

def dies_around_the_rename(when):
    rename = Path.rename
    def called(self, target):
        if "_staging" in str(self.parent) and "/data/" in str(target):
            if when == "before":
                die()
            rename(self, target)
            die()
        return rename(self, target)
    Path.rename = called

def clock_is_back_a_day():
    now = pipeline.storage.manifests.utc_now
    import datetime
    def earlier():
        return (datetime.datetime.fromisoformat(now()) - datetime.timedelta(days=1)).isoformat()
    pipeline.translate.planning.utc_now = pipeline.translate.stage.utc_now = earlier

lake, bundle, table, config, where = sys.argv[1:]
match where:
    case "before planning":
        pipeline.translate.stage.plan_run = die
    case "while planning":
        pipeline.translate.planning.inspect_file = dies_after(pipeline.translate.planning.inspect_file)
    case "planned":
        for kind in (pipeline.table.store.DiskTable, pipeline.table.store.S3Table):
            kind.begin = dies_after(kind.begin)
    case "before reconciling":
        pipeline.translate.stage.reconcile = die
    case "while reconciling":
        pipeline.translate.reconcile.row_id_digest = dies_after(pipeline.translate.reconcile.row_id_digest, 7)
    case "reconciled":
        pipeline.translate.stage.reconcile = dies_after(pipeline.translate.stage.reconcile)
    case "page written":
        pipeline.translate.stage.write_run_report = dies_after(pipeline.translate.stage.write_run_report)
    case "manifest written":
        pipeline.table.store.sync_tree = die
    case "before the rename" | "after the rename":
        dies_around_the_rename(where.split()[0])
    case "before the commit":
        pipeline.table.store.S3Table.publish = die
    case "after the commit":
        pipeline.table.store.S3Table._withdraw = die
    case "clock":
        clock_is_back_a_day()
sys.argv[1:] = ["translate", lake, "--model", bundle, "--output", table,
                "--config", config, "--actors", "2", "--ray-address", "local"]
main()
"""
NAMED = [
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


@dataclasses.dataclass(frozen=True)
class World:
    """A lake of three nights and a table of the first two."""

    lake: Location
    bundle: Path
    table: Location
    config: Path

    def night(self, where: str = "", **options: Any) -> subprocess.Popen[bytes]:
        arguments = [*map(str, (self.lake, self.bundle, self.table, self.config)), where]
        return subprocess.Popen(
            [sys.executable, "-c", NIGHT, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )

    def here(self, work: Callable[..., None]) -> None:
        """A night in this process, without Ray: undisturbed, and sooner."""
        config = load_yaml(TranslateConfig, self.config)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.translate.actors.run_on_actors", work)
            translate_table(self.lake, self.bundle, self.table, config)

    def finish(self) -> None:
        """Run the same command until it has nothing to do, as an operator would."""
        for _ in range(3):
            process = self.night()
            _, errors = process.communicate(timeout=250)
            assert process.returncode in (0, 3), errors.decode()[-2000:]
            if process.returncode == 0:
                return
        raise AssertionError("the input did not change, and was deferred again and again")

    def rows(self) -> list[tuple[Any, ...]]:
        """Every version of every row, but for the random part of run names."""
        files = f"read_parquet('{self.table}/data/*/*/*.parquet', hive_types = {{'run': VARCHAR}})"
        source = files if isinstance(self.table, Path) else "translations"
        connection = connect(None if isinstance(self.table, Path) else self.table, None)
        return connection.sql(
            f"SELECT split_part(run, '-', 1), * EXCLUDE (run, run_date) FROM {source} ORDER BY ALL"
        ).fetchall()

    def n_staged(self) -> int:
        """How many units of the third night are done, as far as it is not published."""
        if isinstance(self.table, Path):
            return len(list(self.table.glob("_staging/*/part-*.parquet")))
        return len(list(self.table.glob("data/*/*/part-*.parquet"))) - N_OLD_UNITS


class Reader:
    """Asks a table all the while; ``seen`` are the numbers of rows that it found."""

    def __init__(self, table: Location) -> None:
        self._table = table
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.seen: set[tuple[str, int]] = set()
        self.n_probes = 0
        self.problems: list[str] = []

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _read(self) -> None:
        glob = f"SELECT count(*) FROM '{self._table}/data/*/*/*.parquet'"
        while not self._done.is_set():
            try:
                if isinstance(self._table, Path):  # S3 shows by glob what is not published, too
                    self.seen.add(("glob", duckdb.connect().sql(glob).fetchall()[0][0]))
                result = run_query(connect(self._table, None), "SELECT count(*) FROM latest")
                assert result is not None
                self.seen.add(("latest", result.fetchall()[0][0]))
                self.n_probes += 2
            except Exception as error:  # noqa: BLE001 - whatever a reader would have met
                self.problems.append(repr(error))
            time.sleep(0.05)

    def check(self) -> None:
        """Two nights, or three: nothing in between, and no error."""
        two = {("glob", N_OLD_ROWS), ("latest", N_OLD_ROWS)}
        n_all = N_OLD_ROWS + N_UNITS * ROWS_PER_UNIT
        assert self.problems == []
        assert self.seen <= two | {("glob", n_all), ("latest", n_all)}
        assert self.n_probes > 0


@pytest.fixture(scope="module")
def two_nights(
    bundle: Path, work_here: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> World:
    root = tmp_path_factory.mktemp("nights")
    lake = root / "lake"
    lake.mkdir()
    world = World(lake, bundle, root / "table", root / "lake.yaml")
    world.config.write_text(f"text_column: english\nrows_per_unit: {ROWS_PER_UNIT}\n")
    sentences = [
        pair.source for pair in generate_pairs(N_OLD_ROWS + N_UNITS * ROWS_PER_UNIT, seed=5)
    ]
    write(lake / "a.parquet", sentences[:2000])
    world.here(work_here)
    write(lake / "b.parquet", sentences[2000:N_OLD_ROWS])
    world.here(work_here)
    for number in range(4):
        first = N_OLD_ROWS + number * 5 * ROWS_PER_UNIT
        write(lake / f"c{number}.parquet", sentences[first : first + 5 * ROWS_PER_UNIT])
    return world


def write(path: Path, sentences: list[str]) -> None:
    pq.write_table(pa.table({"english": sentences}), path, row_group_size=500)


@pytest.fixture(scope="module")
def undisturbed(
    two_nights: World,
    work_here: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Any, ...]]:
    world = copied(two_nights, tmp_path_factory.mktemp("undisturbed"))
    world.here(work_here)
    rows = world.rows()
    assert len(rows) == N_OLD_ROWS + N_UNITS * ROWS_PER_UNIT
    return rows


def copied(world: World, root: Path) -> World:
    """The table as it was before the third night, on its own; the lake stays where it is."""
    assert isinstance(world.table, Path)
    shutil.copytree(world.table, root / "table")
    return dataclasses.replace(world, table=root / "table")


@pytest.fixture
def world(two_nights: World, tmp_path: Path) -> World:
    return copied(two_nights, tmp_path)


@pytest.fixture
def reader(world: World) -> Iterator[Reader]:
    with Reader(world.table) as found:
        yield found
    found.check()


def translations(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of each row its text, translation, score and id, which no other fault changes."""
    return sorted((row[1], row[2], row[3], row[7]) for row in rows)


def wait_for_units(process: subprocess.Popen[bytes], world: World, n_units: int) -> None:
    deadline = time.monotonic() + 120
    while world.n_staged() < n_units:
        assert process.poll() is None, "the run ended before it was disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.faults
@pytest.mark.parametrize("where", NAMED)
def test_the_driver_dies_at_a_named_moment(
    world: World, undisturbed: list[tuple[Any, ...]], reader: Reader, where: str
) -> None:
    process = world.night(where)
    assert process.wait(timeout=200) == -signal.SIGKILL
    published = len(list(world.table.glob("data/*/*")))
    assert published == (3 if where == "after the rename" else 2)
    world.finish()
    assert world.rows() == undisturbed


@pytest.mark.parametrize(
    "n_units",
    [5, *(pytest.param(n, marks=pytest.mark.faults) for n in (0, 1, 2, 8, 11, 14, 17, 18, 19))],
)
def test_the_driver_dies_in_a_unit_or_between_two(
    world: World, undisturbed: list[tuple[Any, ...]], reader: Reader, n_units: int
) -> None:
    process = world.night()
    wait_for_units(process, world, n_units)
    time.sleep(random.random() * 0.2)  # in a unit, or between two
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
    world: World,
    undisturbed: list[tuple[Any, ...]],
    reader: Reader,
    descendants: Callable[[int], dict[int, str]],
    victims: str,
) -> None:
    process = world.night()
    wait_for_units(process, world, 3)
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
        assert process.returncode == 0  # by itself
    else:
        world.finish()
    assert world.rows() == undisturbed


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.faults
@pytest.mark.parametrize("change", ["deleted", "truncated", "replaced"])
def test_an_input_file_changes_during_the_run(
    world: World, undisturbed: list[tuple[Any, ...]], tmp_path: Path, change: str
) -> None:
    """Deferred, listed, exit status 3; the next night is right."""
    lake = tmp_path / "lake"
    shutil.copytree(str(world.lake), lake, copy_function=shutil.copy2)
    world = dataclasses.replace(world, lake=lake)
    path = lake / "c3.parquet"
    content = path.read_bytes()
    process = world.night()
    wait_for_units(process, world, 2)
    match change:
        case "deleted":
            path.unlink()
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "replaced":
            write(path, ["A cat."])
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 3, errors.decode()[-2000:]
    assert b"deferred to the next run, changed meanwhile: c3.parquet" in errors
    manifest = open_table(world.table).published()[-1]
    assert {unit.path for unit in manifest.units_deferred} == {"c3.parquet"}
    assert manifest.rows.n_input == 15 * ROWS_PER_UNIT
    path.write_bytes(content)
    world.finish()
    # But for the run and the status: these came a night later, when more text was known.
    assert translations(world.rows()) == translations(undisturbed)


@pytest.mark.faults
def test_two_runs_at_once(world: World, undisturbed: list[tuple[Any, ...]], reader: Reader) -> None:
    first = world.night()
    wait_for_units(first, world, 1)
    second = world.night()
    _, errors = second.communicate(timeout=100)
    assert second.returncode == 2
    assert f"another run writes to this table (process {first.pid})".encode() in errors
    assert first.wait(timeout=250) == 0
    assert world.rows() == undisturbed


@pytest.mark.faults
def test_the_clock_is_set_back_a_day(
    world: World, undisturbed: list[tuple[Any, ...]], reader: Reader
) -> None:
    process = world.night("clock")
    assert process.wait(timeout=250) == 0
    assert world.rows() == undisturbed
    runs = open_table(world.table).published()
    assert runs[-1].run_date < runs[0].run_date  # and yet it is the last


@pytest.fixture
def small_disk(mounted: Callable[[str], Path]) -> Path:
    """A file system with room for the two nights, and for half of the third."""
    return mounted("100m")


@pytest.mark.faults
@pytest.mark.parametrize("when", ["in a unit", "while publishing"])
def test_the_disk_is_full(
    two_nights: World,
    undisturbed: list[tuple[Any, ...]],
    small_disk: Path,
    when: str,
) -> None:
    """The run ends with the reason; with room again, the same command goes on."""
    world = copied(two_nights, small_disk)
    process = world.night()
    wait_for_units(process, world, 5 if when == "in a unit" else 20)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:  # until there is no room, whatever the run takes meanwhile
            file.write(b"\0" * 4096)
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 1, errors.decode()[-2000:]
    assert "No space left on device" in errors.decode()
    with Reader(world.table) as reader:
        ballast.unlink()
        world.finish()
    reader.check()
    assert world.rows() == undisturbed


def uploaded(world: World, bucket: S3Path) -> World:
    """The lake and the table of two nights on S3."""
    for name in ("lake", "table"):
        folder = getattr(world, name)
        for path in folder.rglob("*"):
            if path.is_file():
                (bucket / name / path.relative_to(folder).as_posix()).write_bytes(path.read_bytes())
    return dataclasses.replace(world, lake=bucket / "lake", table=bucket / "table")


class Flaky:
    """An S3 that is slow and fails one call in ten: half of them after it has done what it was
    told."""

    def __init__(self, server: Callable[..., Any]) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.n_failed = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        number = next(self._numbers)
        time.sleep(0.02)
        if number % 10:
            return self._server(environ, start_response)
        if number % 20 == 0:
            list(self._server(environ, lambda *_head: lambda _body: None))
        self.n_failed += 1
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"]


@pytest.fixture
def flaky(s3: S3Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    """The S3 of the other tests, but behind a flaky endpoint, which the environment names."""
    found = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, found, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    yield found
    server.shutdown()
    thread.join()


def test_s3_is_slow_and_fails_one_call_in_ten(
    two_nights: World,
    undisturbed: list[tuple[Any, ...]],
    s3: S3Path,
    flaky: Flaky,
) -> None:
    """The night ends well by itself."""
    world = uploaded(two_nights, s3)
    with Reader(world.table) as reader:
        process = world.night()
        _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors.decode()[-2000:]
    reader.check()
    assert world.rows() == undisturbed
    assert flaky.n_failed > 20


@pytest.mark.faults
@pytest.mark.parametrize(
    "where", ["planned", 3, 12, "while reconciling", "before the commit", "after the commit"]
)
def test_the_driver_dies_over_a_flaky_s3(
    two_nights: World,
    undisturbed: list[tuple[Any, ...]],
    s3: S3Path,
    flaky: Flaky,
    where: str | int,
) -> None:
    world = uploaded(two_nights, s3)
    with Reader(world.table) as reader:
        if isinstance(where, int):
            process = world.night()
            wait_for_units(process, world, where)
            process.kill()
        else:
            process = world.night(where)
        assert process.wait(timeout=250) == -signal.SIGKILL
        assert len(open_table(world.table).published()) == (3 if where == "after the commit" else 2)
        world.finish()
    reader.check()
    assert world.rows() == undisturbed


@pytest.mark.faults
def test_two_runs_at_once_on_s3(
    two_nights: World, undisturbed: list[tuple[Any, ...]], s3: S3Path
) -> None:
    """Without a lock: both go on with the run that was first, and one manifest stands."""
    world = uploaded(two_nights, s3)
    with Reader(world.table) as reader:
        both = [world.night(), world.night()]
        for process in both:
            _, errors = process.communicate(timeout=280)
            assert process.returncode == 0, errors.decode()[-2000:]
    reader.check()
    assert len(open_table(world.table).published()) == 3
    assert world.rows() == undisturbed


@pytest.mark.faults
@pytest.mark.parametrize("change", ["deleted", "truncated", "replaced"])
def test_an_input_file_on_s3_changes_during_the_run(
    two_nights: World, undisturbed: list[tuple[Any, ...]], s3: S3Path, change: str
) -> None:
    world = uploaded(two_nights, s3)
    path = s3 / "lake/c3.parquet"
    content = path.read_bytes()
    process = world.night()
    wait_for_units(process, world, 2)
    if change == "deleted":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if change == "truncated" else content[::-1])
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 3, errors.decode()[-2000:]
    assert b"deferred to the next run, changed meanwhile: c3.parquet" in errors
    path.write_bytes(content)
    world.finish()
    assert translations(world.rows()) == translations(undisturbed)
