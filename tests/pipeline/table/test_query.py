"""Queries over a table: errors, large results, earlier runs, comparisons and lineage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.storage.files import write_json
from pipeline.table.manifest import FORMAT_VERSION
from pipeline.table.query import VIEWS, connect, run_query


@pytest.fixture
def three_runs(
    table: Path, new_table: Callable[[Path], Path], add_run: Callable[..., None]
) -> Path:
    """Three runs: two rows; one of them again and a new one; another model and a deleted row."""
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "1", "b": "1"})
    add_run(table, "000002-bbbb", {"b": "2", "c": "2"})
    add_run(table, "000003-cccc", {"c": "3"}, deleted=("a",), model_id="ffff")
    return table


@pytest.mark.parametrize(
    ("sql", "message_part"),
    [
        ("SELECT * FROM latests", "latests does not exist"),
        ("SELECT nothing FROM latest", "nothing"),
        ("SELEC 1", "syntax error"),
        ("SELECT CAST(translation AS INT) FROM latest", "Could not convert string 'not a number'"),
        ("SELECT row_id::INT FROM translations ORDER BY 1", "Could not convert string 'a'"),
    ],
)
def test_a_wrong_query_is_an_input_error_that_names_the_views(
    sql: str,
    message_part: str,
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
    table: Path,
) -> None:
    new_table(table)
    add_run(table, "000001-aaaa", {"a": "not a number"})
    with pytest.raises(InputError) as error:
        run_query(connect(table, None), sql)
    message = str(error.value)
    assert message.startswith(repr(sql))
    assert message_part in message
    assert message.endswith(f"; views are {', '.join(VIEWS)}")
    assert "\n" not in message


def test_a_statement_runs_once_and_an_empty_one_has_no_result() -> None:
    connection = connect(None, None)
    assert run_query(connection, "") is None
    run_query(connection, "CREATE TABLE kept (n INT)")
    run_query(connection, "INSERT INTO kept VALUES (1), (2)")
    result = run_query(connection, "SELECT n FROM kept ORDER BY n DESC")
    assert result is not None
    assert result.fetchall() == [(2,), (1,)]


def test_a_large_result_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_query(connect(None, None), "SELECT range AS n FROM range(50_000) ORDER BY n DESC")
    assert result is not None
    result.show(max_rows=4)
    assert ">9999 rows" in capsys.readouterr().out
    result = run_query(connect(None, None), "SELECT range AS n FROM range(9_000)")
    assert result is not None
    assert len(result.fetchall()) == 9000


def test_a_folder_that_is_no_table_and_a_newer_table_are_refused(
    tmp_path: Path, new_table: Callable[[Path], Path]
) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(InputError, match=r"not a translation table .*_table\.json.*lingo"):
            connect(path, None)
    new_table(tmp_path / "newer")
    write_json(tmp_path / "newer" / "_table.json", {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(InputError, match=f"this release reads {FORMAT_VERSION}"):
        connect(tmp_path / "newer", None)


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (None, [("b", "2"), ("c", "3")]),
        ("3", [("b", "2"), ("c", "3")]),
        ("000002-bbbb", [("a", "1"), ("b", "2"), ("c", "2")]),
        ("1", [("a", "1"), ("b", "1")]),
    ],
)
def test_as_of_shows_the_table_as_it_was_after_a_run(
    three_runs: Path,
    as_of: str | None,
    expected: list[tuple[str, str]],
    query: Callable[..., list[Any]],
) -> None:
    assert (
        sorted(query(three_runs, "SELECT row_id, translation FROM latest", as_of=as_of)) == expected
    )
    n_runs = sorted(query(three_runs, "SELECT count(*) FROM runs", as_of=as_of))[0][0]
    assert n_runs == {"1": 1, "000002-bbbb": 2}.get(str(as_of), 3)


def test_as_of_an_unknown_run_is_refused(three_runs: Path) -> None:
    for name in ("7", "²", "-1", ""):
        message = f"run '{name}': not in the table; its runs are 000001-aaaa, "
        with pytest.raises(InputError, match=message):
            connect(three_runs, None, as_of=name)


def test_compare_joins_the_rows_of_two_runs_or_models(
    three_runs: Path, query: Callable[..., list[Any]]
) -> None:
    columns = "row_id, translation_a, translation_b, same_source, same_translation"
    by_run = f"SELECT {columns} FROM compare('1', '000002-bbbb')"
    assert sorted(query(three_runs, by_run)) == [("b", "1", "2", True, False)]
    by_model = f"SELECT {columns} FROM compare('0123456789abcdef', 'ffff')"
    assert sorted(query(three_runs, by_model)) == [("c", "2", "3", True, False)]
    assert sorted(query(three_runs, "SELECT same_translation FROM compare('1', '1')")) == [
        (True,),
        (True,),
    ]


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        ("'nosuch'", "'1'", "nosuch"),
        ("'1'", "'4'", "4"),
        ("'000001'", "'000001-bbbb'", "000001-bbbb"),
        ("1", "7", "7"),
        ("''", "'1'", ""),
        ("'it''s'", "'1'", "it's"),
    ],
)
def test_compare_refuses_an_unknown_name_and_lists_the_runs_and_models(
    three_runs: Path, query: Callable[..., list[Any]], a: str, b: str, name: str
) -> None:
    for columns in ("*", "count(*)", "1"):
        with pytest.raises(InputError) as error:
            query(three_runs, f"SELECT {columns} FROM compare({a}, {b})")
        assert (
            f"compare: {name} is not a run or a model of this table; its runs are 000001-aaaa, "
            "000002-bbbb, 000003-cccc; its models are 0123456789abcdef, ffff" in str(error.value)
        )


def test_compare_in_a_table_without_runs_is_refused(
    new_table: Callable[[Path], Path], table: Path, query: Callable[..., list[Any]]
) -> None:
    with pytest.raises(InputError, match="its runs are none; its models are none"):
        query(new_table(table), "SELECT * FROM compare('1', '2')")


def test_compare_takes_numbers_with_or_without_zeros(
    three_runs: Path, query: Callable[..., list[Any]]
) -> None:
    for names in ("'1', '2'", "1, 2", "'000001', '000002'", "'000001-aaaa', 2"):
        assert query(three_runs, f"SELECT row_id FROM compare({names})") == [("b",)]


def test_lineage_leads_from_a_row_to_its_corpus(
    three_runs: Path, query: Callable[..., list[Any]]
) -> None:
    assert sorted(query(three_runs, "SELECT * FROM lineage")) == [
        ("b", "000002-bbbb", "0123456789abcdef", "models/m", "d1", ["a.tsv", "b.tsv"]),
        ("c", "000003-cccc", "ffff", "models/m", "d1", ["a.tsv", "b.tsv"]),
    ]
