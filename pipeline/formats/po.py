"""Reads PO files: gettext catalogues as text.

polib is not used: it holds the whole catalogue, refuses all of it for one damaged line, and takes
U+2028 for the end of a line.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.formats.compression import open_bytes
from pipeline.formats.encoding import lines_with_ends, malformed_row, too_long_text
from pipeline.formats.gettext_catalogue import TRANSLATED, Catalogue, Entry, charset_of
from pipeline.formats.rows import (
    FUZZY,
    MAX_ROW_CHARACTERS,
    OBSOLETE,
    Row,
    read_errors_as_input_errors,
    read_head,
)

_KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d{1,3})\])?[ \t]*(?=\")")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*')
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "b": "\b", "f": "\f", "a": "\a"}
_BEGINNINGS = ("msgctxt", "msgid")  # each of them begins an entry


def po_rows(path: Path, catalogue: Catalogue, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a PO file, as a stream.

    A damaged entry is one malformed row.

    Args:
        path: the file.
        catalogue: turns entries into rows.
        encoding: the file's encoding. None is the one that the header names, or UTF-8.

    Raises:
        InputError: the file is damaged, or its header names another language.
    """
    charset = charset_of(path, read_head(path), encoding)
    with read_errors_as_input_errors(path), open_bytes(path) as stream:
        for draft in _drafts(lines_with_ends(stream, charset)):
            if draft.problem is not None:
                values = {"source": None, "target": None}
                yield malformed_row(draft.line, draft.text, draft.problem, values, draft.n_lines)
            elif draft.is_begun:
                yield from catalogue.rows(draft.entry())


@dataclasses.dataclass(slots=True)
class _Draft:
    """An entry that is being read.

    Args:
        line: the number of the first line of its texts.
        fields: its texts by keyword, such as ``msgid`` and ``msgstr[0]``.
        is_fuzzy: whether it is marked as a guess.
        is_obsolete: whether it is commented out.
        field: the keyword that a text in the next line belongs to.
        problem: why it cannot be read.
        text: its damaged line.
        n_lines: the number of lines that its texts take.
        n_characters: the number of characters that its texts take.
    """

    line: int = 0
    fields: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    is_fuzzy: bool = False
    is_obsolete: bool = False
    field: str | None = None
    problem: str | None = None
    text: str = ""
    n_lines: int = 0
    n_characters: int = 0

    @property
    def is_begun(self) -> bool:
        """Whether it has a text."""
        return bool(self.fields) or self.problem is not None

    @property
    def has_translation(self) -> bool:
        """Whether its translation has begun, so that another text begins the next entry."""
        return any(name.startswith("msgstr") for name in self.fields)

    def add(self, line: str, number: int) -> None:
        """Add a line with a text."""
        self.line = self.line or number
        self.n_lines = number - self.line + 1
        self.n_characters += len(line)
        if self.problem is not None:
            return
        match = _KEYWORD.match(line)
        if match:
            self.field = match[1] if match[2] is None else f"{match[1]}[{int(match[2])}]"
            self.fields.setdefault(self.field, [])
        string = _STRING.fullmatch(line, match.end() if match else 0)
        if self.n_characters > MAX_ROW_CHARACTERS:
            self.fail(line, f"an entry of more than {MAX_ROW_CHARACTERS:,} characters")
        elif string is None or self.field is None:
            self.fail(*_damage(line, number, is_text=match is not None or line.startswith('"')))
        else:
            self.fields[self.field].append(_ESCAPE.sub(_unescaped, string[1]))

    def fail(self, text: str, problem: str) -> None:
        """Give the entry up, and free its texts."""
        self.text, self.problem = text, problem
        for texts in self.fields.values():
            texts.clear()

    def check(self) -> None:
        """Check that an entry that is complete has a text and a translation."""
        if self.problem is None and self.fields:
            for name, is_there in (
                ("msgid", "msgid" in self.fields),
                ("msgstr", self.has_translation),
            ):
                if not is_there:
                    text = "".join(next(iter(self.fields.values())))
                    self.fail(text, f"the entry has no {name}")
                    return

    def entry(self) -> Entry:
        """The entry."""
        texts = {name: "".join(parts) for name, parts in self.fields.items()}
        msgstrs = {
            int(name.removeprefix("msgstr").strip("[]") or 0): text
            for name, text in texts.items()
            if name.startswith("msgstr")
        }
        states = [
            state for state, has in ((OBSOLETE, self.is_obsolete), (FUZZY, self.is_fuzzy)) if has
        ]
        return Entry(
            texts["msgid"],
            msgstrs,
            texts.get("msgid_plural"),
            texts.get("msgctxt"),
            self.line,
            self.n_lines,
            tuple(states) or (TRANSLATED,),
        )


def _drafts(lines: Iterator[str]) -> Iterator[_Draft]:
    """The entries of a file, those too that are damaged or hold comments only."""
    draft = _Draft()
    for number, raw_line in enumerate(lines, start=1):
        line = raw_line.strip(" \t\r\n")
        is_obsolete = line.startswith("#~")
        if is_obsolete:
            line = line[2:].lstrip()
        is_comment = not is_obsolete and line.startswith("#")
        is_previous = is_obsolete and line.startswith("|")  # the text of an earlier version
        is_done = draft.has_translation or draft.problem is not None
        keyword = _keyword(line)
        begins_again = keyword in draft.fields or (keyword == "msgctxt" and "msgid" in draft.fields)
        begins = keyword in _BEGINNINGS and (is_done or begins_again)
        if begins or (is_done and (is_comment or is_previous or not line)):
            draft.check()
            yield draft
            draft = _Draft()
        if is_comment:
            if line.startswith("#,"):
                draft.is_fuzzy |= "fuzzy" in re.split(r"[,\s]+", line[2:])
        elif line and not is_previous:
            draft.is_obsolete |= is_obsolete
            draft.add(line, number)
    if draft.is_begun:
        draft.check()
        yield draft


def _damage(line: str, number: int, *, is_text: bool) -> tuple[str, str]:
    """The beginning of a damaged line, and why it cannot be read.

    Args:
        line: the line.
        number: its number.
        is_text: whether it begins as a line with a text.
    """
    start = too_long_text(line)
    if start is not None:
        return start, f"line {number} has more than {MAX_ROW_CHARACTERS:,} characters"
    if is_text:
        return line, (
            f"the text of line {number} is not closed, is no part of an entry, or has a quotation "
            "mark without a backslash"
        )
    return line, f"line {number} is neither a comment nor a text in quotation marks"


def _keyword(line: str) -> str | None:
    match = _KEYWORD.match(line)
    return match[1] if match else None


def _unescaped(match: re.Match[str]) -> str:
    octal, hexadecimal, character = match.groups()
    if octal is not None:
        return chr(int(octal, 8))
    if hexadecimal is not None:
        return chr(int(hexadecimal, 16))
    return _ESCAPED.get(character, character)
