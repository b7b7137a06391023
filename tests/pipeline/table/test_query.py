"""SQL over tables and reports: what each view holds, for any path, and errors in one line."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.cli.app import main
from pipeline.schemas import QUARANTINE_COLUMNS, SCORES, TRANSLATION_COLUMNS
from pipeline.schemas import RETRACTED as TOMBSTONES
from pipeline.storage.files import write_json, write_parquet
from pipeline.table.manifest import (
    FORMAT_VERSION,
    QUARANTINE_FOLDER,
    RETRACTED,
    RUN_MANIFEST,
    Lineage,
    RowCounts,
    RunManifest,
    TableIdentity,
    Unit,
)
from pipeline.table.open_table import open_table
from pipeline.table.query import VIEWS, connect, run_query, sql_command

COLUMNS = pa.schema([pa.field("text", pa.string())])
TIME = "2026-11-22T01:02:03+00:00"


def new_table(root: Path) -> Path:
    """A table without runs."""
    open_table(root).create(
        TableIdentity(
            format_version=FORMAT_VERSION,
            source_lang="en",
            target_lang="es",
            text_column="text",
            id_column=None,
            limit=None,
        )
    )
    return root


def add_run(
    table: Path,
    run: str,
    rows: dict[str, str],
    *,
    run_date: str = "2026-11-22",
    quarantined: tuple[str, ...] = (),
    retracted: tuple[str, ...] = (),
    settings: dict[str, Any] | None = None,
    model_id: str = "0123456789abcdef",
) -> None:
    """Publish a run: ``rows`` gives each row id's translation."""
    unit = Unit(unit_id="u1", content_id="c1", path="a.txt", first_row=0, n_rows=len(rows))
    manifest = RunManifest(
        format_version=FORMAT_VERSION,
        run=run,
        run_date=run_date,
        started_at=TIME,
        finished_at=TIME,
        input="lake",
        model_id=model_id,
        lineage=Lineage(model="models/m", dataset_fingerprint="d1", corpus=("a.tsv", "b.tsv")),
        source_lang="en",
        target_lang="es",
        settings=settings or {},
        settings_key="k",
        memory_key="k",
        schema_base64="",
        deleted_files=(),
        files=(),
        units=(unit,),
        units_deferred=(),
        n_units_planned=4,
        n_units_skipped=2,
        n_units_deferred=1,
        n_units_emitted=1,
        rows=RowCounts(
            n_input=len(rows) + len(quarantined),
            n_translated=len(rows),
            n_reused=0,
            n_passed_through=0,
            n_quarantined=len(quarantined),
        ),
        n_rows_deleted=len(retracted),
        quarantined={},
        measures={},
        n_placeholders_lost=0,
        n_truncated=0,
        row_id_digest="0",
    )
    staged = open_table(table).staged(manifest)
    ours = {
        "status": "translated",
        "source_hash": "ab",
        "source_lang": "en",
        "target_lang": "es",
        "model_id": model_id,
        "score": -0.5,
        "n_segments": 1,
        "truncated": False,
    }
    found = [
        {"text": f"text {row_id}", "row_id": row_id, "translation": translation} | ours
        for row_id, translation in rows.items()
    ]
    schema = pa.schema([*COLUMNS, *TRANSLATION_COLUMNS])
    write_parquet(staged / unit.file_name, pa.Table.from_pylist(found, schema=schema))
    if quarantined:
        bad = [{"text": None, "row_id": row_id, "reason": "malformed"} for row_id in quarantined]
        schema = pa.schema([*COLUMNS, *QUARANTINE_COLUMNS])
        write_parquet(
            staged / QUARANTINE_FOLDER / unit.file_name, pa.Table.from_pylist(bad, schema=schema)
        )
    write_parquet(
        staged / RETRACTED / f"part-{run}.parquet",
        pa.table({"row_id": [*retracted, *quarantined]}, schema=TOMBSTONES),
    )
    open_table(table).publish(manifest)


def query(sql: str, table: Path | None = None, reports: Path | None = None) -> list[Any]:
    """Rows of a query."""
    result = run_query(connect(table, reports), sql)
    assert result is not None
    return result.fetchall()


LATEST = "SELECT row_id, translation, run FROM latest ORDER BY row_id"


