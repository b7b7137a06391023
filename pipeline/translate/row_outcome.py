"""What becomes of one row of a unit."""

from __future__ import annotations

import dataclasses

from pipeline.documents.document_translator import TranslatedText


@dataclasses.dataclass(slots=True)
class RowOutcome:
    """What becomes of one row. Either ``reason`` or ``translated`` is set in the end.

    Attributes:
        row_id: the row's id.
        text: the source text; None for a null.
        reason: why the row is quarantined.
        detail: what went wrong, for people.
        translated: the translation.
    """

    row_id: str
    text: str | None
    reason: str | None = None
    detail: str | None = None
    translated: TranslatedText | None = None
