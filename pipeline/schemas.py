"""The schema of every Parquet table, in one place."""

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
"""Aligned sentences. Columns that the input had besides follow these four."""


REJECTED = pa.schema(
    [
        pa.field("origin", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
    ]
)
"""Pairs that cleaning refused; bytes that are not UTF-8 stand as U+FFFD."""


ENCODED = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("source_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("target_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("n_source_tokens", pa.int32(), nullable=False),
        pa.field("n_target_tokens", pa.int32(), nullable=False),
    ]
)
"""Subword ids, each row ending with eos; token counts include it."""


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
    ]
)
"""What a translation table adds after the input's own columns."""


QUARANTINE_COLUMNS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
    ]
)
"""What the quarantine adds after the input's own columns."""


TOMBSTONES = pa.schema([pa.field("row_id", pa.string(), nullable=False)])
"""Rows whose versions of earlier runs count no more: the newest version of their file has them not,
or this run put them into quarantine."""


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
"""Segments as the model read them, and what it made of them."""


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
        pa.field("tier", pa.string()),
        pa.field("beam_size", pa.int32()),
    ]
)
"""One row for each metric of an evaluation."""


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
"""The sentences of an evaluation: the model's score (nats per token) and chrF (0 to 100)."""


TRANSLATED, REUSED, PASSED_THROUGH = "translated", "reused", "passed_through"
TOO_LONG, FAILED = "too_long", "failed"
