"""Columns of the input: left out, kept, renamed, of types that drift, and as text or id."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.settings import parse_settings
from pipeline.table.manifest import RunManifest
from pipeline.translate.config import TranslateConfig

CONFIG = TranslateConfig()
BY_ID = TranslateConfig(id_column="id")
Night = Callable[..., RunManifest | None]
Latest = Callable[..., list[Any]]


def write_jsonl(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def n_input(manifest: RunManifest | None) -> int:
    """Rows that the run read; 0 if nothing was new."""
    return 0 if manifest is None else manifest.rows.n_input


@pytest.mark.parametrize(
    "metas",
    [
        ({"a": 1}, {"a": 1, "b": 2}, {}, {"c": {"d": [1]}}),
        ({}, {}, {"a": {}}, {"a": {"b": "x"}}),
        ([], [{}], [{"a": 1}], None),
    ],
)
def test_objects_may_get_other_keys_every_night(
    lake: Path, table: Path, night: Night, latest: Latest, metas: tuple[Any, ...]
) -> None:
    for number, meta in enumerate(metas):
        write_jsonl(lake / f"{number}.jsonl", {"text": f"Dog {number}.", "meta": meta})
        assert n_input(night(CONFIG)) == 1

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: stripped(v) for k, v in value.items() if stripped(v) is not None} or None
        return [stripped(item) for item in value] if isinstance(value, list) else value

    rows = latest(table, "text, meta")
    assert [stripped(meta) for _, meta in rows] == [stripped(meta) for meta in metas]


def test_a_column_that_drifts_is_refused_until_it_is_dropped(
    lake: Path, table: Path, night: Night, latest: Latest
) -> None:
    write_jsonl(lake / "a.jsonl", {"text": "A dog.", "price": "3"})
    night(CONFIG)
    write_jsonl(lake / "b.jsonl", {"text": "A cat.", "price": 3.5})

    with pytest.raises(InputError, match=r"b\.jsonl: column 'price' is double.*--drop price$"):
        night(CONFIG)
    dropped = CONFIG.model_copy(update={"drop_columns": ("price",)})
    assert n_input(night(dropped)) == 2  # the first file had the column

    assert latest(table, "text, price") == [("A cat.", None), ("A dog.", None)]
    assert night(dropped) is None


def test_only_the_given_columns_are_kept(
    lake: Path, table: Path, night: Night, latest: Latest
) -> None:
    (lake / "a.csv").write_text("id,text,url,note\n1,A dog.,u,n\n")
    config = TranslateConfig(id_column="id", keep_columns=("url",))
    night(config)

    assert latest(table, "id, text, url") == [("1", "A dog.", "u")]
    with pytest.raises(InputError, match='"note" not found'):
        latest(table, "note")
    (lake / "b.csv").write_text("id,text,extra\n2,A cat.,x\n")
    assert n_input(night(config)) == 1
    with pytest.raises(InputError, match=r"has no column|no file has a column"):
        night(TranslateConfig(id_column="id", keep_columns=("ulr",)))
    # The first file has no column `extra`, so it is not done again.
    assert n_input(night(config.model_copy(update={"keep_columns": ("url", "extra")}))) == 1
    assert latest(table, "id, extra") == [("1", None), ("2", "x")]


@pytest.mark.parametrize("name", ["text", "id"])
def test_the_text_and_id_column_cannot_be_dropped(name: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}' is the {name}_column, which cannot be drop"):
        parse_settings(
            TranslateConfig, {"drop_columns": [name], "id_column": "id"}, where="options"
        )


def test_a_new_name_translates_only_the_files_with_the_column(
    lake: Path, table: Path, night: Night, latest: Latest
) -> None:
    (lake / "a.csv").write_text("id,text\n1,Two dogs play.\n")
    (lake / "b.csv").write_text("id,text,note\n2,A cat.,n\n")
    night(CONFIG)
    (lake / "c.csv").write_text("id,text,score\n3,The dog plays.,0.5\n")
    with pytest.raises(InputError, match="--rename score=source_score, or --drop score"):
        night(CONFIG)

    renamed = CONFIG.model_copy(update={"rename": {"score": "source_score"}})
    assert n_input(night(renamed)) == 1
    assert latest(table, "id, source_score") == [("1", None), ("2", None), ("3", "0.5")]
    both = CONFIG.model_copy(update={"rename": {"score": "source_score", "note": "remark"}})
    assert n_input(night(both)) == 1
    assert latest(table, "id, remark") == [("1", None), ("2", "n"), ("3", None)]
    assert night(both) is None
    more_rows = both.model_copy(update={"rows_per_unit": 7, "max_source_characters": 100})
    assert night(more_rows) is None


def test_a_limit_of_characters_translates_only_files_with_such_rows(
    lake: Path, table: Path, night: Night, latest: Latest
) -> None:
    (lake / "a.txt").write_text("A dog.\n")
    (lake / "b.txt").write_text("A dog plays with a very old cat.\nA cat.\n")
    short = CONFIG.model_copy(update={"max_source_characters": 20})
    night(short)
    assert latest(table) == ["A cat.", "A dog."]

    assert n_input(night(CONFIG)) == 2
    assert len(latest(table)) == 3
    assert n_input(night(short)) == 2
    assert latest(table) == ["A cat.", "A dog."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rename": {"texte": "body"}},
            r"rename: no file has a column 'texte'; did you mean 'text'\? the columns are id, text",
        ),
        ({"rename": {"zzz": "body"}}, r"no file has a column 'zzz'; the columns are id, text$"),
        ({"drop_columns": ("ids",)}, r"drop_columns: no file has a column 'ids'; .*'id'"),
        ({"keep_columns": ("txt",)}, r"keep_columns: no file has a column 'txt'; .*'text'"),
    ],
)
def test_a_column_that_no_file_has_is_refused_with_similar_names(
    lake: Path, night: Night, change: dict[str, Any], message: str
) -> None:
    (lake / "a.csv").write_text("id,text\n1,A dog.\n")
    config = CONFIG.model_copy(update=change)
    with pytest.raises(InputError, match=message):
        night(config)
    night(CONFIG)
    with pytest.raises(InputError, match=message):  # no file is opened
        night(config)


@pytest.mark.parametrize(
    "column_type",
    [
        *(pa.string_view(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary_view()),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int32(), pa.binary()),
    ],
)
def test_text_of_any_type_is_translated(
    lake: Path, table: Path, night: Night, latest: Latest, column_type: pa.DataType
) -> None:
    texts: list[Any] = ["A dog.", None, "Änne.", "A dog."]
    if "binary" in str(column_type):
        texts = [text and text.encode() for text in texts]
    values: Any = column_type
    if pa.types.is_dictionary(column_type):
        array = pa.array(texts, column_type.value_type).dictionary_encode()
    else:
        array = pa.array(texts, values)
    pq.write_table(pa.table({"text": array}), lake / "a.parquet")
    (lake / "b.txt").write_text("A cat.\n")

    manifest = night(CONFIG)

    assert manifest is not None and manifest.rows.n_quarantined == 0
    assert latest(table) == ["A cat.", "A dog.", "A dog.", "Änne.", None]


def test_binary_that_is_not_utf8_is_quarantined(lake: Path, night: Night) -> None:
    pq.write_table(pa.table({"text": [b"A dog.", b"caf\xe9", b"A cat."]}), lake / "a.parquet")
    manifest = night(CONFIG)
    assert manifest is not None and manifest.quarantined == {"undecodable": 1}


UUID = uuid.UUID(int=5)
DAY = datetime.date(2026, 11, 25)
MOMENT = datetime.datetime(2026, 11, 25, 10, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("column_type", "value", "text"),
    [
        (pa.binary(), b"\xff\x01", "ff01"),
        (pa.binary(2), b"\x00a", "0061"),
        (pa.uuid(), UUID.bytes, str(UUID)),
        (pa.date32(), DAY, "2026-11-25"),
        (pa.timestamp("us", "UTC"), MOMENT, "2026-11-25 10:00:00+00:00"),
        (pa.decimal128(20, 0), decimal.Decimal(7), "7"),
        (pa.decimal128(5, 2), decimal.Decimal("7.10"), "7.10"),
        (pa.uint64(), 2**64 - 1, "18446744073709551615"),
        (pa.string_view(), "x", "x"),
    ],
)
def test_an_id_has_an_exact_text(
    lake: Path,
    table: Path,
    night: Night,
    latest: Latest,
    column_type: pa.DataType,
    value: Any,
    text: str,
) -> None:
    rows = pa.table({"id": pa.array([value], column_type), "text": ["A dog."]})
    pq.write_table(rows, lake / "a.parquet")
    night(BY_ID)
    assert latest(table, "row_id") == [text]


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        *((pa.bool_(), True), (pa.float64(), 1.0), (pa.timestamp("ns"), 1)),
        *((pa.time32("s"), 1), (pa.duration("s"), 1), (pa.list_(pa.int8()), [1])),
    ],
)
def test_an_id_without_an_exact_text_is_refused(
    lake: Path, night: Night, column_type: pa.DataType, value: Any
) -> None:
    rows = pa.table({"id": pa.array([value], column_type), "text": ["A dog."]})
    pq.write_table(rows, lake / "a.parquet")
    with pytest.raises(InputError, match=r"id column 'id' is .*no exact text: needs text, whole"):
        night(BY_ID)


def test_an_id_that_would_have_two_texts_is_refused(lake: Path, night: Night) -> None:
    for name, column_type in (("a", pa.decimal128(5, 2)), ("b", pa.decimal128(5, 1))):
        ids = pa.array([decimal.Decimal("7.5")], column_type)
        pq.write_table(pa.table({"id": ids, "text": ["A dog."]}), lake / f"{name}.parquet")
    with pytest.raises(InputError, match=r"the same id would have two texts; cast one"):
        night(BY_ID)


def test_an_empty_id_is_no_id(lake: Path, night: Night) -> None:
    (lake / "a.csv").write_text("id,text\n1,A dog.\n,A cat.\n")
    with pytest.raises(InputError, match=r"a\.csv: row 2 has no value in the id column 'id'"):
        night(BY_ID)


@pytest.mark.parametrize("values", [(1, "x"), (1, {"a": 2}), ([1], {}), (2**70, 0.5)])
def test_a_key_with_values_of_different_types_can_be_dropped(
    lake: Path, table: Path, night: Night, latest: Latest, values: tuple[Any, Any]
) -> None:
    rows = [{"text": f"Dog {n}.", "note": value} for n, value in enumerate(values)]
    write_jsonl(lake / "a.jsonl", *rows)
    with pytest.raises(InputError, match=r"a\.jsonl: .*'?note|a\.jsonl: a key has values"):
        night(CONFIG)

    for config in ({"drop_columns": ("note",)}, {"keep_columns": ()}):
        night(CONFIG.model_copy(update=config))
        assert latest(table) == ["Dog 0.", "Dog 1."]
    assert night(CONFIG.model_copy(update={"keep_columns": ()})) is None


def test_a_conflict_names_a_key_that_is_not_dropped(lake: Path, night: Night) -> None:
    rows = [{"text": "A dog.", "a": 1, "b": 1}, {"text": "A cat.", "a": "x", "b": "x"}]
    write_jsonl(lake / "a.jsonl", *rows)
    dropped = CONFIG.model_copy(update={"drop_columns": ("a",)})
    with pytest.raises(InputError, match=r"key 'b' is .* in line 1 and .* in line 2.*--drop"):
        night(dropped)


def test_a_column_of_a_file_without_rows_may_be_renamed(lake: Path, night: Night) -> None:
    (lake / "a.csv").write_text("text\nA dog.\n")
    (lake / "b.csv").write_text("text,score\n")
    assert n_input(night(CONFIG.model_copy(update={"rename": {"score": "points"}}))) == 1
