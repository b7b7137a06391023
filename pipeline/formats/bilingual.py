"""Reads the formats that hold texts together with their translations.

These are TMX, XLIFF, gettext catalogues (PO and MO), and zip archives with aligned text files.
Every unit of a file is one row. A unit that is not used has a ``problem``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from lingo_model import InputError
from pipeline.formats.gettext_catalogue import CATALOGUE_STATES, TRANSLATED, Catalogue
from pipeline.formats.mo import mo_rows
from pipeline.formats.moses_zip import moses_zip_rows
from pipeline.formats.options import check_encoding
from pipeline.formats.po import po_rows
from pipeline.formats.read import checked_rows
from pipeline.formats.rows import Format, Row, check_readable, format_of
from pipeline.formats.signatures import BILINGUAL_NAMES, BilingualFormat
from pipeline.formats.tmx import tmx_rows
from pipeline.formats.xliff import DEFAULT_STATES, KNOWN_STATES, xliff_rows

BILINGUAL_FORMATS: frozenset[Format] = frozenset(get_args(BilingualFormat))
"""The formats that :func:`bilingual_rows` reads."""

FORMATS_WITH_STATES: frozenset[Format] = frozenset(("xliff", "po"))
"""The formats whose units have states, which :class:`BilingualOptions` can choose."""


@dataclasses.dataclass(frozen=True, slots=True)
class BilingualOptions:
    """Which texts of a bilingual file are read.

    Args:
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        states: the states of the units of XLIFF and PO that are used. None is the default of the
            format.
        encoding: the encoding of the file. None is the encoding that the file names itself.

    Raises:
        InputError: a value is not allowed.
    """

    source_lang: str
    target_lang: str
    states: tuple[str, ...] | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.encoding is not None:
            check_encoding(self.encoding)
        known = (*KNOWN_STATES, *CATALOGUE_STATES)
        for state in self.states or ():
            if state not in known and not state.startswith("x-"):
                raise InputError(
                    f"states: {state!r} is unknown; XLIFF has {', '.join(KNOWN_STATES)}, and PO "
                    f"has {', '.join(CATALOGUE_STATES)}"
                )
        if self.states == ():
            raise InputError("states=[]: needs one state or more, or leave it out")


def bilingual_rows(path: Path, options: BilingualOptions) -> Iterator[Row]:
    """Read every unit of a file, in order, as a stream.

    Args:
        path: the file.
        options: which texts are read.

    Returns:
        rows with the values ``source`` and ``target``. Each is a text, or None if the unit does not
        have a text in that language.

    Raises:
        InputError: the file is missing, damaged or of another format, or it does not have the
            languages.
    """
    check_readable(path)
    file_format = format_of(path, options.encoding)
    rows = _rows(path, file_format, options)
    yield from checked_rows(path, rows, file_format, options.encoding)


def _rows(path: Path, file_format: Format, options: BilingualOptions) -> Iterator[Row]:
    languages = (options.source_lang, options.target_lang)
    if options.states is not None and file_format not in FORMATS_WITH_STATES:
        raise InputError(f"{path}: 'states' is for XLIFF and PO; leave it out")
    catalogue = Catalogue(path, *languages, options.states or (TRANSLATED,))
    match file_format:
        case "tmx":
            return tmx_rows(path, *languages, options.encoding)
        case "xliff":
            return xliff_rows(path, *languages, options.states or DEFAULT_STATES, options.encoding)
        case "po":
            return po_rows(path, catalogue, options.encoding)
        case "mo":
            return mo_rows(path, catalogue, options.encoding)
        case "moses_zip":
            return moses_zip_rows(path, *languages, options.encoding)
        case _:
            raise InputError(
                f"{path}: is none of the formats that hold translations "
                f"({', '.join(BILINGUAL_NAMES.values())}); give it as a table"
            )