def test_translations_hold_every_version_and_latest_the_newest(tmp_path: Path) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-ffff", {"a": "a1", "b": "b1"})
    add_run(table, "000002-0000", {"b": "b2", "c": "c2"})

    assert query("SELECT row_id, translation FROM translations ORDER BY ALL", table) == [
        *(("a", "a1"), ("b", "b1"), ("b", "b2"), ("c", "c2"))
    ]
    assert query(LATEST, table) == [
        ("a", "a1", "000001-ffff"),
        ("b", "b2", "000002-0000"),
        ("c", "c2", "000002-0000"),
    ]
    names = [*COLUMNS.names, *TRANSLATION_COLUMNS.names]
    columns = [row[0] for row in query("DESCRIBE latest", table)]
    assert sorted(columns) == sorted([*names, "run", "run_date"])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("000009-ffff", "000010-0000"),
        ("999999-ffff", "1000000-0000"),  # as text the seven digits would come first
        ("000002-9e99", "000010-1e10"),  # digits that a reader might take for a number
    ],
)
def test_runs_are_ordered_by_number_and_never_by_date(
    tmp_path: Path, older: str, newer: str
) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, newer, {"a": "new", "b": "new"}, run_date="2026-11-20")
    add_run(table, older, {"a": "old", "c": "old"}, run_date="2026-11-22")

    assert query(LATEST, table) == [("a", "new", newer), ("b", "new", newer), ("c", "old", older)]
    assert query("SELECT run FROM runs", table) == [(older,), (newer,)]
    assert query("SELECT run, typeof(run), run_date::VARCHAR FROM translations LIMIT 1", table)[0][
        1:
    ] in [("VARCHAR", "2026-11-20"), ("VARCHAR", "2026-11-22")]


def test_runs_of_tables_with_other_columns_stand_together(tmp_path: Path) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "a1"})
    add_run(table, "000002-aaaa", {"b": "b2"})
    part = next(table.glob("data/*/run=000002-aaaa/*.parquet"))
    write_parquet(part, pq.read_table(part, partitioning=None).append_column("page", pa.array([7])))

    assert query("SELECT row_id, page FROM latest ORDER BY row_id", table) == [
        ("a", None),
        ("b", 7),
    ]


def test_quarantine_stands_apart(tmp_path: Path) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "a1"}, quarantined=("x", "y"))

    assert query("SELECT row_id, reason, run FROM quarantine ORDER BY row_id", table) == [
        ("x", "malformed", "000001-aaaa"),
        ("y", "malformed", "000001-aaaa"),
    ]
    assert query("SELECT row_id FROM translations", table) == [("a",)]


RUN_COLUMNS = (
    "run, run_date::VARCHAR, started_at = TIMESTAMPTZ '2026-11-22 01:02:03+00', model_id, n_input, "
    "n_translated, n_reused, n_passed_through, n_quarantined, n_units_planned, n_units_skipped, "
    "n_units_deferred, n_units_emitted"
)


def test_runs_are_what_the_manifests_say(tmp_path: Path) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "1", "b": "2", "c": "3"}, quarantined=("x", "y"))
    assert query(f"SELECT {RUN_COLUMNS} FROM runs", table) == [
        ("000001-aaaa", "2026-11-22", True, "0123456789abcdef", 5, 3, 0, 0, 2, 4, 2, 1, 1)
    ]


def test_a_manifest_of_many_megabytes_is_read(tmp_path: Path) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "1"}, settings={"rename": "x" * 40_000_000})
    add_run(table, "000002-aaaa", {"a": "2"})
    manifest = next(table.glob(f"data/*/run=000001-aaaa/{RUN_MANIFEST}"))
    assert manifest.stat().st_size > 1 << 25  # twice what DuckDB reads by itself
    assert query("SELECT run, n_input FROM runs", table) == [("000001-aaaa", 1), ("000002-aaaa", 1)]


def test_scores_of_all_evaluations(tmp_path: Path) -> None:
    for number, score in (("1", 10.5), ("2", 20.25)):
        row = dict.fromkeys(SCORES.names, "x") | {"evaluation_id": number, "metric": "BLEU"}
        row |= {"evaluated_at": 0, "n_sentences": 3, "score": score, "beam_size": 1}
        part = tmp_path / "reports" / "scores" / f"part-{number}.parquet"
        write_parquet(part, pa.Table.from_pylist([row], schema=SCORES))
    sql = "SELECT evaluation_id, score FROM scores ORDER BY evaluation_id"
    assert query(sql, None, tmp_path / "reports") == [("1", 10.5), ("2", 20.25)]
    columns = [row[0] for row in query("DESCRIBE scores", None, tmp_path / "reports")]
    assert columns == SCORES.names


