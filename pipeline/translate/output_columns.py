"""The columns that the output adds after the input's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.documents.document_translator import TranslatedText
from pipeline.documents.quality_signals import (
    copy_rate,
    length_ratio,
    numbers_ok,
    repetition,
    words,
)
from pipeline.documents.segmentation import without_symbols
from pipeline.schemas import (
    PASSED_THROUGH,
    PLACE_COLUMNS,
    QUARANTINE_COLUMNS,
    REUSED,
    TRANSLATED,
    TRANSLATION_COLUMNS,
)
from pipeline.storage.hashing import hex_digest
from pipeline.table.manifest import RunPlan
from pipeline.translate.row_outcome import Place, RowOutcome

_PASSED_THROUGH_COLUMNS: Mapping[str, Any] = {
    "status": PASSED_THROUGH,
    "score": None,
    "n_source_tokens": None,
    "n_target_tokens": None,
    "n_segments": 0,
    "length_ratio": None,
    "repetition": None,
    "copy_rate": None,
    "unknown_rate": None,
    "placeholders_ok": None,
    "truncated": False,
    "numbers_ok": None,
}


def translation_table(table: pa.Table, rows: Sequence[RowOutcome], plan: RunPlan) -> pa.Table:
    """``table`` with TRANSLATION_COLUMNS after its own. ``rows`` are translated, in its order."""
    translations = [row.translated for row in rows if row.translated is not None]
    texts = [row.text for row in rows]
    signals = [
        quality_columns(text or "", translated)
        for text, translated in zip(texts, translations, strict=True)
    ]
    columns: dict[str, list[Any]] = {
        "translation": [
            None if text is None else translated.text
            for text, translated in zip(texts, translations, strict=True)
        ],
        "row_id": [row.row_id for row in rows],
        "source_hash": [None if text is None else source_hash(text) for text in texts],
        "source_lang": [plan.source_lang] * len(rows),
        "target_lang": [plan.target_lang] * len(rows),
        "model_id": [plan.model_id] * len(rows),
        **{name: [row[name] for row in signals] for name in _PASSED_THROUGH_COLUMNS},
    }
    return _append(table, columns, TRANSLATION_COLUMNS)


def quarantine_table(
    table: pa.Table, rows: Sequence[RowOutcome], places: Sequence[Place]
) -> pa.Table:
    """``table`` with QUARANTINE_COLUMNS after its own.

    If the table has a column of the name of a place column, the places are in ``detail`` instead.

    Args:
        table: the quarantined rows of the input.
        rows: their outcomes, in the same order.
        places: their places in the input, in the same order.
    """
    columns: dict[str, list[Any]] = {
        "row_id": [row.row_id for row in rows],
        "reason": [row.reason for row in rows],
        "detail": [row.detail for row in rows],
        "input_file": [file for file, _ in places],
        "input_row": [number for _, number in places],
    }
    own_names = {name.casefold() for name in table.column_names}
    if own_names.isdisjoint(PLACE_COLUMNS):
        return _append(table, columns, QUARANTINE_COLUMNS)
    columns["detail"] = [
        f"{file}, row {number}: {row.detail or row.reason}"
        for row, (file, number) in zip(rows, places, strict=True)
    ]
    schema = [field for field in QUARANTINE_COLUMNS if field.name not in PLACE_COLUMNS]
    return _append(table, columns, pa.schema(schema))


def quality_columns(source: str, translated: TranslatedText) -> Mapping[str, Any]:
    """Status, score, token counts and quality signals of a row.

    A row that passed through has its status and nulls.
    """
    whole = translated.whole
    if whole is None:
        return _PASSED_THROUGH_COLUMNS
    source_words = words(without_symbols(" ".join(translated.model_inputs)))
    target_words = words(without_symbols(whole.text))
    n_segments = len(translated.decoded)
    n_source_pieces = whole.n_source_tokens - n_segments  # without the ends of the segments
    return {
        "status": REUSED if whole.recalled else TRANSLATED,
        "score": whole.score,
        "n_source_tokens": whole.n_source_tokens,
        "n_target_tokens": whole.n_target_tokens,
        "n_segments": n_segments,
        "length_ratio": length_ratio(source, translated.text),
        "repetition": repetition(target_words),
        "copy_rate": copy_rate(source_words, target_words),
        "unknown_rate": whole.n_unknown_tokens / max(1, n_source_pieces),
        "placeholders_ok": translated.placeholders_ok,
        "truncated": whole.truncated,
        "numbers_ok": numbers_ok(source, translated.text),
    }


def source_hash(text: str) -> str:
    """Hash of a source text, the same in every run."""
    return hex_digest(text)


def _append(table: pa.Table, columns: Mapping[str, list[Any]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(
        [*table.columns, *arrays], schema=pa.schema([*table.schema, *schema])
    )
