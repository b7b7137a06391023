"""Escaped characters in CSV and TSV, as Spark and MySQL write them: ``\\"`` for a quotation mark.

The csv module drops every backslash. Spark and MySQL write a backslash as it is unless it stands
before a quotation mark, a delimiter, a line break or another backslash. So each escaped character
is replaced by a surrogate before the line is split, and put back into the cells.
"""

from __future__ import annotations

import re

from pipeline.formats.records import Record

_FIRST_PLACEHOLDER = 0xD810  # decoding never produces these surrogates


class Escapes:
    """Hides escaped characters in lines, and restores them in cells.

    Args:
        escape: the character before an escaped one.
        delimiter: the character between cells.
    """

    def __init__(self, escape: str, delimiter: str) -> None:
        characters = (escape, '"', delimiter)
        self._placeholders = {
            character: chr(_FIRST_PLACEHOLDER + number)
            for number, character in enumerate(characters)
        }
        self._cell = str.maketrans({mark: char for char, mark in self._placeholders.items()})
        self._text = str.maketrans(
            {mark: escape + char for char, mark in self._placeholders.items()}
        )
        self._marks = re.compile(f"[{''.join(self._placeholders.values())}]")
        self._escape = escape
        self._escaped = re.compile(f"{re.escape(escape)}([{re.escape(''.join(characters))}\n])")

    def hidden(self, line: str) -> str:
        """A line in which no escaped character has a meaning for the csv module.

        An escaped line break stays a line break.
        """
        if self._escape not in line:
            return line
        return self._escaped.sub(lambda match: self._placeholders.get(match[1], match[1]), line)

    def restored(self, record: Record) -> Record:
        """A record with the escaped characters in its cells, and with its text as it was."""
        cells, line, n_lines, text, problem = record
        if self._marks.search(text) is None:
            return record
        cells = [cell.translate(self._cell) for cell in cells]
        return cells, line, n_lines, text.translate(self._text), problem
