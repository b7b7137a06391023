"""The form of a sentence by which two sentences count as the same."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """Normalise a sentence: NFKC, case folding, and only its letters, marks and digits.

    Runs of other characters become one space. A text without letters, marks and digits, such as
    "...", is returned as it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if _is_word_character(c) else " " for c in folded).split()
    return " ".join(words) or text


def _is_word_character(character: str) -> bool:
    # Indic vowel signs and the points of Arabic and Hebrew are marks, not letters.
    return character.isalnum() or unicodedata.category(character).startswith("M")