@pytest.mark.parametrize("place", ["nothing given", "new table, no reports"])
def test_what_is_not_there_yet_is_empty_with_its_columns(tmp_path: Path, place: str) -> None:
    there = place != "nothing given"
    table = new_table(tmp_path / "table") if there else None
    connection = connect(table, tmp_path / "reports" if there else None)
    partitions = {"run", "run_date"}
    expected = {
        "translations": {*TRANSLATION_COLUMNS.names, *partitions},
        "latest": {*TRANSLATION_COLUMNS.names, *partitions},
        "quarantine": {*QUARANTINE_COLUMNS.names, *partitions},
        "retracted": {*TOMBSTONES.names, *partitions},
        "scores": set(SCORES.names),
    }
    full = new_table(tmp_path / "full")
    add_run(full, "000001-aaaa", {"a": "1"})
    full_runs = run_query(connect(full, None), "SELECT * FROM runs")
    assert full_runs is not None
    for view in VIEWS:
        result = run_query(connection, f"SELECT * FROM {view}")
        assert result is not None
        assert result.fetchall() == []
        if view == "lineage":
            assert result.columns[:2] == ["row_id", "run"]
        elif view == "runs":
            assert (result.columns, result.types) == (full_runs.columns, full_runs.types)
        else:
            assert set(result.columns) == expected[view]
    sql = "SELECT run_date + 1, split_part(run, '-', 1), score * 2 FROM latest"
    assert run_query(connection, sql) is not None  # the columns have their types


@pytest.mark.parametrize("name", ["it's", 'a "b" c', "a[1]", "a*b?", "env=prod", "año 日本", "{x}"])
def test_a_path_with_any_sign_is_read(tmp_path: Path, name: str) -> None:
    table = new_table(tmp_path / name / "table")
    add_run(table, "000001-aaaa", {"a": "1"}, quarantined=("x",))
    reports = tmp_path / name / "reports"
    row = dict.fromkeys(SCORES.names, "x") | {"evaluated_at": 0, "n_sentences": 3, "score": 1.0}
    row["beam_size"] = 1
    write_parquet(reports / "scores" / "p.parquet", pa.Table.from_pylist([row], schema=SCORES))

    found = {view: query(f"SELECT count(*) FROM {view}", table, reports)[0][0] for view in VIEWS}
    assert found == dict.fromkeys(VIEWS, 1)
    assert query("SELECT run, run_date::VARCHAR FROM latest", table) == [
        ("000001-aaaa", "2026-11-22")
    ]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT * FROM latests", "latests does not exist"),
        ("SELECT nothing FROM latest", "nothing"),
        ("SELEC 1", "syntax error"),
        ("SELECT CAST(translation AS INT) FROM latest", "Could not convert string 'not a number'"),
        ("SELECT row_id::INT FROM translations ORDER BY 1", "Could not convert string 'a'"),
    ],
)
def test_a_wrong_query_is_an_input_error_that_names_the_views(
    tmp_path: Path, sql: str, says: str
) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "not a number"})
    with pytest.raises(InputError) as error:
        run_query(connect(table, None), sql)
    message = str(error.value)
    assert message.startswith(repr(sql))
    assert says in message
    assert message.endswith(f"; views are {', '.join(VIEWS)}")
    assert "\n" not in message


def test_a_statement_runs_once_and_none_gives_none() -> None:
    connection = connect(None, None)
    assert run_query(connection, "") is None
    run_query(connection, "CREATE TABLE kept (n INT)")
    run_query(connection, "INSERT INTO kept VALUES (1), (2)")
    result = run_query(connection, "SELECT n FROM kept ORDER BY n DESC")
    assert result is not None
    assert result.fetchall() == [(2,), (1,)]


