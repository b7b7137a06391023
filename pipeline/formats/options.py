"""How a file of text or a table of text is read."""

from __future__ import annotations

import codecs
import dataclasses
import io
from typing import Literal, get_args

from lingo_model import InputError

Quoting = Literal["auto", "minimal", "none"]
"""Whether a cell in quotation marks is unquoted. ``auto``: in CSV always, in TSV if it is meant."""

# Codecs of Python that are no encodings of files.
_NOT_OF_FILES = frozenset(
    (
        "idna",
        "punycode",
        "unicode-escape",
        "raw-unicode-escape",
        "undefined",
        "mbcs",
        "oem",
        "utf-7",
    )
)


@dataclasses.dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read.

    ``encoding`` is for text, TSV, CSV and JSON; the other options are for CSV and TSV. Other
    formats ignore them.

    Args:
        quoting: ``minimal`` if cells may be in quotation marks, so that they can hold delimiters,
            line breaks and doubled quotation marks. ``none`` if a quotation mark is an ordinary
            character. ``auto`` is ``minimal`` for CSV. For TSV, the quotation marks in the file
            decide.
        delimiter: the character between two cells. None is a tab for TSV. For CSV, None is the
            delimiter that the header has: see :func:`pipeline.formats.delimited.delimiter_of`.
        escape: the character before a quotation mark, a delimiter, a line break or itself that
            makes it an ordinary character, as in Spark's and MySQL's CSV. None if quotation marks
            are doubled instead.
        header: whether the first line has the column names. Without them the columns are named
            ``1``, ``2``, ``3`` and so on.
        columns: the column names of a file without a header line. They replace ``header``.
        encoding: the name of the file's encoding in Python, such as ``cp1252``, ``utf-16-le`` or
            ``shift_jis``. None is UTF-8.

    Raises:
        InputError: a value is not allowed.
    """

    quoting: Quoting = "auto"
    delimiter: str | None = None
    escape: str | None = None
    header: bool = True
    columns: tuple[str, ...] | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.quoting not in get_args(Quoting):
            raise InputError(f"quoting={self.quoting!r}: needs {', '.join(get_args(Quoting))}")
        _check_character("delimiter", self.delimiter, "such as ';', '|' or a tab")
        _check_character("escape", self.escape, "such as '\\\\'")
        if self.escape is not None and self.escape == self.delimiter:
            raise InputError(f"escape={self.escape!r}: is the delimiter; give another character")
        _check_columns(self.columns)
        if self.encoding is not None:
            check_encoding(self.encoding)

    @property
    def has_header(self) -> bool:
        """Whether the first line of the file has the column names."""
        return self.header and self.columns is None


def check_encoding(encoding: str) -> None:
    """Check the name of an encoding.

    Raises:
        InputError: Python does not know it, or it is no encoding of text files.
    """
    try:
        name = codecs.lookup(encoding).name
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses codecs such as base64
        is_text = name.replace("_", "-") not in _NOT_OF_FILES
    except (LookupError, UnicodeError, ValueError):
        is_text = False
    if not is_text:
        raise InputError(
            f"encoding={encoding!r}: is no text encoding of Python; needs one such as utf-8, "
            "utf-16-le, cp1252, latin-1, shift_jis or gb18030"
        )


def _check_character(option: str, value: str | None, examples: str) -> None:
    if value is None or value == "\t":
        return
    if len(value) != 1 or value == '"' or not value.isprintable():
        raise InputError(f"{option}={value!r}: needs one character, {examples}")


def _check_columns(columns: tuple[str, ...] | None) -> None:
    if columns is None:
        return
    if not columns or not all(columns):
        raise InputError(f"columns={list(columns)!r}: needs a name for each column of the file")
    if repeated := next((name for name in columns if columns.count(name) > 1), None):
        raise InputError(f"columns={list(columns)!r}: {repeated!r} is there twice; rename one")


DEFAULT_OPTIONS = ReadOptions()
