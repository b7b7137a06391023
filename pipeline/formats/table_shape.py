"""What the rows of a CSV or TSV file look like, and which cells of several lines are suspect."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

# A cell of several lines is suspect if so many of its lines look like rows.
_MIN_ROW_SHARE = 0.5
_N_CHECKED_LINES = 200
# In a file with one column every line looks like a row. There, a cell of several lines is suspect
# if no other cell is quoted, and it has this many lines.
_MIN_LINES_IN_ONE_COLUMN = 5
_MIN_ODD_SHARE = 0.1
_FEW_COLUMNS = 2
# Where the evidence is weak, so many lines, and most of the lines, must look like rows.
_FEW_LINES = 3
_MOST = 0.8

_EMPTY, _SPACED, _DIGITS = "empty", "spaced", "digits"


@dataclasses.dataclass(frozen=True)
class _Sample:
    """What is usual at the beginning of a file.

    Attributes:
        odd: the oddities that a tenth of the rows have: empty cells, cells that begin with a space,
            and delimiters between two digits, which in a sentence may be a decimal comma.
        n_quoted: the number of lines with a quotation mark.
        n_rows: the number of rows that take one line.
        n_genuine: the number of cells of several lines whose lines do not look like rows.
        has_trailing_cell: whether every row has one cell more than the header, which is empty.
    """

    odd: frozenset[str]
    n_quoted: int
    n_rows: int
    n_genuine: int
    has_trailing_cell: bool


class TableShape:
    """What the rows of a CSV or TSV file look like.

    Args:
        head: the beginning of the file: its header, and rows.
        delimiter: the character between cells.
        n_columns: the number of columns. None until the header is read.

    Attributes:
        is_quoted: whether cells may be in quotation marks. It may be set until rows are read.
        n_columns: as above.
    """

    def __init__(
        self,
        head: Sequence[str],
        delimiter: str,
        n_columns: int | None = None,
    ) -> None:
        self._head = head
        self._delimiter = delimiter
        self.is_quoted = False
        self.n_columns = n_columns

    @property
    def has_trailing_cell(self) -> bool:
        """Whether every row has one cell more than the header, which is empty."""
        return self._sample.has_trailing_cell

    def stray_quote(self, cells: list[str], lines: list[str]) -> str | None:
        """Why the quotation mark that opens a cell of several lines seems to be stray.

        A genuine cell of several lines holds sentences, which have other numbers of delimiters than
        the rows of the file. The lines that follow a stray mark are rows, and look like them.

        Args:
            cells: the cells of the record.
            lines: its lines, two or more.

        Returns:
            the reason, or None if the mark seems to be meant.
        """
        n_columns = self.n_columns or len(self._cells_of_opener(lines[0]))
        n_columns += self._sample.has_trailing_cell
        if n_columns == 1:
            is_stray = (
                len(lines) >= _MIN_LINES_IN_ONE_COLUMN
                and all(map(str.strip, lines))
                and sum('"' in line for line in lines) >= self._sample.n_quoted
                and self._sample.n_rows > len(lines)
            )
        else:
            is_stray = self._lines_are_rows(lines, n_columns, cells)
        if not is_stray:
            return None
        return (
            f"a quotation mark opens a cell of {len(lines)} lines, and the lines look like rows; "
            "double the mark if it belongs to the text"
        )

    def _lines_are_rows(self, lines: list[str], n_columns: int, cells: list[str]) -> bool:
        rest = lines[1 : _N_CHECKED_LINES + 1]
        with_empty = self._sample.odd | {_EMPTY}
        # A line such as "Dear all," has an empty second cell. In tables of more columns, few lines
        # of a text have the right number of commas.
        usual = with_empty if n_columns > _FEW_COLUMNS else self._sample.odd - {_EMPTY}
        n_rows = sum(self._is_row(line, n_columns, usual) for line in rest)
        n_with_empty = sum(self._is_row(line, n_columns, with_empty) for line in rest)
        if len(cells) != n_columns:  # the record is malformed anyway
            return n_with_empty > 0
        opener = self._cells_of_opener(lines[0])
        is_row = len(opener) == n_columns and not self._oddities(opener) - usual
        if is_row and not self._seems_meant(cells):
            return n_rows >= math.ceil(_MIN_ROW_SHARE * len(rest))
        return n_with_empty >= max(_FEW_LINES, _MOST * len(rest)) and 2 * n_rows > n_with_empty

    def _seems_meant(self, cells: list[str]) -> bool:
        """Whether the cell has doubled quotation marks, or others of several lines are genuine."""
        has_doubled = any("\n" in cell and '"' in cell for cell in cells)
        return has_doubled or self._sample.n_genuine > 1

    def _cells_of_opener(self, line: str) -> list[str]:
        """The cells of the first line if the quotation mark that stays open is part of the text."""
        *before, opened = self._split(line, strict=False) or [""]
        return [*before, *(self._split(opened, strict=False) or [""])]

    def _is_row(self, line: str, n_columns: int, usual: frozenset[str]) -> bool:
        cells = self._cells_of(line)
        return len(cells) == n_columns and not self._oddities(cells) - usual

    def _oddities(self, cells: list[str]) -> set[str]:
        odd = set()
        if not all(map(str.strip, cells)):
            odd.add(_EMPTY)
        if any(cell[:1].isspace() for cell in cells):
            odd.add(_SPACED)
        if self._delimiter == "," and any(
            left[-1:].isdigit() and right[:1].isdigit() for left, right in itertools.pairwise(cells)
        ):
            odd.add(_DIGITS)
        return odd

    @cached_property
    def _sample(self) -> _Sample:
        records = list(self._records_of_head())
        (header, *_), *rows = records or [([], [])]
        n_columns = self.n_columns or len(header)
        has_trailing_cell = bool(rows) and all(
            len(cells) == n_columns + 1 and not cells[-1] for cells, _ in rows
        )
        n_columns += has_trailing_cell
        lines = [
            cells for line in self._head[1:] if len(cells := self._cells_of(line)) == n_columns
        ]
        counts = Counter(odd for cells in lines for odd in self._oddities(cells))
        usual = frozenset(odd for odd, n in counts.items() if n >= _MIN_ODD_SHARE * len(lines))
        n_genuine = sum(
            len(cells) == n_columns
            and not any(self._is_row(line, n_columns, usual) for line in taken[1:])
            for cells, taken in rows
            if len(taken) > 1
        )
        n_quoted = sum('"' in line for line in self._head)
        return _Sample(usual, n_quoted, len(lines), n_genuine, has_trailing_cell)

    def _records_of_head(self) -> Iterator[tuple[list[str], list[str]]]:
        """The cells and the lines of each record that is not malformed."""
        if not self.is_quoted:
            for line in self._head:
                if text := line.rstrip("\r\n"):
                    yield text.split(self._delimiter), [line]
            return
        lines = (_without_returns(line) + "\n" for line in self._head)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        n_taken = 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = []
            if cells:
                yield cells, list(self._head[n_taken : reader.line_num])
            n_taken = reader.line_num

    def _cells_of(self, line: str) -> list[str]:
        """The cells of a line as a row of its own; none if it breaks the rules of quoting."""
        if not self.is_quoted:
            return line.rstrip("\r\n").split(self._delimiter)
        try:
            return self._split(line, strict=True)
        except csv.Error:
            return []

    def _split(self, line: str, *, strict: bool) -> list[str]:
        lines = [_without_returns(line)]
        return next(csv.reader(lines, delimiter=self._delimiter, strict=strict), [])


def _without_returns(line: str) -> str:
    """A line without its end. The csv module takes a carriage return for the end of a row."""
    return line.rstrip("\r\n").replace("\r", " ")
