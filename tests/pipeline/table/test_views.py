"""The views over a translation table and score reports."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, SCORES, TOMBSTONES, TRANSLATION_COLUMNS
from pipeline.storage.files import write_parquet
from pipeline.table.manifest import RUN_MANIFEST
from pipeline.table.query import VIEWS, connect, run_query

LATEST = "SELECT row_id, translation, run FROM latest ORDER BY row_id"


def test_translations_hold_every_version_and_latest_the_newest(
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-ffff", {"a": "a1", "b": "b1"})
    add_run(table, "000002-0000", {"b": "b2", "c": "c2"})

    assert query(table, "SELECT row_id, translation FROM translations ORDER BY ALL") == [
        *(("a", "a1"), ("b", "b1"), ("b", "b2"), ("c", "c2"))
    ]
    assert query(table, LATEST) == [
        ("a", "a1", "000001-ffff"),
        ("b", "b2", "000002-0000"),
        ("c", "c2", "000002-0000"),
    ]
    names = ["text", *TRANSLATION_COLUMNS.names]
    columns = [row[0] for row in query(table, "DESCRIBE latest")]
    assert sorted(columns) == sorted([*names, "run", "run_date"])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("000009-ffff", "000010-0000"),
        ("999999-ffff", "1000000-0000"),  # as text, seven digits come first
        ("000002-9e99", "000010-1e10"),  # readers may take these digits for a number
    ],
)
def test_runs_are_ordered_by_number_and_not_by_date(
    older: str,
    newer: str,
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, newer, {"a": "new", "b": "new"}, run_date="2026-11-20")
    add_run(table, older, {"a": "old", "c": "old"}, run_date="2026-11-22")

    assert query(table, LATEST) == [("a", "new", newer), ("b", "new", newer), ("c", "old", older)]
    assert query(table, "SELECT run FROM runs") == [(older,), (newer,)]
    assert query(table, "SELECT run, typeof(run), run_date::VARCHAR FROM translations LIMIT 1")[0][
        1:
    ] in [("VARCHAR", "2026-11-20"), ("VARCHAR", "2026-11-22")]


def test_runs_with_different_columns_are_shown_together(
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "a1"})
    add_run(table, "000002-aaaa", {"b": "b2"})
    part = next(table.glob("data/*/run=000002-aaaa/*.parquet"))
    write_parquet(part, pq.read_table(part, partitioning=None).append_column("page", pa.array([7])))

    assert query(table, "SELECT row_id, page FROM latest ORDER BY row_id") == [
        ("a", None),
        ("b", 7),
    ]


def test_runs_from_before_a_column_of_the_output_are_shown_with_null(
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "a1"})
    add_run(table, "000002-aaaa", {"b": "b2"})
    old = next(table.glob("data/*/run=000001-aaaa/*.parquet"))
    write_parquet(old, pq.read_table(old, partitioning=None).drop_columns(["numbers_ok"]))
    new = next(table.glob("data/*/run=000002-aaaa/*.parquet"))
    part = pq.read_table(new, partitioning=None)
    at = part.schema.get_field_index("numbers_ok")
    write_parquet(new, part.set_column(at, "numbers_ok", pa.array([True])))

    assert query(table, "SELECT row_id, numbers_ok FROM latest ORDER BY row_id") == [
        ("a", None),
        ("b", True),
    ]


def test_quarantined_rows_are_only_in_the_view_quarantine(
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "a1"}, quarantined=("x", "y"))

    assert query(table, "SELECT row_id, reason, run FROM quarantine ORDER BY row_id") == [
        ("x", "malformed", "000001-aaaa"),
        ("y", "malformed", "000001-aaaa"),
    ]
    assert query(table, "SELECT row_id FROM translations") == [("a",)]


RUN_COLUMNS = (
    "run, run_date::VARCHAR, started_at = TIMESTAMPTZ '2026-11-22 01:02:03+00', model_id, n_input, "
    "n_translated, n_reused, n_passed_through, n_quarantined, n_units_planned, n_units_skipped, "
    "n_units_deferred, n_units_emitted"
)


def test_the_view_runs_shows_the_manifests(
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "1", "b": "2", "c": "3"}, quarantined=("x", "y"))
    assert query(table, f"SELECT {RUN_COLUMNS} FROM runs") == [
        ("000001-aaaa", "2026-11-22", True, "0123456789abcdef", 5, 3, 0, 0, 2, 4, 2, 1, 1)
    ]


def test_a_manifest_of_many_megabytes_is_read(
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "1"}, settings={"rename": "x" * 40_000_000})
    add_run(table, "000002-aaaa", {"a": "2"})
    manifest = next(table.glob(f"data/*/run=000001-aaaa/{RUN_MANIFEST}"))
    assert manifest.stat().st_size > 1 << 25  # twice DuckDB's own limit
    assert query(table, "SELECT run, n_input FROM runs") == [("000001-aaaa", 1), ("000002-aaaa", 1)]


def test_the_view_scores_shows_all_evaluations(
    tmp_path: Path, query: Callable[..., list[Any]]
) -> None:
    for number, score in (("1", 10.5), ("2", 20.25)):
        row = dict.fromkeys(SCORES.names, "x") | {"evaluation_id": number, "metric": "BLEU"}
        row |= {"evaluated_at": 0, "n_sentences": 3, "score": score, "beam_size": 1}
        part = tmp_path / "reports" / "scores" / f"part-{number}.parquet"
        write_parquet(part, pa.Table.from_pylist([row], schema=SCORES))
    sql = "SELECT evaluation_id, score FROM scores ORDER BY evaluation_id"
    assert query(None, sql, tmp_path / "reports") == [("1", 10.5), ("2", 20.25)]
    columns = [row[0] for row in query(None, "DESCRIBE scores", tmp_path / "reports")]
    assert columns == SCORES.names


@pytest.mark.parametrize("has_table", [False, True])
def test_a_view_without_data_is_empty_and_has_its_columns(
    tmp_path: Path,
    has_table: bool,
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    root = new_table(table) if has_table else None
    connection = connect(root, tmp_path / "reports" if has_table else None)
    partitions = {"run", "run_date"}
    expected = {
        "translations": {*TRANSLATION_COLUMNS.names, *partitions},
        "latest": {*TRANSLATION_COLUMNS.names, *partitions},
        "quarantine": {*QUARANTINE_COLUMNS.names, *partitions},
        "tombstones": {*TOMBSTONES.names, *partitions},
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
def test_a_path_may_have_special_characters(
    tmp_path: Path,
    name: str,
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
) -> None:
    table = new_table(tmp_path / name / "table")
    add_run(table, "000001-aaaa", {"a": "1"}, quarantined=("x",))
    reports = tmp_path / name / "reports"
    row = dict.fromkeys(SCORES.names, "x") | {"evaluated_at": 0, "n_sentences": 3, "score": 1.0}
    row["beam_size"] = 1
    write_parquet(reports / "scores" / "p.parquet", pa.Table.from_pylist([row], schema=SCORES))

    n_rows = {view: query(table, f"SELECT count(*) FROM {view}", reports)[0][0] for view in VIEWS}
    assert n_rows == dict.fromkeys(VIEWS, 1)
    assert query(table, "SELECT run, run_date::VARCHAR FROM latest") == [
        ("000001-aaaa", "2026-11-22")
    ]


def test_a_damaged_file_is_named_with_its_view(
    new_table: Callable[[Path], Path], add_run: Callable[..., None], table: Path
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "1"})
    next(table.glob("data/*/*/*.parquet")).write_bytes(b"not Parquet at all")
    with pytest.raises(InputError, match="cannot be read as the view translations") as error:
        connect(table, None)
    assert "part-u1.parquet" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "folders",
    [
        "env=prod/day=2020-01-01",
        "run=7",
        "run_date=2020-01-01/run=000009-ffff",
        "row_id=3/translation=x",
        "lang=es/text=x/model_id=y/score=1",
        "reason=x/detail=y/__lingo_file=z",
    ],
)
def test_folders_above_a_table_are_not_columns(
    tmp_path: Path,
    folders: str,
    all_rows: Callable[[Path], dict[str, list[Any]]],
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
) -> None:
    plain, below = new_table(tmp_path / "plain"), new_table(tmp_path / folders / "table")
    for table in (plain, below):
        add_run(table, "000001-aaaa", {"a": "a1", "b": "b1"}, quarantined=("x",))
        add_run(table, "000002-bbbb", {"a": "a2"}, deleted=("b",))

    assert all_rows(below) == all_rows(plain)
    for view in ("translations", "latest", "quarantine", "tombstones"):
        sql = f"SELECT column_name, column_type FROM (DESCRIBE {view})"
        assert query(below, sql) == query(plain, sql)
    assert query(below, LATEST) == [("a", "a2", "000002-bbbb")]


def test_a_relative_path_that_begins_with_a_tilde_is_not_the_home_folder(
    tmp_path: Path,
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    add_run(new_table(tmp_path / "~"), "000001-aaaa", {"a": "1"})

    assert query(Path("~"), LATEST) == [("a", "1", "000001-aaaa")]


@pytest.mark.parametrize("view", ["translations", "latest", "quarantine"])
def test_a_view_has_the_columns_of_the_input_that_its_files_lack(
    view: str,
    query: Callable[..., list[Any]],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    """Views without files, and views whose files are older than a column."""
    new_table(table)
    types = {
        "page": (pa.int64(), "BIGINT"),
        "price": (pa.decimal128(9, 2), "DECIMAL(9,2)"),
        "wide": (pa.decimal256(60, 2), "DOUBLE"),
        "tags": (pa.list_(pa.string()), "VARCHAR[]"),
        "meta": (pa.struct([("a", pa.int32())]), "STRUCT(a INTEGER)"),
    }
    fields = [pa.field("text", pa.string()), *(pa.field(n, t) for n, (t, _) in types.items())]
    schema = base64.b64encode(pa.schema(fields).serialize()).decode()

    for quarantined in ((), ("x",)):  # the first quarantined row comes in the second run
        add_run(
            table,
            f"00000{len(quarantined) + 1}-aaaa",
            {"a": "1"},
            quarantined=quarantined,
            schema_base64=schema,
        )
        found = dict(query(table, f"SELECT column_name, column_type FROM (DESCRIBE {view})"))
        assert {name: found[name] for name in types} == {n: t for n, (_, t) in types.items()}
        query(table, f"SELECT text, page, tags, meta.a, run FROM {view} WHERE page > 1")


def test_a_run_that_is_published_while_a_query_runs_is_not_shown(
    new_table: Callable[[Path], Path], add_run: Callable[..., None], table: Path
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "1"})
    connection = connect(table, None)
    add_run(table, "000002-aaaa", {"a": "2"})

    assert connection.sql(LATEST).fetchall() == [("a", "1", "000001-aaaa")]
