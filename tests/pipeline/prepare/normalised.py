"""The form by which two sentences count as the same, in plain Python. Hashes must agree with it."""

from __future__ import annotations

import unicodedata

from lingo_model.unicode_text import without_ignorable


def normalise(text: str) -> str:
    """Normalise a sentence: NFKC, case folding, and only its letters, marks and digits.

    Spaces go too, because words are written apart and together ("e-mail", "email"), and Chinese
    comes with and without spaces. Default ignorable characters, such as soft hyphens, go because
    nobody sees them. A text without letters, marks and digits, such as "...", keeps its other
    characters.
    """
    folded = without_ignorable(unicodedata.normalize("NFKC", text).casefold())
    return "".join(filter(_is_word_character, folded)) or "".join(folded.split())


def _is_word_character(character: str) -> bool:
    # Indic vowel signs and the points of Arabic and Hebrew are marks, not letters.
    return character.isalnum() or unicodedata.category(character).startswith("M")
