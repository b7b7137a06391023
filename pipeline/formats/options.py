"""How a CSV or TSV file is read."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from lingo_model import InputError

Quoting = Literal["auto", "minimal", "none"]
"""Whether a cell in quotation marks is unquoted. ``auto``: in CSV always, in TSV if it is meant."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a CSV or TSV file is read. Other formats ignore it.

    Args:
        quoting: ``minimal`` if cells may be in quotation marks, so that they can hold delimiters,
            line breaks and doubled quotation marks. ``none`` if a quotation mark is an ordinary
            character. ``auto`` is ``minimal`` for CSV. For TSV, the quotation marks in the file
            decide.
        delimiter: the character between two cells. None is a comma for CSV and a tab for TSV.

    Raises:
        InputError: a value is not allowed.
    """

    quoting: Quoting = "auto"
    delimiter: str | None = None

    def __post_init__(self) -> None:
        if self.quoting not in get_args(Quoting):
            raise InputError(f"quoting={self.quoting!r}: needs {', '.join(get_args(Quoting))}")
        delimiter = self.delimiter
        if delimiter is None or delimiter == "\t":
            return
        if len(delimiter) != 1 or delimiter == '"' or not delimiter.isprintable():
            raise InputError(
                f"delimiter={delimiter!r}: needs one character, such as ';', '|' or a tab"
            )


DEFAULT_OPTIONS = ReadOptions()
