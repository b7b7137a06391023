"""UTF-8 decoding of text files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from pipeline.formats.rows import MALFORMED, MAX_TEXT_CHARACTERS, UNDECODABLE, Row

NOT_UTF8_DETAIL = "bytes that are not UTF-8"
NUL_DETAIL = "a NUL character"
"""The details of undecodable rows."""


def text_stream(stream: io.BufferedReader) -> io.TextIOWrapper:
    """Decode UTF-8. A byte that is not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF.

    A byte order mark at the beginning is dropped. Only a line feed ends a line.
    """
    # newline="\n": other tools that pair lines split at line feeds only.
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def iter_lines(stream: io.BufferedReader) -> Iterator[str]:
    """The lines of a stream without their ends; see :func:`text_stream`."""
    for line in text_stream(stream):
        yield line.removesuffix("\n").removesuffix("\r")


def checked_row(values: dict[str, Any], line: int | None = None, n_lines: int = 1) -> Row:
    """A row whose surrogates and NULs are replaced by U+FFFD. It is undecodable if it had any.

    Args:
        values: the cells by column name.
        line: the number of its first line in the file.
        n_lines: the number of lines that it takes.
    """
    problem = detail = None
    for name, value in values.items():
        if isinstance(value, str) and (repaired := repaired_text(value)) is not None:
            values[name], problem = repaired, UNDECODABLE
            detail = NUL_DETAIL if "\0" in value else NOT_UTF8_DETAIL
    return Row(values, problem, detail, line, n_lines)


def malformed_row(
    line: int, text: str, detail: str, values: dict[str, Any] | None = None, n_lines: int = 1
) -> Row:
    """A row that breaks the rules of its format.

    Args:
        line: the number of its first line.
        text: its text. The row keeps the first :data:`MAX_TEXT_CHARACTERS`.
        detail: which rule it breaks.
        values: the cells that could be read.
        n_lines: the number of lines that it takes.
    """
    kept = text.removesuffix("\n").removesuffix("\r")[:MAX_TEXT_CHARACTERS]
    kept = repaired_text(kept) or kept
    return Row(values or {}, MALFORMED, detail, line, n_lines, kept)


def repaired_text(text: str) -> str | None:
    """The text with U+FFFD in place of surrogates and NULs, or None if it has none of them."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
        return repaired_text(text) or text
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        # Escaped bytes are turned back into bytes. If the text has other surrogates, too, which
        # stand for no byte, all surrogates are encoded as they are. Decoding replaces them all.
        errors = "surrogatepass" if _has_unescaped_surrogate(text) else "surrogateescape"
        return text.encode("utf-8", errors).decode("utf-8", "replace")
    return None


def _has_unescaped_surrogate(text: str) -> bool:
    r"""Whether a text has a surrogate that is not an escaped byte, such as JSON's ``\ud800``."""
    return any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in text)
