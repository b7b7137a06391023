"""The form of a sentence by which two sentences count as the same."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """Text by which sentences count as the same: NFKC, case folded, letters, marks and digits only.

    A text without any (such as "...") stands for itself.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if _of_a_word(c) else " " for c in folded).split()
    return " ".join(words) or text


def _of_a_word(character: str) -> bool:
    # Vowel signs of Indic scripts and points of Arabic and Hebrew are marks, not letters.
    return character.isalnum() or unicodedata.category(character).startswith("M")
