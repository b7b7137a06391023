"""The schema of every Parquet table, and the words of the columns ``status`` and ``reason``."""

from __future__ import annotations

import pyarrow as pa

PAIRS = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
    ]
)
"""Sentence pairs. The other columns of the input follow these four."""


REJECTED = pa.schema(
    [
        pa.field("origin", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("text", pa.string()),
    ]
)
"""Pairs that ``prepare`` rejected. Bytes that are not UTF-8 are replaced by U+FFFD. ``detail`` says
why a row cannot be read, ``line`` is its first line in the file, and ``text`` is the beginning of
its text if it is malformed."""


ENCODED = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("source_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("target_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("n_source_tokens", pa.int32(), nullable=False),
        pa.field("n_target_tokens", pa.int32(), nullable=False),
    ]
)
"""Subword ids of a pair. Each list ends with eos, and the token counts include it."""


TRANSLATION_COLUMNS = pa.schema(
    [
        pa.field("translation", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("n_source_tokens", pa.int32()),
        pa.field("n_target_tokens", pa.int32()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source_hash", pa.string()),
        pa.field("source_lang", pa.string(), nullable=False),
        pa.field("target_lang", pa.string(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("n_segments", pa.int32(), nullable=False),
        pa.field("length_ratio", pa.float64()),
        pa.field("repetition", pa.float64()),
        pa.field("copy_rate", pa.float64()),
        pa.field("unknown_rate", pa.float64()),
        pa.field("placeholders_ok", pa.bool_()),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("numbers_ok", pa.bool_()),
    ]
)
"""The columns of a translation table that follow the input's own columns."""


QUARANTINE_COLUMNS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("input_file", pa.string()),
        pa.field("input_row", pa.int64()),
    ]
)
"""The columns of the quarantine that follow the input's own columns. ``input_file`` is relative to
the input. ``input_row`` is the line where the row begins, or its number in a Parquet file, counted
from 1."""

PLACE_COLUMNS = ("input_file", "input_row")
"""The columns of the quarantine that it leaves out if the input has columns of these names. Then
``detail`` begins with the place."""


TOMBSTONES = pa.schema([pa.field("row_id", pa.string(), nullable=False)])
"""Rows whose versions of earlier runs are void. Such a row is neither in the newest version of its
file nor in another file, or this run put it into quarantine."""


MEMORY = pa.schema(
    [
        pa.field("segment_hash", pa.binary(16), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("n_source_tokens", pa.int32(), nullable=False),
        pa.field("n_target_tokens", pa.int32(), nullable=False),
        pa.field("n_unknown_tokens", pa.int32(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
    ]
)
"""Segments as the model reads them, with their translations."""


SCORES = pa.schema(
    [
        pa.field("evaluation_id", pa.string(), nullable=False),
        pa.field("evaluated_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("dataset_fingerprint", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("source_lang", pa.string(), nullable=False),
        pa.field("target_lang", pa.string(), nullable=False),
        pa.field("n_sentences", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("signature", pa.string(), nullable=False),
        pa.field("precision", pa.string()),
        pa.field("beam_size", pa.int32()),
    ]
)
"""The scores of evaluations, one row for each metric."""


SEGMENTS = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
        pa.field("translation", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("chrf", pa.float64(), nullable=False),
    ]
)
"""The sentences of an evaluation, with the model's score (nats per token) and chrF (0 to 100)."""


# The column ``status`` of a translation table.

TRANSLATED = "translated"
"""The model decoded at least one segment of the row in this run."""

REUSED = "reused"
"""Earlier runs had translated every segment of the row."""

PASSED_THROUGH = "passed_through"
"""The text has no letter to translate, so it is copied."""

# The column ``reason`` of the quarantine, beside the problems of rows in
# ``pipeline/formats/rows.py``. Rows with these two reasons can be retried.

TOO_LONG = "too_long"
"""The text has more than ``max_source_characters`` characters."""

FAILED = "failed"
"""The model failed on a segment of the row."""
