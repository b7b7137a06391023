"""The columns that a translated row adds to the input's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.documents.document_translator import TranslatedText
from pipeline.documents.quality_signals import copy_rate, length_ratio, repetition, words
from pipeline.documents.segmentation import without_symbols
from pipeline.schemas import PASSED_THROUGH, REUSED, TRANSLATED


def explain(source: str, found: TranslatedText) -> Mapping[str, Any]:
    """What a row says of its translation; of one that passed through, little."""
    whole = found.whole
    if whole is None:
        return _PASSED
    read = words(without_symbols(" ".join(found.model_input)))
    written = words(without_symbols(whole.text))
    n_pieces = whole.n_source_tokens - len(found.decoded)  # without the ends of sentences
    return {
        "status": REUSED if whole.recalled else TRANSLATED,
        "score": whole.score,
        "n_source_tokens": whole.n_source_tokens,
        "n_target_tokens": whole.n_target_tokens,
        "n_segments": len(found.decoded),
        "length_ratio": length_ratio(source, found.text),
        "repetition": repetition(written),
        "copy_rate": copy_rate(read, written),
        "unknown_rate": whole.n_unknown_tokens / max(1, n_pieces),
        "placeholders_ok": found.placeholders_ok,
        "truncated": whole.truncated,
    }


_PASSED: Mapping[str, Any] = {
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
}

_EXPLAINED = tuple(_PASSED)


def _beside(table: pa.Table, columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """The input's columns, then ours."""
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(
        [*table.columns, *arrays], schema=pa.schema([*table.schema, *schema])
    )
