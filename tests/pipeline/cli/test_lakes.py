"""Lakes as they are in the field: bad, partial and missing files, links, and half a lake."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.files import write_bytes
from pipeline.storage.s3 import S3Path
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table

Lingo = Callable[..., Any]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake with two folders of a file with two rows each."""
    for day, animal in ((1, "dog"), (2, "cat")):
        folder = tmp_path / "lake" / f"day={day}"
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text(f"n,text\n1,The {animal} plays.\n2,The {animal} sleeps.\n")
    return tmp_path / "lake"


@pytest.fixture
def command(
    lingo: Lingo, lake: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Lingo:
    """A function ``command("translate", *options)`` or ``command("plan", *options)``.

    It translates the lake to a table, without Ray.
    """
    monkeypatch.setitem(translate_table.__kwdefaults__, "run_units", run_in_process)

    def run(name: str, *options: str, source: Path = lake, table: Path = tmp_path / "t") -> Any:
        names = ("table", "plan") if name == "plan" else (name,)
        return lingo(*names, source, "--model", bundle, "--output", table, *options)

    return run


@pytest.fixture
def texts(tmp_path: Path) -> Callable[[], list[str]]:
    """A function that gives the sorted texts of ``latest``."""

    def read() -> list[str]:
        result = run_query(connect(tmp_path / "t", None), "SELECT text FROM latest ORDER BY ALL")
        assert result is not None
        return [row[0] for row in result.fetchall()]

    return read


ALL = ["The cat plays.", "The cat sleeps.", "The dog plays.", "The dog sleeps."]


def truncated_gzip(path: Path) -> None:
    content = gzip.compress(b"n,text\n" + b"".join(b"%d,Row %d.\n" % (i, i) for i in range(2000)))
    path.with_name("bad.csv.gz").write_bytes(content[: len(content) // 2])


def damaged_page(path: Path) -> None:
    """The footer is whole, so the columns and the number of rows can be read."""
    file = path.with_name("bad.parquet")
    pq.write_table(pa.table({"text": [f"Row {i}." for i in range(5000)]}), file, compression="zstd")
    content = bytearray(file.read_bytes())
    content[100:4000] = bytes(3900)
    file.write_bytes(content)


BAD_FILES: dict[str, Callable[[Path], Any]] = {
    "truncated": truncated_gzip,
    "page": damaged_page,
    "no-parquet": lambda path: path.with_name("bad.parquet").write_bytes(b"PAR1 and no more"),
    "zero-bytes": lambda path: path.with_name("bad.parquet").write_bytes(b""),
    "latin-1": lambda path: path.with_name("bad.txt").write_bytes(
        "déjà vu\n".encode("cp1252") * 30
    ),
    "utf-16": lambda path: path.with_name("bad.csv").write_text("n,text\n1,a\n", "utf-16"),
    "columns": lambda path: path.with_name("bad.csv").write_text("text,text\na,b\n"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_set_aside_with_its_reason_and_the_others_are_translated(
    command: Lingo, lingo: Lingo, lake: Path, texts: Callable[[], list[str]], kind: str
) -> None:
    BAD_FILES[kind](lake / "day=1" / "bad")
    (name,) = (path.name for path in (lake / "day=1").glob("bad*"))

    forecast = command("plan")
    night = command("translate")
    listed = lingo("table", "runs", lake.parent / "t")
    again = command("translate")

    assert forecast.status == 0
    (line,) = (line for line in forecast.out.splitlines() if line.startswith("set aside"))
    assert line.startswith(f"set aside day=1/{name}: ")
    assert len(line) > 40
    assert (night.status, night.err) == (3, f"{line}\n")
    assert "4 rows = 4 translated" in night.out
    assert texts() == ALL
    (run,) = open_table(lake.parent / "t").published()
    assert [f"set aside {file.path}: {file.reason}" for file in run.set_aside] == [line]
    assert f"set aside in run {run.run_id}: {line.removeprefix('set aside ')}" in listed.out
    assert (again.status, again.err) == (3, f"{line}\n")
    assert "every row" not in again.out
    assert len(open_table(lake.parent / "t").published()) == 1


@pytest.mark.parametrize("kind", ["truncated", "latin-1"])
def test_a_bad_file_stops_the_run_if_the_setting_says_so(
    command: Lingo, lake: Path, kind: str
) -> None:
    BAD_FILES[kind](lake / "day=1" / "bad")
    done = command("translate", "--on-bad-file", "stop")
    assert done.status == 2
    assert "day=1/bad" in done.err
    assert not (lake.parent / "t").exists()


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_the_earlier_rows_of_a_bad_file_stay_until_it_is_mended(
    command: Lingo, lake: Path, texts: Callable[[], list[str]], kind: str
) -> None:
    file = lake / "day=2" / "a.csv"
    assert command("translate", "--lake", kind).status == 0
    good = file.read_bytes()
    file.write_bytes(b"\xff\xfe" + good)
    for _ in range(2):
        assert command("translate", "--lake", kind).status == 3
        assert texts() == ALL
    assert len(open_table(lake.parent / "t").published()) == 2  # the second one lists the bad file
    file.write_bytes(good + b"3,The cat eats.\n")

    mended = command("translate", "--lake", kind)

    assert (mended.status, mended.err) == (0, "")
    assert texts() == sorted([*ALL, "The cat eats."])
    assert open_table(lake.parent / "t").published()[-1].set_aside == ()


def test_a_lake_of_bad_files_only_is_refused_with_the_first_reason(
    command: Lingo, lake: Path
) -> None:
    for day in (1, 2):
        (lake / f"day={day}" / "a.csv").write_text("text,text\n")
    done = command("translate")
    assert done.status == 2
    assert "day=1/a.csv: two columns are named 'text'" in done.err
    assert not (lake.parent / "t").exists()


TEMPORARY = ("a.csv~", "part.csv.tmp", "b.parquet.inprogress", "c.txt.crdownload", "Thumbs.db")


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_temporary_files_are_skipped_and_counted(
    command: Lingo, lake: Path, texts: Callable[[], list[str]], kind: str
) -> None:
    for name in TEMPORARY:
        (lake / "day=1" / name).write_bytes(b"n,text\n9,half a")
    (lake / "day=3.tmp").mkdir()
    (lake / "day=3.tmp" / "a.csv").write_text("n,text\n9,A partition.\n")
    (lake / "upload.part").mkdir()
    (lake / "upload.part" / "a.csv").write_text("n,text\n9,Half an upload.\n")
    done = command("translate", "--lake", kind)
    assert done.status == 0
    assert done.out.startswith(
        "note: skipped 6 temporary files (day=1/Thumbs.db, day=1/a.csv~, "
        "day=1/b.parquet.inprogress, ...) in the input\n"
    )
    assert texts() == ["A partition.", *ALL]
    assert "skipped 6 temporary files" in command("plan").out


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
@pytest.mark.parametrize("name", ["day=2", "."])
def test_a_folder_that_cannot_be_listed_stops_the_night(
    command: Lingo,
    lake: Path,
    texts: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
) -> None:
    command("translate", "--lake", kind)
    scandir = os.scandir

    def failing_scandir(path: Any = ".") -> Any:
        if Path(path) == lake / name:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing_scandir)
    for done in (command("translate", "--lake", kind), command("plan", "--lake", kind)):
        assert done.status == 2
        assert done.err == (
            f"lingo: error: {lake / name}: cannot be read (Permission denied); give access to it, "
            "or check its disk\n"
        )
    assert texts() == ALL


def test_a_folder_that_moves_behind_a_link_keeps_its_rows_and_gets_new_ones(
    command: Lingo, lake: Path, texts: Callable[[], list[str]], tmp_path: Path
) -> None:
    command("translate", "--lake", "snapshot")
    (lake / "day=1").rename(tmp_path / "archive")
    (lake / "day=1").symlink_to(tmp_path / "archive")
    assert command("translate", "--lake", "snapshot").out.startswith("nothing new")
    (tmp_path / "archive" / "new.csv").write_text("n,text\n3,The dog eats.\n")
    (lake / "day=1" / "up").symlink_to(lake)

    done = command("translate", "--lake", "snapshot")

    assert done.status == 0
    assert "1 rows = 1 translated" in done.out
    assert done.out.startswith(
        f"note: {lake}/day=1/up: a link to {lake}, which is part of the input"
    )
    assert texts() == sorted([*ALL, "The dog eats."])
    assert "\nnothing new" in command("translate", "--lake", "snapshot").out
    assert len(open_table(tmp_path / "t").published()) == 2


@pytest.mark.parametrize("kind", ["grows", "snapshot"])
def test_a_link_that_leads_nowhere_is_named_and_its_rows_stay(
    command: Lingo, lake: Path, texts: Callable[[], list[str]], tmp_path: Path, kind: str
) -> None:
    (lake / "day=1").rename(tmp_path / "archive")
    (lake / "day=1").symlink_to(tmp_path / "archive")
    command("translate", "--lake", kind)
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    done = command("translate", "--lake", kind)
    assert done.status == 2
    assert f"{lake}/day=1: a link to {tmp_path}/archive, which cannot be read" in done.err
    assert texts() == ALL


def write_many(lake: Path, n_files: int, n_rows: int) -> None:
    """Write files of equal sizes."""
    for number in range(n_files):
        rows = "".join(f"{row},Row {row} of {number}.\n" for row in range(n_rows))
        (lake / f"{number}.csv").write_text(f"n,text\n{rows}")


@pytest.mark.parametrize("by_id", [False, True])
def test_half_a_lake_is_refused_until_a_larger_share_is_allowed(
    command: Lingo, tmp_path: Path, texts: Callable[[], list[str]], by_id: bool
) -> None:
    lake = tmp_path / "many"
    lake.mkdir()
    for number in range(4):
        rows = "".join(f"{number}-{row},Row {row} of {number}.\n" for row in range(25))
        (lake / f"{number}.csv").write_text(f"id,text\n{rows}")
    options = ["--lake", "snapshot", *(["--id-column", "id"] if by_id else [])]
    assert command("translate", *options, source=lake).status == 0
    (lake / "0.csv").unlink()
    (lake / "1.csv").unlink()

    forecast = command("plan", *options, source=lake)
    done = command("translate", *options, source=lake)

    assert "50 of 100 rows would leave `latest`" in forecast.out
    assert "`lingo translate` would refuse" in forecast.out
    assert done.status == 2
    assert done.err.startswith(
        f"lingo: error: {lake}: 50 of the table's 100 rows are no longer in the input, more than "
        "max_retracted_share=0.4; "
    )
    assert "--max-retracted-share 1" in done.err
    assert len(texts()) == 100
    done = command("translate", *options, "--max-retracted-share", "0.5", source=lake)
    assert (done.status, done.err) == (0, "")
    assert len(texts()) == 50


def test_rows_that_move_to_another_file_do_not_leave(command: Lingo, tmp_path: Path) -> None:
    lake = tmp_path / "many"
    lake.mkdir()
    rows = "".join(f"{row},Row {row}.\n" for row in range(60))
    (lake / "a.csv").write_text(f"id,text\n{rows}")
    options = ("--lake", "snapshot", "--id-column", "id")
    command("translate", *options, source=lake)
    (lake / "a.csv").rename(lake / "b.csv")
    assert "would leave" not in command("plan", *options, source=lake).out
    assert command("translate", *options, source=lake).status == 0


def test_a_few_rows_may_always_leave(
    command: Lingo, lake: Path, texts: Callable[[], list[str]]
) -> None:
    command("translate", "--lake", "snapshot")
    (lake / "day=1" / "a.csv").unlink()
    (lake / "day=2" / "a.csv").write_text("n,text\n1,The cat plays.\n")
    assert "3 of 4 rows would leave `latest`" in command("plan", "--lake", "snapshot").out
    assert command("translate", "--lake", "snapshot").status == 0
    assert texts() == ["The cat plays."]


def test_a_file_that_loses_most_rows_is_refused_in_a_lake_that_grows(
    command: Lingo, tmp_path: Path
) -> None:
    lake = tmp_path / "many"
    lake.mkdir()
    write_many(lake, n_files=1, n_rows=60)
    command("translate", source=lake)
    write_many(lake, n_files=1, n_rows=6)
    done = command("translate", source=lake)
    assert done.status == 2
    assert "54 of the table's 60 rows" in done.err


@pytest.mark.parametrize("place", ["out", "day=1/out", "link", "outside"])
def test_a_table_in_its_lake_is_refused_on_the_first_night(
    command: Lingo, lake: Path, tmp_path: Path, place: str
) -> None:
    table = lake / place
    if place == "link":
        (lake / "out").mkdir()
        (tmp_path / "link").symlink_to(lake / "out")
        table = tmp_path / "link" / "t"
    elif place == "outside":
        (tmp_path / "tables").mkdir()
        (lake / "day=3").symlink_to(tmp_path / "tables")
        table = tmp_path / "tables" / "t"
    for done in (command("plan", table=table), command("translate", table=table)):
        assert done.status == 2
        assert f"{table.resolve()}: is in the input {lake}" in done.err
    assert not table.exists()


@pytest.mark.parametrize("part", [".", "data", "data/*/*/*.parquet"])
def test_a_lake_in_its_table_is_refused(command: Lingo, lake: Path, part: str) -> None:
    command("translate")
    table = lake.parent / "t"
    source = sorted(table.glob(part))[0] if "*" in part else table / part
    done = command("translate", source=source)
    assert done.status == 2
    assert f"is in the folder of the table {table}" in done.err


def test_a_table_in_a_folder_of_the_lake_that_is_no_input_is_allowed(
    command: Lingo, lake: Path
) -> None:
    for _ in range(2):
        assert command("translate", table=lake / "_translations").status == 0


def test_a_lake_without_rows_is_said_to_have_none_and_gives_an_empty_table(
    command: Lingo, lingo: Lingo, tmp_path: Path, texts: Callable[[], list[str]]
) -> None:
    lake = tmp_path / "empty"
    lake.mkdir()
    (lake / "a.csv").write_text("n,text\n")
    (lake / "b.txt").write_text("")
    for _ in range(2):
        done = command("translate", source=lake)
        assert (done.status, done.out) == (0, f"{lake} has no rows: nothing was translated\n")
    answer = lingo("sql", "--table", tmp_path / "t", "SELECT count(*) AS n FROM latest")
    assert answer.status == 0
    assert "0" in answer.out
    (lake / "b.txt").write_text("The dog plays.\n")
    assert command("translate", source=lake).status == 0
    assert texts() == ["The dog plays."]


@pytest.mark.parametrize("how", ["renamed", "moved", "rewritten"])
def test_new_files_in_the_place_of_others_are_noted(
    command: Lingo, lake: Path, tmp_path: Path, how: str
) -> None:
    command("translate")
    old = lake / "day=1" / "a.csv"
    if how == "renamed":
        old.rename(lake / "day=1" / "b.csv")
    elif how == "moved":
        (lake / "day=9").mkdir()
        old.rename(lake / "day=9" / "a.csv")
    else:
        old.unlink()
        (lake / "day=1" / "b.csv").write_text("text,n\nThe dog plays.,1\n")
    folder = lake / ("day=9" if how == "moved" else "day=1")
    expected = f"note: {folder}: 1 new file ("
    assert expected in command("plan").out
    done = command("translate")
    assert done.status == 0
    assert done.out.startswith(expected)
    assert "--lake snapshot" in done.out.splitlines()[0]


@pytest.mark.parametrize("options", [(), ("--lake", "snapshot"), ("--id-column", "n")])
def test_files_that_are_added_or_replace_others_as_they_should_are_not_noted(
    command: Lingo, lake: Path, options: tuple[str, ...]
) -> None:
    (lake / "day=2" / "a.csv").write_text("n,text\n3,The cat plays.\n4,The cat sleeps.\n")
    command("translate", *options)
    if options:
        (lake / "day=1" / "a.csv").rename(lake / "day=1" / "b.csv")
    else:  # an old file goes, another one stays
        (lake / "day=1" / "b.csv").write_text("n,text\n5,The dog eats.\n")
        command("translate")
        (lake / "day=1" / "a.csv").unlink()
        (lake / "day=1" / "c.csv").write_text("n,text\n6,The dog runs.\n")
    done = command("translate", *options)
    assert (done.status, done.err) == (0, "")
    assert "note:" not in done.out


def test_rows_that_an_earlier_release_translated_from_a_temporary_file_stay_while_it_is_there(
    command: Lingo,
    lake: Path,
    texts: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (lake / "day=1" / "#b.csv").write_text("n,text\n3,The dog eats.\n")
    assert command("translate", "--lake", "snapshot").status == 0
    translated = texts()
    assert translated == sorted([*ALL, "The dog eats."])
    monkeypatch.setattr("pipeline.lake.files.is_temporary_name", lambda name: name[0] == "#")
    assert "\nnothing new" in command("translate", "--lake", "snapshot").out
    assert texts() == translated
    (lake / "day=1" / "#b.csv").unlink()
    assert command("translate", "--lake", "snapshot").status == 0
    assert texts() == ALL


READ_ONLY_STATEMENTS = """
import os, sys
from pathlib import Path
from pipeline.table.maintenance import remove_orphan_files
from pipeline.table.open_table import open_table
from pipeline.table.query import connect, run_query
from pipeline.translate.forecast import forecast_run

lake, bundle, table = map(Path, sys.argv[1:])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)
print(forecast_run(lake, bundle, table).n_rows)
print(run_query(connect(table, None), "SELECT count(*) FROM latest").fetchall()[0][0])
print(remove_orphan_files(table, dry_run=True))
try:
    with open_table(table).locked():
        print("locked")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_table_that_cannot_be_written_can_be_planned_and_queried(
    command: Lingo, bundle: Path, tmp_path: Path
) -> None:
    """Modes do not bind the superuser, so the statements run as a user whom they bind."""
    command("translate")
    with tempfile.TemporaryDirectory() as folder:
        for path in (tmp_path / "lake", tmp_path / "t", bundle):
            shutil.copytree(path, Path(folder) / path.name)
        (Path(folder) / "t" / ".lock").unlink(missing_ok=True)
        Path(folder).chmod(0o755)
        (Path(folder) / "t").chmod(0o555)
        done = subprocess.run(
            [
                *(sys.executable, "-c", READ_ONLY_STATEMENTS),
                *(Path(folder) / name for name in ("lake", bundle.name, "t")),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        (Path(folder) / "t").chmod(0o755)
        assert done.stderr == ""
        n_new, n_rows, orphans, error = done.stdout.splitlines()
        # The copies have other times, but the same content.
        assert (n_new, n_rows, orphans) == ("0", "4", "{}")
        assert error == (
            f"InputError {folder}/t: cannot be written (Permission denied); give write access to "
            "this folder, or name another table"
        )


def test_a_bad_file_and_a_table_in_its_lake_are_noticed_on_s3(
    command: Lingo, lingo: Lingo, s3: S3Path, bundle: Path
) -> None:
    write_bytes(s3 / "lake" / "day=1" / "a.csv", b"n,text\n1,The dog plays.\n")
    write_bytes(s3 / "lake" / "day=1" / "bad.parquet", b"PAR1")
    write_bytes(s3 / "lake" / "day=1" / "x.csv~", b"n,text\n")
    done = lingo("translate", f"{s3}/lake", "--model", bundle, "--output", f"{s3}/t")
    assert done.status == 3
    assert done.err.startswith("set aside day=1/bad.parquet: ")
    assert done.out.startswith("note: skipped 1 temporary file (day=1/x.csv~) in the input")
    (run,) = open_table(s3 / "t").published()
    assert [file.path for file in run.set_aside] == ["day=1/bad.parquet"]
    for table in (s3 / "lake" / "t", s3 / "lake"):
        done = lingo("translate", f"{s3}/lake", "--model", bundle, "--output", f"{table}")
        assert done.status == 2
        assert "is in" in done.err or "not a translation table" in done.err
    done = lingo("translate", f"{s3}/t/data", "--model", bundle, "--output", f"{s3}/t")
    assert done.status == 2
    assert f"is in the folder of the table {s3}/t" in done.err
    done = lingo("translate", f"{s3}/lake", "--model", bundle, "--output", f"{s3}/lake2")
    assert done.status == 3  # another folder whose name begins like that of the lake


def test_a_table_of_an_earlier_release_is_continued(
    command: Lingo, lingo: Lingo, lake: Path, texts: Callable[[], list[str]]
) -> None:
    command("translate")
    (file,) = (lake.parent / "t").glob("data/*/*/_manifest.json")
    manifest = json.loads(file.read_text())
    for name in ("set_aside", "n_rows_restored"):
        del manifest[name]
    for name in ("on_bad_file", "max_retracted_share"):
        del manifest["settings"][name]
    file.write_text(json.dumps(manifest))
    assert command("translate").out.startswith("nothing new")
    (lake / "day=3").mkdir()
    (lake / "day=3" / "a.csv").write_text("n,text\n1,The bird plays.\n")
    assert command("translate").status == 0
    assert lingo("table", "runs", lake.parent / "t").status == 0
    assert texts() == sorted([*ALL, "The bird plays."])


def test_a_table_behind_links_in_a_circle_is_refused(command: Lingo, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for name in ("plan", "translate"):
        done = command(name, table=tmp_path / "one")
        assert done.status == 2
        assert f"{tmp_path}/one: links lead in a circle" in done.err
