"""What PO and MO files have in common: the header, plural forms, and the rows of an entry."""

from __future__ import annotations

import dataclasses
import gettext
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.encoding import checked_row
from pipeline.formats.language_tags import is_same_language
from pipeline.formats.options import check_encoding
from pipeline.formats.rows import EMPTY, FUZZY, OBSOLETE, UNTRANSLATED, Row

TRANSLATED = "translated"
"""The state of an entry that is neither fuzzy nor obsolete."""

CATALOGUE_STATES = (TRANSLATED, FUZZY, OBSOLETE)
"""The states of entries."""

_CHARSET = re.compile(rb"Content-Type:[^\n]*?charset=([\w.:-]+)", re.IGNORECASE)
_PLACEHOLDER_CHARSET = "CHARSET"  # in templates that nobody has translated yet
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[_@-][A-Za-z0-9]+)*")
_PLURAL = re.compile(r"nplurals\s*=\s*(\d+)\s*;\s*plural\s*=\s*([^;]+)")
_COUNTS = range(2, 201)


@dataclasses.dataclass(slots=True)
class Entry:
    """An entry of a catalogue.

    Args:
        msgid: the text to translate.
        msgstrs: the translation, or its plural forms by number.
        msgid_plural: the plural of ``msgid``. None if the entry has no plural.
        context: what tells the entry from others with the same text. None if it has none.
        line: the number of its first line. None for MO.
        n_lines: the number of lines that it takes.
        states: the states that it has.
    """

    msgid: str
    msgstrs: dict[int, str]
    msgid_plural: str | None = None
    context: str | None = None
    line: int | None = None
    n_lines: int = 1
    states: tuple[str, ...] = (TRANSLATED,)

    @property
    def is_header(self) -> bool:
        """Whether the entry describes the catalogue."""
        return not self.msgid and self.context is None


class Catalogue:
    """Turns the entries of a catalogue into rows.

    Args:
        path: the file's name, for error messages.
        source_lang: language tag of the texts to translate.
        target_lang: language tag of the translations.
        states: the states of the entries that are used.
    """

    def __init__(
        self, path: Path, source_lang: str, target_lang: str, states: tuple[str, ...]
    ) -> None:
        self._path = path
        self._source_lang = source_lang
        self._target_lang = target_lang
        self._states = states
        self._plural_forms: tuple[int | None, int] | None = None

    def rows(self, entry: Entry) -> Iterator[Row]:
        """The rows of an entry: none for the header, two for an entry with a plural, else one.

        Raises:
            InputError: the header names another language.
        """
        if entry.is_header:
            self._read_header(entry.msgstrs.get(0, ""))
            return
        if entry.msgid_plural is None:
            yield self._row(entry, entry.msgid, entry.msgstrs.get(0, ""))
            return
        singular, plural = self._plural_forms or (0, max(entry.msgstrs, default=0))
        if singular is not None:
            yield self._row(entry, entry.msgid, entry.msgstrs.get(singular, ""))
        yield self._row(entry, entry.msgid_plural, entry.msgstrs.get(plural, ""))

    def _row(self, entry: Entry, source: str, target: str) -> Row:
        row = checked_row({"source": source, "target": target}, entry.line, entry.n_lines)
        row.unit = entry.context
        unused = [state for state in entry.states if state not in self._states]
        if row.problem is not None:
            return row
        if not source.strip():
            row.problem, row.detail = EMPTY, "no source"
        elif not target.strip():
            row.problem, row.detail = UNTRANSLATED, "no translation"
        elif unused:
            row.problem = unused[0]
        return row

    def _read_header(self, header: str) -> None:
        fields = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(":") for line in header.split("\n"))
            if colon
        }
        for name, key, language in (
            ("Language", "target_lang", self._target_lang),
            ("X-Source-Language", "source_lang", self._source_lang),
        ):
            tag = fields.get(name.lower(), "").partition(".")[0]
            if _TAG.fullmatch(tag) and not is_same_language(tag, language):
                raise InputError(
                    f"{self._path}: its header says {name}: {tag}, and {key} of the corpus is "
                    f"{language!r}; set {key}, or leave the file out"
                )
        self._plural_forms = plural_forms(fields.get("plural-forms", ""))


def plural_forms(header: str) -> tuple[int | None, int] | None:
    """Which plural form translates the singular, and which one the plural.

    The form for the number 1 translates the singular. The form that most numbers from 2 to 200 have
    translates the plural. If one form serves all numbers, it translates the plural only.

    Args:
        header: the field ``Plural-Forms``, such as ``nplurals=2; plural=(n != 1);``.

    Returns:
        two numbers of forms, the first of which may be None. None if the field is wrong.
    """
    match = _PLURAL.search(header)
    if match is None:
        return None
    try:
        form_of = gettext.c2py(match[2].strip())
        singular = int(form_of(1))
        plural = Counter(int(form_of(count)) for count in _COUNTS).most_common(1)[0][0]
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return (None, plural) if int(match[1]) == 1 else (singular, plural)


def charset_of(path: Path, head: bytes, encoding: str | None) -> str | None:
    """The encoding of a catalogue: the one that is given, or that of its header. None is UTF-8.

    Args:
        path: the file's name, for error messages.
        head: the beginning of the file.
        encoding: the encoding that the options name.

    Raises:
        InputError: Python does not know the encoding.
    """
    if encoding is not None:
        return encoding
    match = _CHARSET.search(head)
    charset = match[1].decode("ascii", "replace") if match else _PLACEHOLDER_CHARSET
    if charset.upper() == _PLACEHOLDER_CHARSET:
        return None
    try:
        check_encoding(charset)
    except InputError as error:
        raise InputError(
            f"{path}: its header says charset={charset}, which Python does not know; set the "
            "`encoding` of the input"
        ) from error
    return charset
