"""Rows of JSONL files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

from pipeline.formats.encoding import iter_lines, repaired_text
from pipeline.formats.rows import MALFORMED, UNDECODABLE, Row


def jsonl_rows(stream: io.BufferedReader) -> Iterator[Row]:
    """One row for each line with a JSON object. Blank lines are skipped.

    A line that is not a JSON object is malformed.
    """
    return (_json_row(line) for line in iter_lines(stream) if line.strip())


def _json_row(line: str) -> Row:
    try:
        values, problem = json.loads(line), None
        # Keys and nested values may hold surrogates: bytes of the line that are not UTF-8, or
        # escapes such as \ud800. They are repaired in the text of the values, all at once.
        if "\\u" in line or repaired_text(line) is not None:
            repaired = repaired_text(json.dumps(values, ensure_ascii=False))
            if repaired is not None:
                values, problem = json.loads(repaired), UNDECODABLE
    except (ValueError, RecursionError):
        return Row({}, MALFORMED)
    return Row(values, problem) if isinstance(values, dict) else Row({}, MALFORMED)
