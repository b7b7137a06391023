"""``lingo sql``: formats, files, several statements and pipes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
VALUES = """
    SELECT 'a"b,' || chr(10) || 'c' AS text, '' AS empty, NULL AS nothing,
        '\\xFF\\x01a'::BLOB AS bytes,
        {'x': 'q', 'y': [1, NULL]} AS nested, [1, 2] AS list, MAP {'k': 1} AS map,
        170141183460469231731687303715884105727::HUGEINT AS huge, 1.10::DECIMAL(5, 2) AS price,
        'NaN'::DOUBLE AS nan, 0.1::DOUBLE AS tenth, ' x ' AS spaces, '日本' AS kanji
"""


def test_csv_is_exact(lingo: Callable[..., Any]) -> None:
    done = lingo("sql", VALUES, "--format", "csv")
    assert (done.status, done.err) == (0, "")
    header, row = csv.reader(io.StringIO(done.out, newline=""))
    values = dict(zip(header, row, strict=True))
    assert values == {
        "text": 'a"b,\nc',
        "empty": "",
        "nothing": "",
        "bytes": "\\xFF\\x01a",
        "nested": '{"x":"q","y":[1,null]}',
        "list": "[1,2]",
        "map": '{"k":1}',
        "huge": "170141183460469231731687303715884105727",
        "price": "1.10",
        "nan": "nan",
        "tenth": "0.1",
        "spaces": " x ",
        "kanji": "日本",
    }
    assert '"",,' in done.out  # an empty text differs from a null


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_json_is_exact(lingo: Callable[..., Any], format_: str) -> None:
    done = lingo("sql", f"{VALUES} UNION ALL BY NAME SELECT 'b' AS text", "--format", format_)
    assert (done.status, done.err) == (0, "")
    texts = [done.out] if format_ == "json" else done.out.splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    rows = [json.loads(text, parse_constant=refuse) for text in texts]
    first, second = rows[0] if format_ == "json" else rows
    assert first == {
        "text": 'a"b,\nc',
        "empty": "",
        "nothing": None,
        "bytes": "\\xFF\\x01a",
        "nested": {"x": "q", "y": [1, None]},
        "list": [1, 2],
        "map": {"k": 1},
        "huge": 170141183460469231731687303715884105727,
        "price": 1.1,
        "nan": "nan",
        "tenth": 0.1,
        "spaces": " x ",
        "kanji": "日本",
    }
    assert {value for name, value in second.items() if name != "text"} == {None}


def test_parquet_keeps_types(lingo: Callable[..., Any], tmp_path: Path) -> None:
    done = lingo("sql", VALUES, "--output", tmp_path / "result.parquet")
    assert (done.status, done.out, done.err) == (0, "", "")
    row = pq.read_table(tmp_path / "result.parquet").to_pylist()[0]
    assert (row["bytes"], row["nested"]) == (b"\xff\x01a", {"x": "q", "y": [1, None]})


@pytest.mark.parametrize(("format_", "expected"), [("csv", "a\n"), ("json", "[]\n"), ("jsonl", "")])
def test_a_result_without_rows(lingo: Callable[..., Any], format_: str, expected: str) -> None:
    assert lingo("sql", "SELECT 1 AS a WHERE false", "--format", format_) == (0, expected, "")


def test_without_a_terminal_a_table_has_all_rows_and_columns(lingo: Callable[..., Any]) -> None:
    columns = ", ".join(f"range AS a_rather_long_name_{i}" for i in range(40))
    done = lingo("sql", f"SELECT {columns} FROM range(12_000)")
    lines = done.out.splitlines()
    assert len(lines) == 12_000 + 5
    assert lines[1].count("a_rather_long_name_") == 40
    assert len({len(line) for line in lines}) == 1


def test_the_results_of_all_statements_are_printed(lingo: Callable[..., Any]) -> None:
    sql = (
        "SELECT 'first'; CREATE TABLE t (i INT); INSERT INTO t VALUES (41); "
        "INSERT INTO t VALUES (42) RETURNING i; PIVOT (SELECT 1 AS a, 43 AS b) ON a USING sum(b);"
    )
    done = lingo("sql", sql)
    assert (done.status, done.err) == (0, "")
    assert [word for word in ("first", "41", "42", "43") if f"│ {word} " in done.out] == [
        *("first", "42", "43")
    ]


@pytest.mark.parametrize(
    ("arguments", "message_part"),
    [
        (("SELECT 1; SELECT 2", "--format", "csv"), "takes one result, and the query has 2"),
        (("SELECT 1; SELECT 2", "--output", "{folder}/x.csv"), "takes one result"),
        (("SELECT 1", "--format", "xml"), "needs one of table, csv, json, jsonl, parquet"),
        (("SELECT 1 AS a, 2 AS a", "--format", "json"), "two columns are named 'a'"),
        (("SELECT 1", "--output", "s3://b/x.csv"), "s3://b/x.csv"),
        (("SELECT 1; SELEC 2",), "Parser Error"),
        (("SELECT CAST('x' AS INT)", "--format", "csv"), "Could not convert string 'x'"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    lingo: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message_part: str
) -> None:
    done = lingo("sql", *(argument.format(folder=tmp_path) for argument in arguments))
    assert done.status == 2
    assert message_part in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_output_file_appears_complete_or_not_at_all(
    lingo: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "result.csv"
    file.write_text("before")
    values = ", ".join(f"('{i}')" for i in range(20_000))
    done = lingo("sql", f"SELECT i::INT FROM (VALUES {values}, ('x')) t(i)", "-o", file)
    assert done.status == 2
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]

    assert lingo("sql", "SELECT 1 AS a", "-o", file).status == 0
    assert file.read_text() == "a\n1\n"
    missing = lingo("sql", "SELECT 1", "-o", tmp_path / "no" / "x.csv")
    assert (missing.status, missing.err.count("\n")) == (1, 1)


def test_a_reader_that_ends_early_is_no_error() -> None:
    command = [sys.executable, "-c", "from pipeline.cli.app import main; main()", "sql"]
    for options in (["--format", "csv"], []):
        with subprocess.Popen(
            [*command, "SELECT range AS i FROM range(400_000)", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert (process.stderr.read(), process.wait()) == (b"", 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("options", [(), ("--format", "csv")])
def test_a_full_disk_behind_standard_output_is_named(options: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from pipeline.cli.app import main; main()"),
                *("sql", "SELECT 1", *options),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "lingo: error: [Errno 28] No space left on device: 'standard output'\n"
