"""Rows of JSON files: one object on each line, one array of objects, or objects in a row."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lingo_model import InputError
from pipeline.formats.encoding import (
    BAD_BYTES_DETAIL,
    NUL_DETAIL,
    iter_lines,
    malformed_row,
    repaired_text,
    text_stream,
    too_long_row,
    too_long_text,
)
from pipeline.formats.rows import MAX_ROW_CHARACTERS, UNDECODABLE, Row

_CHUNK_CHARACTERS = 1 << 18

_SPACE = re.compile(r"\s*")
_SEPARATOR = re.compile(r"\s*,?\s*")
_NOT_AN_OBJECT = "not a JSON object"


def jsonl_rows(stream: io.BufferedReader, encoding: str | None = None) -> Iterator[Row]:
    """One row for each line with a JSON object. Blank lines are skipped.

    A line that is not a JSON object is malformed.

    Args:
        stream: the uncompressed bytes of the file.
        encoding: the encoding of its text. None is UTF-8.
    """
    for number, line in enumerate(iter_lines(stream, encoding), start=1):
        if not line or line.isspace():
            continue
        try:
            if "\0" in line:  # not an escaped one, which the writer of the file meant
                row = _json_row(json.loads(line.replace("\0", "\ufffd")), line, number)
                row.problem, row.detail = row.problem or UNDECODABLE, row.detail or NUL_DETAIL
                yield row
            else:
                yield _json_row(json.loads(line), line, number)
        except ValueError as error:
            if (start := too_long_text(line)) is not None:
                yield too_long_row(number, start)
            else:
                yield malformed_row(number, line, _json_reason(error))
        except RecursionError:
            yield malformed_row(number, line, "JSON that is nested too deeply")


def json_value_rows(
    path: Path, stream: io.BufferedReader, encoding: str | None = None
) -> Iterator[Row]:
    """One row for each object of an array, or for each of the objects that follow each other.

    Memory grows with the largest object, not with the file. A value that is not an object is
    malformed.

    Args:
        path: the file's name, for error messages.
        stream: the uncompressed bytes of the file.
        encoding: the encoding of its text. None is UTF-8.

    Raises:
        InputError: the JSON is wrong or incomplete, or an object is too large.
    """
    values = _JsonValues(path, text_stream(stream, encoding))
    for value, text, line in values:
        row = _json_row(value, text, line)
        row.n_lines = text.count("\n") + 1
        yield row


class _JsonValues:
    """The values of a JSON array, or JSON values that follow each other, as a stream."""

    def __init__(self, path: Path, text: io.TextIOWrapper) -> None:
        self._path = path
        self._text = text
        self._buffer = ""
        self._position = 0
        self._line = 1
        self._is_at_end = False

    def __iter__(self) -> Iterator[tuple[Any, str, int]]:
        """Each value with its text and the number of its first line."""
        self._read_more()
        self._buffer = self._buffer.removeprefix("\ufeff")
        self._skip(_SPACE)
        is_array = self._buffer.startswith("[", self._position)
        if is_array:
            self._position += 1
        self._skip(_SPACE)
        while self._position < len(self._buffer):
            if is_array and self._buffer[self._position] == "]":
                self._position += 1
                self._skip(_SPACE)
                if self._position < len(self._buffer):
                    raise self._error("there is more text after the end of the array")
                return
            line = self._line
            value, text = self._value()
            self._line += text.count("\n")
            self._skip(_SEPARATOR if is_array else _SPACE)
            yield value, text, line
        if is_array:
            raise self._error("the array is not closed")

    def _value(self) -> tuple[Any, str]:
        """The value at the position and its text. Moves the position past the value."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._buffer, self._position)
            except (ValueError, RecursionError) as error:
                if self._is_at_end or isinstance(error, RecursionError):
                    raise self._error(_json_reason(error)) from error
            else:
                if end < len(self._buffer) or self._is_at_end:  # else a number may go on
                    text = self._buffer[self._position : end]
                    self._position = end
                    return value, text
            self._read_more()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        """Move the position past white space, and past one comma if the pattern has one."""
        while True:
            match = pattern.match(self._buffer, self._position)
            end = match.end() if match else self._position
            if end < len(self._buffer) or self._is_at_end:
                self._line += self._buffer.count("\n", self._position, end)
                self._position = end
                return
            self._read_more()

    def _read_more(self) -> None:
        """Read as much again as is not used yet, so that a large object takes linear time."""
        rest = self._buffer[self._position :]
        if len(rest) > MAX_ROW_CHARACTERS:
            raise self._error(f"an object has more than {MAX_ROW_CHARACTERS:,} characters")
        n_more = min(max(_CHUNK_CHARACTERS, len(rest)), MAX_ROW_CHARACTERS + 1 - len(rest))
        more = self._text.read(n_more)
        self._is_at_end = not more
        self._buffer, self._position = rest + more, 0

    def _error(self, reason: str) -> InputError:
        return InputError(
            f"{self._path}: its JSON cannot be read from line {self._line} on ({reason}); write "
            "one JSON object on each line"
        )


def _json_row(values: Any, text: str, line: int) -> Row:
    if not isinstance(values, dict):
        return malformed_row(line, text, f"{_NOT_AN_OBJECT}, but {_name_of(values)}")
    # Keys and nested values may hold surrogates: bytes of the line that are not UTF-8, or escapes
    # such as \ud800. They are repaired in the text of the values, all at once.
    if "\\u" in text or repaired_text(text) is not None:
        repaired = repaired_text(json.dumps(values, ensure_ascii=False))
        if repaired is not None:
            return Row(json.loads(repaired), UNDECODABLE, BAD_BYTES_DETAIL, line)
    return Row(values, None, None, line)


def _json_reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{_NOT_AN_OBJECT}: {error.msg} at column {error.colno}"
    return f"{_NOT_AN_OBJECT}: {error}"


def _name_of(value: Any) -> str:
    return {list: "an array", str: "a text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )
