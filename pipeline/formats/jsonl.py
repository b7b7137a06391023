"""Rows of a JSONL file."""

from __future__ import annotations

import json

from pipeline.formats.encoding import repaired_text
from pipeline.formats.rows import MALFORMED, UNDECODABLE, Row


def json_row(line: str) -> Row:
    try:
        values, problem = json.loads(line), None
        # A surrogate anywhere in the values is an escaped byte of the line, or spelled out in it.
        if "\\u" in line or repaired_text(line) is not None:
            repaired = repaired_text(json.dumps(values, ensure_ascii=False))
            if repaired is not None:
                values, problem = json.loads(repaired), UNDECODABLE
    except (ValueError, RecursionError):
        return Row({}, MALFORMED)
    return Row(values, problem) if isinstance(values, dict) else Row({}, MALFORMED)
