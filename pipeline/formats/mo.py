"""Reads MO files: compiled gettext catalogues.

The layout is in the chapter "The Format of GNU MO Files" of the manual of gettext. polib and
Python's gettext module read a damaged file without an error, so they are not used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.compression import TooLargeError, open_bytes
from pipeline.formats.encoding import decoded
from pipeline.formats.gettext_catalogue import Catalogue, Entry, charset_of
from pipeline.formats.rows import Row, read_errors_as_input_errors

MAX_MO_BYTES = 1 << 28
"""The largest catalogue that is read. Catalogues of large programs have a few megabytes."""

_MAGIC_LITTLE_ENDIAN = b"\xde\x12\x04\x95"
_HEADER_BYTES = 20
_KNOWN_MAJOR_REVISIONS = (0, 1)
_CONTEXT_END = b"\x04"


def mo_rows(path: Path, catalogue: Catalogue, encoding: str | None = None) -> Iterator[Row]:
    """The rows of an MO file. Its entries have no line numbers.

    Args:
        path: the file.
        catalogue: turns entries into rows.
        encoding: the file's encoding. None is the one that the header names, or UTF-8.

    Raises:
        InputError: the file is damaged, or its header names another language.
    """
    with read_errors_as_input_errors(path), open_bytes(path) as stream:
        data = stream.read(MAX_MO_BYTES + 1)
        if len(data) > MAX_MO_BYTES:
            raise TooLargeError(f"it has more than {MAX_MO_BYTES:,} bytes")
    pairs = _pairs(path, data)
    header = next((msgstr for msgid, msgstr in pairs if not msgid), b"")
    charset = charset_of(path, header, encoding) or "utf-8"
    for msgid, msgstr in pairs:
        context, has_context, text = msgid.rpartition(_CONTEXT_END)
        singular, has_plural, plural = text.partition(b"\0")
        forms = msgstr.split(b"\0") if has_plural else [msgstr]
        entry = Entry(
            decoded(singular, charset),
            {number: decoded(form, charset) for number, form in enumerate(forms)},
            decoded(plural, charset) if has_plural else None,
            decoded(context, charset) if has_context else None,
        )
        yield from catalogue.rows(entry)


def _pairs(path: Path, data: bytes) -> list[tuple[bytes, bytes]]:
    """The texts and translations of a catalogue, with their contexts and plurals.

    Raises:
        InputError: the catalogue is damaged.
    """
    order = "<" if data.startswith(_MAGIC_LITTLE_ENDIAN) else ">"
    if len(data) < _HEADER_BYTES:
        raise _damaged(path, "its header is cut off")
    revision, n_strings, *tables = struct.unpack_from(f"{order}4I", data, 4)
    if revision >> 16 not in _KNOWN_MAJOR_REVISIONS:
        raise _damaged(path, f"revision {revision >> 16} of the format is unknown")
    msgids, msgstrs = (_strings(path, data, order, table, n_strings) for table in tables)
    return list(zip(msgids, msgstrs, strict=True))


def _strings(path: Path, data: bytes, order: str, table: int, n_strings: int) -> list[bytes]:
    """The strings that a table of lengths and offsets names."""
    if table + 8 * n_strings > len(data):
        raise _damaged(path, f"it is too short for {n_strings} strings")
    numbers = struct.unpack_from(f"{order}{2 * n_strings}I", data, table)
    strings = []
    for number, (length, start) in enumerate(
        zip(numbers[::2], numbers[1::2], strict=True), start=1
    ):
        end = start + length
        if end >= len(data) or data[end] != 0:  # a NUL ends each string
            raise _damaged(path, f"string {number} of {n_strings} does not end where it should")
        strings.append(data[start:end])
    return strings


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: damaged ({reason}); copy the file again")