def test_a_large_result_is_cut_to_what_is_shown_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = run_query(connect(None, None), "SELECT range AS n FROM range(50_000) ORDER BY n DESC")
    assert result is not None
    result.show(max_rows=4)
    assert ">9999 rows" in capsys.readouterr().out
    result = run_query(connect(None, None), "SELECT range AS n FROM range(9_000)")
    assert result is not None
    assert len(result.fetchall()) == 9000


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(InputError, match=r"not a translation table .*_table\.json.*lingo"):
            connect(path, None)
    new_table(tmp_path / "future")
    write_json(tmp_path / "future" / "_table.json", {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(InputError, match=f"this release reads {FORMAT_VERSION}"):
        connect(tmp_path / "future", None)


def test_a_damaged_file_is_named_with_its_view(tmp_path: Path) -> None:
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "1"})
    next(table.glob("data/*/*/*.parquet")).write_bytes(b"not Parquet at all")
    with pytest.raises(InputError, match="cannot be read as the view translations") as error:
        connect(table, None)
    assert "part-u1.parquet" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["table", "it's my table", '$HOME `x` "y"'])
def test_the_command_for_a_query_runs_as_pasted(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = new_table(tmp_path / name)
    add_run(table, "000001-aaaa", {"a": "1", "b": "2"})
    add_run(table, "000002-aaaa", {"b": "3"})
    words = shlex.split(sql_command(table))

    assert Path(words[0]).name == "lingo"
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    assert "status" in shown.out
    row = next(line for line in shown.out.splitlines() if "translated" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["translated", "2", "-0.5"]


def test_the_command_is_the_lingo_that_the_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.chdir(tmp_path)

    def word() -> str:
        return shlex.split(sql_command(Path("table")))[0]

    assert word() == "lingo"  # neither here nor there: the plain name
    (folder / "lingo").write_text("#!/bin/sh\n")
    (folder / "lingo").chmod(0o755)
    assert word() == "venv/bin/lingo"
    monkeypatch.chdir("/")
    assert Path("/", word()) == folder / "lingo"
    monkeypatch.setenv("PATH", str(folder))
    assert shutil.which("lingo") is not None
    assert word() == "lingo"


def rows_of(table: Path, sql: str, as_of: str | None = None) -> list[Any]:
    result = run_query(connect(table, None, as_of=as_of), sql)
    assert result is not None
    return sorted(result.fetchall())


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """Three runs: two rows; one of them again and one more; the first retracted, a new model."""
    table = new_table(tmp_path / "table")
    add_run(table, "000001-aaaa", {"a": "1", "b": "1"})
    add_run(table, "000002-bbbb", {"b": "2", "c": "2"})
    add_run(table, "000003-cccc", {"c": "3"}, retracted=("a",), model_id="ffff")
    return table


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (None, [("b", "2"), ("c", "3")]),
        ("3", [("b", "2"), ("c", "3")]),
        ("000002-bbbb", [("a", "1"), ("b", "2"), ("c", "2")]),
        ("1", [("a", "1"), ("b", "1")]),
    ],
)
def test_the_table_as_it_was_after_a_run(
    story: Path, as_of: str | None, expected: list[tuple[str, str]]
) -> None:
    assert rows_of(story, "SELECT row_id, translation FROM latest", as_of) == expected
    n_runs = rows_of(story, "SELECT count(*) FROM runs", as_of)[0][0]
    assert n_runs == {"1": 1, "000002-bbbb": 2}.get(str(as_of), 3)


def test_a_run_that_is_not_there_is_refused(story: Path) -> None:
    with pytest.raises(InputError, match="run '7': not in the table; its runs are 000001-aaaa, "):
        connect(story, None, as_of="7")


def test_two_runs_or_models_over_the_same_rows(story: Path) -> None:
    columns = "row_id, translation_a, translation_b, same_source, same_translation"
    by_run = f"SELECT {columns} FROM compare('1', '000002-bbbb')"
    assert rows_of(story, by_run) == [("b", "1", "2", True, False)]
    by_model = f"SELECT {columns} FROM compare('0123456789abcdef', 'ffff')"
    assert rows_of(story, by_model) == [("c", "2", "3", True, False)]
    assert rows_of(story, "SELECT same_translation FROM compare('1', '1')") == [(True,), (True,)]


def test_lineage_leads_from_a_row_to_its_corpus(story: Path) -> None:
    assert rows_of(story, "SELECT * FROM lineage") == [
        ("b", "000002-bbbb", "0123456789abcdef", "models/m", "d1", ["a.tsv", "b.tsv"]),
        ("c", "000003-cccc", "ffff", "models/m", "d1", ["a.tsv", "b.tsv"]),
    ]
