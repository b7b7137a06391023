"""Tells whether a TSV file is written with quoting.

Corpora in TSV are mostly unquoted: a quotation mark belongs to the text. pandas and Python's csv
module quote a cell that holds a tab, a line break or a quotation mark, and double the marks in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pipeline.formats.records import Record, quoted_records, unquoted_records, without_end
from pipeline.formats.table_shape import TableShape

_WINDOW_CHARACTERS = 1 << 20
_MAX_BARE_SHARE = 0.05
_MISSING_VALUES = ("", "na", "nan", "null", "none", "true", "false")


def records_by_quoting(
    lines: Iterator[str], delimiter: str, first_line: int, shape: TableShape
) -> Iterator[Record]:
    """The records of a file that may be written with quoting.

    As long as there is no quotation mark, it does not matter. From the first one on, the next
    million characters tell how the rest of the file is read.

    Args:
        lines: the lines with their ends, from the header on.
        delimiter: the character between cells.
        first_line: the number of the first line.
        shape: what the rows of the file look like.
    """
    number = first_line
    for line in lines:
        if '"' not in line:
            text = line.removesuffix("\n").removesuffix("\r")
            yield text.split(delimiter) if text else [], number, 1, text, None
            number += 1
            continue
        window = [line, *_window(lines)]
        is_quoted = _is_quoted(window, number, delimiter, shape)
        rest = itertools.chain(window, lines)
        if is_quoted:
            shape.is_quoted = True
            yield from quoted_records(rest, delimiter, number, shape.stray_quote)
            return
        if is_quoted is False:
            yield from unquoted_records(rest, delimiter, number)
            return
        yield from unquoted_records(window, delimiter, number)
        number += len(window)


def _window(lines: Iterator[str]) -> Iterator[str]:
    n_characters = 0
    for line in lines:
        yield line
        n_characters += len(line)
        if n_characters > _WINDOW_CHARACTERS:
            return


def _is_quoted(
    window: list[str], first_line: int, delimiter: str, shape: TableShape
) -> bool | None:
    """Whether lines are written with quoting. None if their quotation marks do not tell."""
    trial = TableShape(window, delimiter, n_columns=shape.n_columns)
    trial.is_quoted = True
    records = list(quoted_records(iter(window), delimiter, first_line, trial.stray_quote))
    if len(records) > 1 and sum(map(len, window)) > _WINDOW_CHARACTERS:
        records.pop()  # the window may end within it
    n_columns = shape.n_columns or len(records[0][0])
    n_meant = n_stray = 0
    n_bare = n_cells = 0
    for cells, _, n_lines, text, problem in records:
        raw_cells = without_end(text).split(delimiter)
        quoted = [cell for cell in raw_cells if '"' in cell]
        if (
            problem is None
            and len(cells) == n_columns
            and (n_lines > 1 or len(raw_cells) > n_columns)
        ):
            n_meant += 1  # a cell holds a line break or a delimiter
            continue
        for cell in quoted:
            inner = cell[1:-1]
            if not is_in_marks(cell):
                n_stray += 1
            elif '""' in inner:
                n_meant += 1
        n_cells += len(raw_cells)
        n_bare += sum(not (is_in_marks(cell) or _is_bare_value(cell)) for cell in raw_cells)
    if n_meant or n_stray:
        return n_meant >= n_stray
    # Some writers quote every text, that of the header too.
    is_from_header = shape.n_columns is None
    return True if is_from_header and n_bare <= _MAX_BARE_SHARE * n_cells else None


def is_in_marks(cell: str) -> bool:
    """Whether a cell is in quotation marks, and each mark within it is doubled."""
    is_enclosed = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return is_enclosed and '"' not in cell[1:-1].replace('""', "")


def _is_bare_value(cell: str) -> bool:
    """Whether a cell is a number or a missing value, which writers do not quote."""
    if cell.lower() in _MISSING_VALUES:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True
