"""Upkeep: what no run refers to goes, small files become large ones, and no row changes."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.documents.translation_memory import TranslationMemory
from pipeline.table.compaction import compact, exchange
from pipeline.table.maintenance import remove_orphan_files
from pipeline.table.manifest import run_path
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun
from pipeline.translate.unit_translator import UnitTranslator

translate_here = partial(translate_table, run_units=run_in_process)

CONFIG = TranslateConfig(
    text_column="english", id_column="key", rows_per_unit=4, max_source_characters=60
)


def write(lake: Path, name: str, keys: str, *, text: str = "plays") -> None:
    lake.mkdir(exist_ok=True)
    texts = [f"The dog {key} {text}." for key in keys]
    pq.write_table(pa.table({"key": list(keys), "english": texts}), lake / f"{name}.parquet")


@pytest.fixture
def table(bundle: Path, tmp_path: Path) -> Path:
    """Two runs: five units with a row in quarantine, then a newer version of a file."""
    lake, table = tmp_path / "lake", tmp_path / "table"
    write(lake, "a", "abcdefghi")
    write(lake, "b", "jklmno")
    write(lake, "c", "p", text="plays " * 20)
    translate_here(lake, bundle, table, CONFIG, TranslateResources())
    write(lake, "a", "abcdefgh", text="sleeps")
    translate_here(lake, bundle, table, CONFIG, TranslateResources())
    return table


def everything(table: Path) -> dict[str, Any]:
    """What each view shows, but for the names of files."""
    found = {}
    for view in ("translations", "latest", "quarantine", "tombstones", "runs"):
        result = run_query(connect(table, None), f"SELECT * FROM {view} ORDER BY ALL")
        assert result is not None
        found[view] = result.fetchall()
    return found


def parts(table: Path) -> list[Path]:
    return sorted(table.glob("data/*/*/part-*.parquet"))


def test_compaction_changes_files_and_nothing_else(
    table: Path, bundle: Path, tmp_path: Path
) -> None:
    before = everything(table)
    assert len(before["latest"]) == 14
    assert len(parts(table)) == 8

    assert compact(table) == (8, 2)

    assert len(parts(table)) == 2
    assert everything(table) == before
    assert compact(table) == (2, 2)
    assert remove_orphan_files(table) == {}
    assert list((table / "_staging").iterdir()) == []
    lake = tmp_path / "lake"
    assert translate_here(lake, bundle, table, CONFIG, TranslateResources()) is None
    write(lake, "b", "klmn")  # ids of the old version are read from the merged file
    write(lake, "a", "bcdefgh", text="sleeps")
    run = translate_here(lake, bundle, table, CONFIG, TranslateResources())
    assert run is not None
    assert run.n_rows_deleted == 3
    assert (run.rows.n_reused, run.rows.n_translated) == (11, 0)  # the memory is merged, too
    latest = {row[0] for row in everything(table)["latest"]}
    assert latest == set("bcdefghklmn")


def test_files_have_at_most_so_many_rows(table: Path) -> None:
    before = everything(table)
    compact(table, rows_per_file=9)
    sizes = [pq.read_metadata(part).num_rows for part in parts(table)]
    assert sorted(sizes) == [6, 8, 9]
    assert everything(table) == before


def test_a_reader_finds_all_of_a_run_while_it_is_compacted(table: Path) -> None:
    """The folder is there at every moment, with all rows of the one form or the other."""
    first = next(path for path in parts(table)).parent
    expected = sum(pq.read_metadata(part).num_rows for part in first.glob("part-*"))
    seen: list[int] = []
    problems: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                query = f"SELECT count(*) FROM '{first}/part-*.parquet'"
                seen.append(duckdb.connect().sql(query).fetchall()[0][0])
            except duckdb.IOException as error:
                # Listed before the exchange, opened after it: an error, never half of the rows.
                if "No files found" in str(error):
                    problems.append(error)
            except Exception as error:  # noqa: BLE001 - whatever a reader would meet
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while not (seen or problems):
        time.sleep(0.01)
    n_before = len(seen)
    other = table / "other"
    for _ in range(30):  # back and forth
        if not other.exists():
            other.mkdir()
            for part in first.glob("part-*"):
                (other / part.name).write_bytes(part.read_bytes())
        exchange(other, first)
    done.set()
    reader.join()
    assert problems == []
    assert set(seen) == {expected}
    assert len(seen) > n_before


def test_garbage_is_what_no_run_refers_to(table: Path) -> None:
    before = everything(table)
    runs = sorted((table / "data").glob("*/*"))
    kept = {path for path in table.rglob("*") if path.name != "_lock"}
    garbage = [
        table / "_staging" / "000009-beef" / "part-x.parquet",  # killed before its plan
        runs[0] / "part-unknown.parquet",
        runs[0] / "_memory" / ".part-a.parquet.12.tmp",
        runs[1] / "_deferred" / "part-y.parquet",
        runs[1].parent / "run=000007-dead" / "part-z.parquet",
    ]
    for path in garbage:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")

    found = remove_orphan_files(table, dry_run=True)

    assert sum(found.values()) == 25
    assert all(path.exists() for path in garbage)
    assert remove_orphan_files(table) == found
    assert not any(path.exists() for path in garbage)
    remove_orphan_files(table)  # the empty folders that are left
    left = {path for path in table.rglob("*") if path.name != "_lock"}
    assert left == kept
    assert everything(table) == before


def test_an_unfinished_run_keeps_its_own(table: Path, bundle: Path, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def stop_after_one(run: TranslationRun) -> None:
        translator = UnitTranslator(run.staged, run.table.data, run.plan, run.model)
        translator.translate(run.plan.units[0])
        raise Interrupted

    write(tmp_path / "lake", "d", "tuvwxy")
    with pytest.raises(Interrupted):
        translate_table(tmp_path / "lake", bundle, table, CONFIG, run_units=stop_after_one)
    assert remove_orphan_files(table) == {}
    compact(table)
    run = translate_here(tmp_path / "lake", bundle, table, CONFIG, TranslateResources())
    assert run is not None
    assert run.rows.n_input == 6


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    for work in (remove_orphan_files, compact):
        with pytest.raises(InputError, match="not a translation table"):
            work(tmp_path)


def test_the_merged_memory_answers(table: Path) -> None:
    compact(table)
    runs = open_table(table).published()
    memory = TranslationMemory(
        [table / "data" / run_path(run) / "_memory" for run in runs], table / "none"
    )
    assert set(memory.find(["The dog a plays.", "The dog a sleeps.", "no"])) == {
        "The dog a plays.",
        "The dog a sleeps.",
    }
