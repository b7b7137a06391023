"""Which columns hold the texts, and which others a dataset keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.input_checks import check_inputs, extra_schema
from pipeline.prepare.pairs import RawPair, iter_pairs


def corpus(item: dict[str, Any], **langs: str) -> CorpusDescription:
    """A corpus of one input."""
    return CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": [item]} | langs
    )


def read_pairs(description: CorpusDescription) -> list[RawPair]:
    """The pairs of the first input, after the checks that ``prepare`` makes."""
    extra_schema(description, check_inputs(description))
    item = description.inputs[0]
    return [pair for part in item.parts for pair in iter_pairs(item, part)]


def texts(description: CorpusDescription) -> list[tuple[str | None, str | None]]:
    return [(pair.source, pair.target) for pair in read_pairs(description)]


def write_rows(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    """Write rows as Parquet, JSON, TSV or CSV, told by the name."""
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        delimiter = "," if path.suffix == ".csv" else "\t"
        cells = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
        lines = [delimiter.join(line) for line in cells]
        path.write_text("".join(f"{line}\n" for line in lines))
    return path


NESTED = [
    {"id": 1, "translation": {"en": "one", "es": "uno", "fr": "un"}},
    {"id": 2, "translation": {"en": "two", "es": None, "fr": "deux"}},
    {"id": 3, "translation": None},
]


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl"])
@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"source_column": "translation.en", "target_column": "translation.es"},
        {"source_column": "en", "target_column": "es"},
    ],
)
def test_texts_in_a_struct_are_read(tmp_path: Path, name: str, columns: dict[str, str]) -> None:
    path = write_rows(tmp_path, name, NESTED)
    description = corpus({"path": path} | columns)
    assert texts(description) == [("one", "uno"), ("two", None), (None, None)]
    kept = [{"id": 1}, {"id": 2}, {"id": 3}] if name == "x.parquet" else [{}] * 3
    assert [pair.extra for pair in read_pairs(description)] == kept  # the texts are not repeated


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl"])
def test_a_name_with_a_dot_is_a_column_before_it_is_a_path(tmp_path: Path, name: str) -> None:
    rows = [{"a.en": "plain", "a": {"en": "inner", "b": {"es": "deep"}}}]
    item = {"path": write_rows(tmp_path, name, rows), "source_column": "a.en"}
    assert texts(corpus(item | {"target_column": "a.b.es"})) == [("plain", "deep")]


def test_a_map_of_parquet_is_read_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    values = [[("en", "one"), ("es", "uno")], [("en", "two")], None]
    column = pa.array(values, pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"texts": column}), path)
    item = {"path": path, "source_column": "texts.en", "target_column": "texts.es"}
    assert texts(corpus(item)) == [("one", "uno"), ("two", None), (None, None)]


@pytest.mark.parametrize("name", ["x.parquet", "x.jsonl", "x.tsv", "x.csv"])
@pytest.mark.parametrize(
    ("columns", "langs"),
    [
        (("en", "es"), {}),
        (("EN", "es"), {}),
        (("eng", "spa"), {}),
        (("en", "es"), {"source_lang": "en-GB"}),
        (("en_gb", "es"), {"source_lang": "en-GB"}),
        (("source", "target"), {}),
    ],
)
def test_columns_are_found_by_the_languages(
    tmp_path: Path, name: str, columns: tuple[str, str], langs: dict[str, str]
) -> None:
    rows = [{"n": "7", columns[0]: "one", columns[1]: "uno", "fr": "un"}]
    assert texts(corpus({"path": write_rows(tmp_path, name, rows)}, **langs)) == [("one", "uno")]


def test_the_columns_source_and_target_are_taken_before_those_of_the_languages(
    tmp_path: Path,
) -> None:
    rows = [{"en": "x", "es": "y", "source": "one", "target": "uno"}]
    assert texts(corpus({"path": write_rows(tmp_path, "x.tsv", rows)})) == [("one", "uno")]


@pytest.mark.parametrize("columns", [("en", "fr"), ("en-US", "en-GB"), ("text", "label")])
def test_columns_that_are_not_those_of_the_languages_are_not_guessed(
    tmp_path: Path, columns: tuple[str, str]
) -> None:
    path = write_rows(tmp_path, "x.tsv", [dict.fromkeys(columns, "one")])
    with pytest.raises(InputError, match=f"has no column 'source'; its columns are {columns[0]}, "):
        texts(corpus({"path": path}))


def test_a_missing_field_of_a_struct_is_named(tmp_path: Path) -> None:
    item = {"source_column": "translation.en", "target_column": "translation.de"}
    path = write_rows(tmp_path, "x.parquet", NESTED)
    with pytest.raises(InputError) as error:
        texts(corpus({"path": path} | item))
    assert str(error.value) == (
        f"{path}: has no column 'translation.de'; its columns are id, translation.en, "
        "translation.es, translation.fr; set source_column and target_column"
    )
    path = write_rows(tmp_path, "x.jsonl", NESTED)
    with pytest.raises(InputError, match=r"no row has 'translation\.de'; .* 'translation\.fr'"):
        texts(corpus({"path": path} | item))


ROWS = [{"source": "one", "target": "uno", "year": 2026, "by": "web"}]


@pytest.mark.parametrize(
    ("settings", "extra"),
    [
        ({}, {"year": 2026, "by": "web"}),
        ({"keep_columns": []}, {}),
        ({"keep_columns": ["by"]}, {"by": "web"}),
        ({"drop_columns": ["by"]}, {"year": 2026}),
        ({"rename": {"by": "licence"}}, {"year": 2026, "licence": "web"}),
        ({"rename": {"by": "year"}, "drop_columns": ["year"]}, {"year": "web"}),
        ({"rename": {"by": "year", "year": "by"}}, {"by": 2026, "year": "web"}),
        ({"rename": {"by": "x"}, "keep_columns": ["by"]}, {"x": "web"}),
    ],
)
def test_other_columns_are_kept_dropped_and_renamed(
    tmp_path: Path, settings: dict[str, Any], extra: dict[str, Any]
) -> None:
    description = corpus({"path": write_rows(tmp_path, "x.parquet", ROWS)} | settings)
    (pair,) = read_pairs(description)
    assert pair.extra == extra
    assert set(extra_schema(description, check_inputs(description)).names) == set(extra)


@pytest.mark.parametrize(
    "settings", [{"keep_columns": ["yaer"]}, {"drop_columns": ["yaer"]}, {"rename": {"yaer": "x"}}]
)
def test_a_column_that_no_table_has_is_refused_by_name(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = write_rows(tmp_path, "x.parquet", ROWS)
    (key,) = settings
    with pytest.raises(InputError) as error:
        read_pairs(corpus({"path": path} | settings))
    assert str(error.value) == (
        f"{path}: {key} names a column 'yaer' that the table does not have; its columns are "
        "source, target, year, by"
    )


def test_two_columns_cannot_have_one_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path, "x.parquet", ROWS)
    with pytest.raises(InputError, match="rename gives the columns 'year' and 'by' one name, 'by'"):
        read_pairs(corpus({"path": path, "rename": {"year": "by"}}))


def test_keys_of_json_are_kept_as_text_if_they_are_named(tmp_path: Path) -> None:
    rows = [
        {"source": "one", "target": "uno", "n": 7, "tags": ["a", "é"], "by": "web"},
        {"source": "two", "target": "dos", "n": None},
    ]
    path = write_rows(tmp_path, "x.jsonl", rows)
    settings = {"keep_columns": ["n", "tags", "by"], "rename": {"n": "number"}}
    description = corpus({"path": path} | settings)
    assert [pair.extra for pair in read_pairs(description)] == [
        {"number": "7", "tags": '["a", "é"]', "by": "web"},
        {"number": None, "tags": None, "by": None},
    ]
    schema = extra_schema(description, check_inputs(description))
    assert schema == pa.schema([(name, pa.string()) for name in ("number", "tags", "by")])
    assert [pair.extra for pair in read_pairs(corpus({"path": path}))] == [{}, {}]


def test_a_parquet_folder_whose_files_do_not_go_together_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    first = write_rows(folder, "1.parquet", ROWS)
    for rows, message in (
        ([{"source": "two", "target": "dos", "year": "old"}], f"but int64 in {first}"),
        ([{"source": "two", "es": "dos"}], "2.parquet: has no column 'target'"),
        ([{"source": "two", "target": 2}], "2.parquet: column 'target' is int64, not text"),
    ):
        second = write_rows(folder, "2.parquet", rows)
        with pytest.raises(InputError, match=message):
            read_pairs(corpus({"path": [first, second]}))
    second = write_rows(folder, "2.parquet", [{"source": "two", "target": "dos", "year": 0.5}])
    with pytest.raises(InputError, match="column 'year' is double but int64"):
        read_pairs(corpus({"path": [first, second]}))
    second = write_rows(folder, "2.parquet", [{"target": "dos", "new": 1, "source": "two"}])
    description = corpus({"path": [first, second]})
    assert texts(description) == [("one", "uno"), ("two", "dos")]
    names = extra_schema(description, check_inputs(description)).names
    assert names == ["year", "by", "new"]
