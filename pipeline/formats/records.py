"""Splits the lines of CSV and TSV files into records, and the records into cells.

A record in a quoted file may take several lines. A stray quotation mark makes the csv module take
all lines up to the next one for one cell. So a record that breaks the rules of quoting, or whose
lines look like rows, takes its first line only. The lines after it are read again.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

MAX_RECORD_LINES = 100_000
MAX_RECORD_CHARACTERS = 1 << 26
"""A quotation mark that is open for longer than this is stray. So memory is bounded."""

# The csv module ends a row at a carriage return in an unquoted cell. So each carriage return
# within a line is replaced by this character before parsing, and put back afterwards. It is a
# surrogate that decoding never produces: the bytes it escapes become U+DC80 to U+DCFF.
_HIDDEN_RETURN = "\ud80d"


Record: TypeAlias = tuple[list[str], int, int, str, str | None]
"""One record of a file. A plain tuple, because there is one for each row of large files.

- the cells; none for a blank line, and none if there is a problem
- the number of its first line
- the number of lines that it takes
- its text
- which rule of quoting it breaks, or None
"""


def without_end(line: str) -> str:
    """A line without the line feed, or carriage return and line feed, at its end."""
    return line.removesuffix("\n").removesuffix("\r")


def unquoted_records(lines: Iterable[str], delimiter: str, first_line: int) -> Iterator[Record]:
    """The records of lines in which a quotation mark is an ordinary character."""
    for number, line in enumerate(lines, start=first_line):
        text = line.removesuffix("\n").removesuffix("\r")
        yield text.split(delimiter) if text else [], number, 1, text, None


def quoted_records(
    lines: Iterator[str],
    delimiter: str,
    first_line: int,
    stray_quote: Callable[[list[str], list[str]], str | None],
) -> Iterator[Record]:
    """The records of lines with cells in quotation marks.

    Args:
        lines: the lines with their ends.
        delimiter: the character between cells.
        first_line: the number of the first line.
        stray_quote: says why the quotation mark that opens a cell of several lines seems to be
            stray. It gets the cells of the record and its lines, and returns None if the cell seems
            to be meant.
    """
    csv.field_size_limit(sys.maxsize)
    again: deque[str] = deque()  # lines that are read again
    taken: list[str] = []  # the lines of the record
    reader = _reader(again, lines, taken, delimiter)
    number = first_line
    while True:
        problem = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = []
            problem = _reason(error)
        n_lines = len(taken)
        if n_lines > 1 and problem is None:
            problem = stray_quote(cells, taken)
        if problem is None:
            text = taken[0] if n_lines == 1 else "".join(taken)
            if "\r" in text:
                cells = [cell.replace(_HIDDEN_RETURN, "\r") for cell in cells]
            yield cells, number, n_lines, text, None
            number += n_lines
        else:
            yield [], number, 1, without_end(taken[0]), problem
            number += 1
            again.extendleft(reversed(taken[1:]))
            reader = _reader(again, lines, taken, delimiter)
        taken.clear()


def _reader(
    again: deque[str], lines: Iterator[str], taken: list[str], delimiter: str
) -> Iterator[list[str]]:
    return csv.reader(_taking(again, lines, taken), delimiter=delimiter, strict=True)


def _taking(again: deque[str], lines: Iterator[str], taken: list[str]) -> Iterator[str]:
    """Gives the csv module its lines, and notes which ones it takes for the record."""
    n_characters = 0
    for line in itertools.chain(_popped(again), lines):
        if taken:  # a cell goes on
            n_characters += len(line)
            if len(taken) >= MAX_RECORD_LINES or n_characters > MAX_RECORD_CHARACTERS:
                again.appendleft(line)
                return
        else:
            n_characters = len(line)
        taken.append(line)
        if "\r" in line:
            text = without_end(line)
            yield text.replace("\r", _HIDDEN_RETURN) + line[len(text) :]
        else:
            yield line


def _popped(lines: deque[str]) -> Iterator[str]:
    while lines:
        yield lines.popleft()


def _reason(error: csv.Error) -> str:
    reason = str(error)
    if "unexpected end" in reason:
        return "a quotation mark is never closed"
    if "expected after" in reason:
        return "a quotation mark inside a quoted cell is not doubled"
    return reason
