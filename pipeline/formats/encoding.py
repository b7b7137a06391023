"""Decoding of text files: UTF-8, or the encoding that the options name."""

from __future__ import annotations

import codecs
import functools
import io
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.formats.compression import TooLargeError
from pipeline.formats.records import without_end
from pipeline.formats.rows import (
    MALFORMED,
    MAX_ROW_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    UNDECODABLE,
    Row,
)

BAD_BYTES_DETAIL = "bytes that cannot be decoded"
NUL_DETAIL = "a NUL character"
"""The details of undecodable rows."""

_MAX_LINE_CHARACTERS = 1 << 30  # more than this is no line, but a decompression bomb
_SKIPPED_CHARACTERS = 1 << 20  # how much of a line that is too long is read at a time
# Begins what is kept of a line that is too long. Decoding never produces this surrogate.
_TOO_LONG_MARK = "\ud80b"

_UTF8_NAMES = ("utf-8", "utf-8-sig")
_ESCAPE_UNDECODABLE = "lingo-escape-undecodable"


def _escape_undecodable(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that cannot be decoded by lone surrogates, as ``surrogateescape`` does.

    ``surrogateescape`` itself fails for encodings of several bytes that hold ASCII bytes.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff" * max(error.end - error.start, 1), max(error.end, error.start + 1)


codecs.register_error(_ESCAPE_UNDECODABLE, _escape_undecodable)


def text_stream(stream: io.BufferedReader, encoding: str | None = None) -> io.TextIOWrapper:
    """Decode text. A byte that cannot be decoded becomes a lone surrogate, U+DC80 to U+DCFF.

    A byte order mark at the beginning is dropped. Only a line feed ends a line.

    Args:
        stream: the uncompressed bytes.
        encoding: the encoding. None is UTF-8.
    """
    # newline="\n": other tools that pair lines split at line feeds only.
    if encoding is None or codecs.lookup(encoding).name in _UTF8_NAMES:
        encoding, errors = "utf-8-sig", "surrogateescape"
    else:
        errors = _ESCAPE_UNDECODABLE
    return io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="\n")


def decoded(data: bytes, encoding: str) -> str:
    """Decode bytes. Those that cannot be decoded become lone surrogates."""
    return data.decode(encoding, _ESCAPE_UNDECODABLE)


def iter_lines(stream: io.BufferedReader, encoding: str | None = None) -> Iterator[str]:
    """The lines of a stream without their ends; see :func:`lines_with_ends`."""
    return map(without_end, lines_with_ends(stream, encoding))


def lines_with_ends(stream: io.BufferedReader, encoding: str | None = None) -> Iterator[str]:
    """The lines of a stream; see :func:`text_stream`. Memory is bounded.

    Of a line of more than :data:`MAX_ROW_CHARACTERS`, the beginning is kept and marked; see
    :func:`too_long_text`.

    Raises:
        TooLargeError: a line is so long that the file is a decompression bomb.
    """
    text = text_stream(stream, encoding)
    # Not `for line in text`, which reads a line of any length.
    limit = MAX_ROW_CHARACTERS
    # The codecs of UTF-16-LE and others keep the byte order mark.
    first = text.readline(limit).removeprefix("\ufeff")
    rest = iter(functools.partial(text.readline, limit), "")
    for number, line in enumerate(itertools.chain([first] if first else [], rest), start=1):
        if len(line) < limit or line.endswith("\n"):
            yield line
        else:
            start = line[:MAX_TEXT_CHARACTERS]
            del line
            _skip_line(text, number)
            # Without quotation marks, the rest of the line takes no other lines with it.
            yield _TOO_LONG_MARK + start.replace('"', "").replace("\r", "") + "\n"


def _skip_line(text: io.TextIOWrapper, number: int) -> None:
    n_characters = MAX_ROW_CHARACTERS
    while piece := text.readline(_SKIPPED_CHARACTERS):
        n_characters += len(piece)
        if n_characters > _MAX_LINE_CHARACTERS:
            raise TooLargeError(f"line {number} has more than {_MAX_LINE_CHARACTERS:,} characters")
        if piece.endswith("\n"):
            return


def too_long_text(text: str) -> str | None:
    """The beginning of a line that is too long to be read. None if no line of a text is."""
    _, mark, start = text.partition(_TOO_LONG_MARK)
    return start if mark else None


def too_long_row(line: int | None, text: str, columns: Iterable[str] = ()) -> Row:
    """The malformed row of a line that is too long. Its values are null.

    Args:
        line: the number of the line.
        text: the beginning of the line.
        columns: the names of its columns.
    """
    detail = f"a line of more than {MAX_ROW_CHARACTERS:,} characters"
    return malformed_row(line, text, detail, dict.fromkeys(columns))


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
            if (start := too_long_text(value)) is not None:
                return too_long_row(line, start, values)
            values[name], problem = repaired, UNDECODABLE
            detail = NUL_DETAIL if "\0" in value else BAD_BYTES_DETAIL
    return Row(values, problem, detail, line, n_lines)


def malformed_row(
    line: int | None, text: str, detail: str, values: dict[str, Any] | None = None, n_lines: int = 1
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
