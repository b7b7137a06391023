"""The form of a sentence by which two sentences count as the same."""

from __future__ import annotations

import unicodedata

from lingo_model.unicode_text import without_ignorable


def normalise(text: str) -> str:
    """Normalise a sentence: NFKC, case folding, and only its letters, marks and digits.

    Default ignorable characters, such as soft hyphens and zero width spaces, are removed, because
    nobody sees them. Runs of other characters become one space. A text without letters, marks and
    digits, such as "...", keeps its other characters.
    """
    folded = without_ignorable(unicodedata.normalize("NFKC", text).casefold())
    words = "".join(c if _is_word_character(c) else " " for c in folded).split()
    return " ".join(words or folded.split())


def _is_word_character(character: str) -> bool:
    # Indic vowel signs and the points of Arabic and Hebrew are marks, not letters.
    return character.isalnum() or unicodedata.category(character).startswith("M")
