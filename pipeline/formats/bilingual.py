"""Reads the formats that hold texts together with their translations.

These are TMX, XLIFF, gettext catalogues (PO and MO), and zip archives with aligned text files.
Every unit of a file is one row. A unit that is not used has a ``problem``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pipeline.formats.rows import Format, Row

BILINGUAL_FORMATS: frozenset[Format] = frozenset(("tmx", "xliff", "po", "mo", "moses_zip"))
"""The formats that :func:`bilingual_rows` reads."""


@dataclasses.dataclass(frozen=True, slots=True)
class BilingualOptions:
    """Which texts of a bilingual file are read.

    Args:
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        states: the states of XLIFF units that are used. None is the default of the format.
        encoding: the encoding of the file. None is the encoding that the file names itself.
    """

    source_lang: str
    target_lang: str
    states: tuple[str, ...] | None = None
    encoding: str | None = None


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
    raise NotImplementedError
