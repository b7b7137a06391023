"""The languages of texts: which pairs have a side in another language than the corpus says."""

from __future__ import annotations

import numpy as np

from pipeline.prepare.config import LanguageConfig
from pipeline.prepare.texts import Mask, PairTexts, TextColumn


class LanguageJudge:
    """Judges whether texts are in the language that they are expected to be in.

    A text is wrong only if its expected language is improbable by a margin. Texts that are too
    short are not judged.

    Args:
        source_lang: language tag of the sources, such as ``en``, ``pt-BR`` or ``zh_Hant``.
        target_lang: language tag of the targets.
        config: the settings.
    """

    def __init__(self, source_lang: str, target_lang: str, config: LanguageConfig) -> None:
        self.config = config
        self.notes: list[str] = []
        """A sentence for each side whose language is not known, so that it is not judged."""

    def wrong(self, texts: PairTexts) -> Mask:
        """For each pair, whether a side is in another language than it is expected to be in."""
        return np.zeros(len(texts), np.bool_)

    def languages(self, column: TextColumn) -> list[str | None]:
        """The language tag of each text, or None for a text that is too short to tell."""
        return [None] * len(column)
