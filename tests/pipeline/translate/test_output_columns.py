"""The columns that the output adds, computed by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.documents.document_translator import TranslatedText
from pipeline.documents.translation_memory import Decoded
from pipeline.schemas import FAILED, QUARANTINE_COLUMNS, TOO_LONG, TRANSLATION_COLUMNS
from pipeline.translate.output_columns import (
    quality_columns,
    quarantine_table,
    source_hash,
    translation_table,
)
from pipeline.translate.row_outcome import RowOutcome

PLAN: Any = SimpleNamespace(source_lang="en", target_lang="es", model_id="m")
# Two segments of 4 and 3 source tokens, 2 and 4 target tokens; each count includes one end token.
SEGMENTS = (
    Decoded("Un gato.", -0.5, 4, 2, n_unknown_tokens=1, truncated=False),
    Decoded("Dos perros.", -0.2, 3, 4, n_unknown_tokens=0, truncated=True),
)
TRANSLATED = TranslatedText(
    "Un gato. Dos perros.", ("A gato.", "Two dogs."), SEGMENTS, placeholders_ok=True
)


def test_quality_columns_of_a_translated_row() -> None:
    columns = quality_columns("A gato. Two dogs.", TRANSLATED)
    assert columns["status"] == "translated"
    assert columns["score"] == pytest.approx((-0.5 * 2 - 0.2 * 4) / 6)
    assert (columns["n_source_tokens"], columns["n_target_tokens"]) == (7, 6)
    assert columns["n_segments"] == 2
    assert columns["length_ratio"] == pytest.approx(20 / 17)  # characters
    assert columns["repetition"] == 0.0
    assert columns["copy_rate"] == 1 / 4  # "gato" of un, gato, dos, perros
    assert columns["unknown_rate"] == 1 / 5  # 7 source tokens without two end tokens
    assert columns["placeholders_ok"] is True
    assert columns["truncated"] is True
    assert columns["numbers_ok"] is None


def test_numbers_ok_compares_the_whole_texts() -> None:
    decoded = (Decoded("Hay 1.000,5.", -0.5, 4, 2, n_unknown_tokens=0, truncated=False),)
    model_inputs = ("There are 1,000.50.",)
    kept = TranslatedText("5. Hay 1.000,5.", model_inputs, decoded)
    assert quality_columns("5. There are 1,000.50.", kept)["numbers_ok"] is True
    lost = TranslatedText("Hay 1.000,5.", model_inputs, decoded)
    assert quality_columns("5. There are 1,000.50.", lost)["numbers_ok"] is False


@pytest.mark.parametrize(
    ("recalled", "status"), [((True, True), "reused"), ((True, False), "translated")]
)
def test_a_row_is_reused_if_all_its_segments_are(recalled: tuple[bool, ...], status: str) -> None:
    decoded = tuple(Decoded("x", -1.0, 2, 2, 0, False, recalled=value) for value in recalled)
    assert quality_columns("x", TranslatedText("x", ("x", "x"), decoded))["status"] == status


def test_a_row_without_segments_passes_through() -> None:
    columns = quality_columns("42", TranslatedText("42"))
    assert (columns["status"], columns["n_segments"]) == ("passed_through", 0)
    assert (columns["score"], columns["length_ratio"]) == (None, None)
    assert columns["truncated"] is False
    assert columns["numbers_ok"] is None


def test_the_output_columns_follow_the_input_columns() -> None:
    table = pa.table({"text": ["A gato. Two dogs.", "42", None], "n": [1, 2, 3]})
    rows = [
        RowOutcome("id 1", "A gato. Two dogs.", translated=TRANSLATED),
        RowOutcome("id 2", "42", translated=TranslatedText("42")),
        RowOutcome("id 3", None, translated=TranslatedText("")),
    ]
    output = translation_table(table, rows, PLAN)
    assert output.schema.names == ["text", "n", *TRANSLATION_COLUMNS.names]
    assert output["translation"].to_pylist() == ["Un gato. Dos perros.", "42", None]
    assert output["row_id"].to_pylist() == ["id 1", "id 2", "id 3"]
    assert output["source_hash"].to_pylist() == [
        source_hash("A gato. Two dogs."),
        source_hash("42"),
        None,
    ]
    assert set(output["model_id"].to_pylist()) == {"m"}


def test_the_quarantine_has_reasons_and_details() -> None:
    table = pa.table({"text": ["x", "y"]})
    rows = [RowOutcome("1", "x", TOO_LONG), RowOutcome("2", "y", FAILED, "no memory")]
    output = quarantine_table(table, rows, [("a.csv", 2), ("b.csv", 7)])
    assert output.schema.names == ["text", *QUARANTINE_COLUMNS.names]
    places = [tuple(row.values())[-2:] for row in output.to_pylist()]
    assert output.drop_columns(["input_file", "input_row"]).to_pylist() == [
        {"text": "x", "row_id": "1", "reason": "too_long", "detail": None},
        {"text": "y", "row_id": "2", "reason": "failed", "detail": "no memory"},
    ]
    assert places == [("a.csv", 2), ("b.csv", 7)]


@pytest.mark.parametrize("name", ["input_file", "input_row", "Input_File"])
def test_the_place_is_in_the_detail_if_the_input_has_a_column_of_its_name(name: str) -> None:
    table = pa.table({"text": ["x", "y"], name: ["own", "own"]})
    rows = [RowOutcome("1", "x", TOO_LONG), RowOutcome("2", "y", FAILED, "no memory")]
    output = quarantine_table(table, rows, [("a.csv", 2), ("b.csv", 7)])
    assert output.schema.names == ["text", name, "row_id", "reason", "detail"]
    assert output["detail"].to_pylist() == ["a.csv, row 2: too_long", "b.csv, row 7: no memory"]
    assert output[name].to_pylist() == ["own", "own"]
