"""Columns that the output cannot hold are refused before any work; all others are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.table.manifest import RunManifest
from pipeline.table.query import connect, run_query
from pipeline.translate.config import TranslateConfig

CONFIG = TranslateConfig(rows_per_unit=20)
BY_ID = CONFIG.model_copy(update={"id_column": "id"})


REFUSED_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no such column": (
        {"text_column": "french"},
        r"has no column 'french'; its columns are doc, text",
    ),
    "not text": ({"text_column": "doc"}, r"column 'doc' is int64: needs text"),
    "no id column": ({"id_column": "key"}, r"has no column 'key'.*--id-column"),
    "a name of the output": (
        {"rename": {"doc": "score"}},
        r"column 'score' has a name.*--rename score=",
    ),
    "a name of the output in capitals": (
        {"rename": {"doc": "Score"}},
        r"column 'Score' has a name",
    ),
    "a repeated name": ({"rename": {"doc": "text"}}, r"column 'text' occurs twice"),
}


@pytest.mark.parametrize("case", REFUSED_SETTINGS)
def test_columns_that_do_not_fit_are_refused_before_any_work(
    filled_lake: Path,
    bundle: Path,
    case: str,
    table: Path,
    translate_here: Callable[..., RunManifest | None],
) -> None:
    changed, message = REFUSED_SETTINGS[case]

    with pytest.raises(InputError, match=message):
        translate_here(filled_lake, bundle, table, CONFIG.model_copy(update=changed))

    assert not (table).exists()


REFUSED_FILES: dict[str, tuple[dict[str, str], TranslateConfig, str]] = {
    "a float as id": (
        {"a.jsonl": '{"id": 1, "text": "x"}\n{"id": 2.0, "text": "y"}\n'},
        BY_ID,
        r"id column 'id' is double, which has no exact text: needs text, whole numbers, .*; cast",
    ),
    "a number that no column holds": (
        {"a.jsonl": '{"n": 1, "text": "x"}\n{"n": 9223372036854775808, "text": "y"}\n'},
        CONFIG,
        r"a\.jsonl: a key has values of different types, or a value that is too large",
    ),
    "names that differ in case, in two files": (
        {"a.csv": "text,Title\nx,y\n", "b.csv": "text,title\nx,y\n"},
        CONFIG,
        r"b\.csv: column 'title' is 'Title' in a\.csv",
    ),
}


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_values_that_the_output_cannot_hold_are_refused_before_any_work(
    lake: Path, table: Path, night: Callable[..., RunManifest | None], case: str
) -> None:
    files, config, message = REFUSED_FILES[case]
    for name, content in files.items():
        (lake / name).write_text(content)

    with pytest.raises(InputError, match=message):
        night(config)

    assert not table.exists()


def test_input_columns_may_have_the_names_of_lineage_columns(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    names = ("corpus", "model", "dataset_fingerprint", "_number")
    pq.write_table(
        pa.table({"text": ["A dog."], **{name: [name] for name in names}}), lake / "a.parquet"
    )
    night()

    connection = connect(table, None)
    lineage = run_query(connection, "SELECT model, corpus FROM lineage")
    compared = run_query(connection, "SELECT same_translation FROM compare('1', '1')")

    assert lineage is not None and compared is not None
    ((model, corpus),) = lineage.fetchall()
    assert (model, corpus) != ("model", "corpus")
    assert compared.fetchall() == [(True,)]
    assert latest(table, "corpus") == ["corpus"]


def test_malformed_rows_need_no_unique_ids(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    """An unquoted line break leaves halves of rows, which are often equal."""
    (lake / "a.csv").write_text("id,lang,text\n1,en,A dog.\nRegards,en\n2,en,A cat.\nRegards,en\n")

    manifest = night(BY_ID)

    assert manifest is not None
    assert manifest.quarantined == {"malformed": 2}
    assert latest(table, "row_id") == ["1", "2"]


def test_an_id_column_that_is_not_utf8_is_refused(
    lake: Path, night: Callable[..., RunManifest | None]
) -> None:
    raw = pa.array([b"a", b"\xff"])
    ids = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"id": ids, "text": ["x", "y"]}), lake / "a.parquet")

    with pytest.raises(InputError, match=r"a\.parquet: damaged \(.*utf-8"):
        night(BY_ID)


def test_a_file_without_rows_needs_no_columns(
    lake: Path,
    table: Path,
    night: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    (lake / "a.jsonl").write_text("")
    (lake / "b.jsonl").write_text('{"text": "A dog."}\n')
    night()
    assert latest(table) == ["A dog."]
    (lake / "b.jsonl").unlink()
    assert night() is None
