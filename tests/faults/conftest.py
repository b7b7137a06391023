"""Fixtures of the tests that kill processes: a table of two nights, readers, process trees."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.settings import load_yaml
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.query import connect, run_query
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table

N_UNITS, ROWS_PER_UNIT = 20, 2000
N_OLD_ROWS, N_OLD_UNITS = 3000, 2

NIGHT = Path(__file__).with_name("night.py")


@dataclasses.dataclass(frozen=True)
class World:
    """A lake of three nights and a table of the first two."""

    lake: Location
    bundle: Path
    table: Location
    config: Path

    def start_night(self, moment: str = "", **options: Any) -> subprocess.Popen[bytes]:
        """Start a night as a process, which kills itself at a named moment; see ``night.py``."""
        arguments = [*map(str, (self.lake, self.bundle, self.table, self.config)), moment]
        return subprocess.Popen(
            [sys.executable, NIGHT, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )

    def translate_here(self) -> None:
        """An undisturbed night in this process, without Ray."""
        config = load_yaml(TranslateConfig, self.config)
        translate_table(self.lake, self.bundle, self.table, config, run_units=run_in_process)

    def finish(self) -> None:
        """Run the same command until nothing is deferred, as an operator would."""
        for _ in range(3):
            process = self.start_night()
            _, errors = process.communicate(timeout=250)
            assert process.returncode in (0, 3), errors.decode()[-2000:]
            if process.returncode == 0:
                return
        raise AssertionError("units were deferred three times although the input did not change")

    def rows(self) -> list[tuple[Any, ...]]:
        """Every version of every row, without the random digits of run ids."""
        files = f"read_parquet('{self.table}/data/*/*/*.parquet', hive_types = {{'run': VARCHAR}})"
        source = files if isinstance(self.table, Path) else "translations"
        connection = connect(None if isinstance(self.table, Path) else self.table, None)
        return connection.sql(
            f"SELECT split_part(run, '-', 1), * EXCLUDE (run, run_date) FROM {source} ORDER BY ALL"
        ).fetchall()

    @staticmethod
    def without_run_and_status(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Text, translation, score and id of each row, sorted."""
        return sorted((row[1], row[2], row[3], row[7]) for row in rows)

    def n_staged(self) -> int:
        """How many units of the third night are finished, until it is published."""
        if isinstance(self.table, Path):
            return len(list(self.table.glob("_staging/*/part-*.parquet")))
        return len(list(self.table.glob("data/*/*/part-*.parquet"))) - N_OLD_UNITS

    def wait_for_units(self, process: subprocess.Popen[bytes], n_units: int) -> None:
        """Wait until a running night has finished this many units."""
        deadline = time.monotonic() + 120
        while self.n_staged() < n_units:
            assert process.poll() is None, "the run ended before it was disturbed"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def copied_to(self, root: Path) -> World:
        """The table before the third night, copied to another folder. The lake is shared."""
        assert isinstance(self.table, Path)
        shutil.copytree(self.table, root / "table")
        return dataclasses.replace(self, table=root / "table")

    def uploaded_to(self, bucket: S3Path) -> World:
        """The lake and the table, copied to S3."""
        for name in ("lake", "table"):
            folder = getattr(self, name)
            for path in folder.rglob("*"):
                if path.is_file():
                    target = bucket / name / path.relative_to(folder).as_posix()
                    target.write_bytes(path.read_bytes())
        return dataclasses.replace(self, lake=bucket / "lake", table=bucket / "table")


class Reader:
    """Queries a table all the time, by glob and by the view ``latest``.

    Attributes:
        seen: each way of reading with the numbers of rows that it gave.
    """

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
                if isinstance(self._table, Path):  # on S3, unpublished files are visible by glob
                    self.seen.add(("glob", duckdb.connect().sql(glob).fetchall()[0][0]))
                result = run_query(connect(self._table, None), "SELECT count(*) FROM latest")
                assert result is not None
                self.seen.add(("latest", result.fetchall()[0][0]))
                self.n_probes += 2
            except Exception as error:  # noqa: BLE001 - any error of a reader
                self.problems.append(repr(error))
            time.sleep(0.05)

    def check(self) -> None:
        """Every query gave two nights or three, none a part of one, and none failed."""
        two = {("glob", N_OLD_ROWS), ("latest", N_OLD_ROWS)}
        n_all = N_OLD_ROWS + N_UNITS * ROWS_PER_UNIT
        assert self.problems == []
        assert self.seen <= two | {("glob", n_all), ("latest", n_all)}
        assert self.n_probes > 0


def write_sentences(path: Path, sentences: list[str]) -> None:
    """Write a file of a lake."""
    pq.write_table(pa.table({"english": sentences}), path, row_group_size=500)


@pytest.fixture(scope="module")
def two_nights(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A lake of three nights and a table of the first two."""
    root = tmp_path_factory.mktemp("nights")
    lake = root / "lake"
    lake.mkdir()
    world = World(lake, bundle, root / "table", root / "lake.yaml")
    world.config.write_text(f"text_column: english\nrows_per_unit: {ROWS_PER_UNIT}\n")
    sentences = [
        pair.source for pair in generate_pairs(N_OLD_ROWS + N_UNITS * ROWS_PER_UNIT, seed=5)
    ]
    write_sentences(lake / "a.parquet", sentences[:2000])
    world.translate_here()
    write_sentences(lake / "b.parquet", sentences[2000:N_OLD_ROWS])
    world.translate_here()
    for number in range(4):
        first = N_OLD_ROWS + number * 5 * ROWS_PER_UNIT
        write_sentences(lake / f"c{number}.parquet", sentences[first : first + 5 * ROWS_PER_UNIT])
    return world


@pytest.fixture(scope="module")
def undisturbed(
    two_nights: World,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Any, ...]]:
    """The rows of the table after an undisturbed third night."""
    world = two_nights.copied_to(tmp_path_factory.mktemp("undisturbed"))
    world.translate_here()
    rows = world.rows()
    assert len(rows) == N_OLD_ROWS + N_UNITS * ROWS_PER_UNIT
    return rows


@pytest.fixture
def world(two_nights: World, tmp_path: Path) -> World:
    """A copy of the table of two nights."""
    return two_nights.copied_to(tmp_path)


@contextmanager
def _watched(table: Location) -> Iterator[Reader]:
    with Reader(table) as reader:
        yield reader
    reader.check()


@pytest.fixture(scope="session")
def watched() -> Callable[[Location], AbstractContextManager[Reader]]:
    """A context manager in which a reader queries a table and must see whole nights only."""
    return _watched


@pytest.fixture
def reader(world: World) -> Iterator[Reader]:
    """A reader that queries the table during the test and must see whole nights only."""
    with _watched(world.table) as reader:
        yield reader


@pytest.fixture(scope="session")
def descendants() -> Callable[[int], dict[int, str]]:
    """Returns the descendants of a process: their command lines by process id."""
    return _descendants


def _descendants(pid: int) -> dict[int, str]:
    commands = {}
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            commands[child.pid] = "\0".join(child.cmdline())
    return commands


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of a given size, such as "100m", and unmounts it after the test."""
    folder = tmp_path / "disk"

    def mount(size: str) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode != 0:
            pytest.skip("needs the right to mount a file system")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)
