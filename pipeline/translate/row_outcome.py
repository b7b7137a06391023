"""The outcome of one row of a unit."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from pipeline.documents.document_translator import TranslatedText

Place: TypeAlias = "tuple[str | None, int | None]"
"""An input file, and the number of a row's line or of the row in it; see QUARANTINE_COLUMNS."""


@dataclasses.dataclass(slots=True)
class RowOutcome:
    """The outcome of one row. In the end either ``reason`` or ``translated`` is set.

    Attributes:
        row_id: the row's id.
        text: the source text; None for a null.
        reason: why the row is quarantined.
        detail: a description of the failure, for people.
        translated: the translation.
    """

    row_id: str
    text: str | None
    reason: str | None = None
    detail: str | None = None
    translated: TranslatedText | None = None
