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

MAX_MO_BYTES = 1 << 26
"""The largest catalogue that is read. Catalogues of large programs have a few megabytes."""

_MAGIC_LITTLE_ENDIAN = b"\xde\x12\x04\x95"
_KNOWN_MAJOR_REVISIONS = (0, 1)
_CONTEXT_END = b"\x04"
_SYSTEM_HEADER = 28  # where the tables of strings begin that depend on the system
_NO_NAME = 0xFFFFFFFF


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
    file = _MoFile(path, data)
    revision, n_strings, *tables = file.integers(4, 4)
    major, minor = revision >> 16, revision & 0xFFFF
    if major not in _KNOWN_MAJOR_REVISIONS:
        raise _damaged(path, f"revision {major} of the format is unknown")
    msgids, msgstrs = (file.strings(table, n_strings) for table in tables)
    pairs = list(zip(msgids, msgstrs, strict=True))
    if minor > 0:
        msgids, msgstrs = file.strings_of_the_system()
        pairs += zip(msgids, msgstrs, strict=True)
    return pairs


class _MoFile:
    """The tables and strings of an MO file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._data = data
        self._order = "<" if data.startswith(_MAGIC_LITTLE_ENDIAN) else ">"

    def integers(self, start: int, n_integers: int) -> tuple[int, ...]:
        """The integers from an offset on."""
        if start + 4 * n_integers > len(self._data):
            raise _damaged(self._path, "it is too short for its tables")
        return struct.unpack_from(f"{self._order}{n_integers}I", self._data, start)

    def strings(self, table: int, n_strings: int) -> list[bytes]:
        """The strings that a table of lengths and offsets names."""
        numbers = self.integers(table, 2 * n_strings)
        strings = []
        for number, (length, start) in enumerate(
            zip(numbers[::2], numbers[1::2], strict=True), start=1
        ):
            end = start + length
            if end >= len(self._data) or self._data[end] != 0:  # a NUL ends each string
                reason = f"string {number} of {n_strings} does not end where it should"
                raise _damaged(self._path, reason)
            strings.append(self._data[start:end])
        return strings

    def strings_of_the_system(self) -> tuple[list[bytes], list[bytes]]:
        """The texts and translations with a part that depends on the system.

        The part is written as in PO files: ``<PRIu64>``.
        """
        n_names, names_table, n_strings, *tables = self.integers(_SYSTEM_HEADER, 5)
        numbers = self.integers(names_table, 2 * n_names)
        names = [
            self._data[start : start + length].rstrip(b"\0")
            for length, start in zip(numbers[::2], numbers[1::2], strict=True)
        ]
        msgids, msgstrs = (
            [self._string_of_the_system(start, names) for start in self.integers(table, n_strings)]
            for table in tables
        )
        return msgids, msgstrs

    def _string_of_the_system(self, start: int, names: list[bytes]) -> bytes:
        (text_start,) = self.integers(start, 1)
        parts: list[bytes] = []
        while True:
            start += 8 if parts else 4
            length, name = self.integers(start, 2)
            if text_start + length > len(self._data):
                raise _damaged(self._path, "a string does not end where it should")
            parts.append(self._data[text_start : text_start + length])
            text_start += length
            if name == _NO_NAME:
                return b"".join(parts).removesuffix(b"\0")
            if name >= len(names):
                raise _damaged(self._path, "a string has an unknown part")
            # PO files have the flag I of a number, as in %Id, without angle brackets.
            parts.append(names[name] if names[name] == b"I" else b"<%s>" % names[name])


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: damaged ({reason}); copy the file again")
