"""The form of text that the subword model reads: Unicode NFC on one line, without control codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

Normalisation = Literal["nfc", "nmt_nfkc"]
"""What happens to a text before a subword model encodes it. ``nfc`` keeps every character that the
model knows. ``nmt_nfkc`` is SentencePiece's own default. It also turns full-width punctuation into
ASCII, no-break spaces into spaces, and ``½`` into ``1/2``."""

DEFAULT_NORMALISATION: Normalisation = "nfc"

_LINE_AND_TAB_CODES = "\t-\r\x1c-\x1f\x85\u2028\u2029"
_LINES_AND_TABS = re.compile(f"[{_LINE_AND_TAB_CODES}]")
_SPACES = re.compile(f"[ {_LINE_AND_TAB_CODES}]+")
_OTHER_CONTROL_CODES = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+")

# The property Default_Ignorable_Code_Point of Unicode, which `unicodedata` does not have: zero
# width spaces and joiners, soft hyphens, variation selectors, bidirectional marks, fillers, tags.
_DEFAULT_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORABLE = re.compile(f"[{_DEFAULT_IGNORABLE}]+")

# Other (controls, format, surrogates, private use, unassigned) and separators (spaces).
_INVISIBLE_CATEGORIES = ("C", "Z")
# The blank of Braille, and what stands for an object or for lost bytes.
_WITHOUT_TEXT = "\u2800\ufffc\ufffd"


def nfc(text: str) -> str:
    """The text in Unicode normalisation form NFC, in which equal letters have equal codes."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def one_line_nfc(text: str) -> str:
    """The text in NFC, with tabs and line breaks as spaces, and without other control codes.

    Every other character stays: no-break and ideographic spaces, full-width punctuation, fractions.
    Runs of spaces stay, too.
    """
    text = nfc(text)
    if text.isprintable():
        return text
    text = _LINES_AND_TABS.sub(" ", text)
    return _OTHER_CONTROL_CODES.sub("", text)


def with_single_spaces(text: str) -> str:
    """The text in NFC, with each run of spaces, tabs and line breaks as one space, and stripped.

    These are the only differences that the round trip through a subword model may make: pieces
    do not hold runs of spaces, and no score counts them.
    """
    return _SPACES.sub(" ", nfc(text)).strip(" ")


def without_ignorable(text: str) -> str:
    """The text without default ignorable characters, such as zero width spaces."""
    return text if text.isascii() else _IGNORABLE.sub("", text)


def has_visible_character(text: str) -> bool:
    """Whether the text has a character that a reader could see and understand.

    Spaces, control codes, default ignorable characters, unassigned and private use codes are not
    visible, and neither are U+FFFC and U+FFFD, which stand for an object and for lost bytes.
    """
    return any(map(_is_visible, text))  # for most texts the first character decides


def _is_visible(character: str) -> bool:
    if character in _WITHOUT_TEXT or _IGNORABLE.match(character):
        return False
    return unicodedata.category(character)[0] not in _INVISIBLE_CATEGORIES


class KnownCharacters:
    """The characters that a subword model knows, and the form in which the model reads a text.

    A text is read in the form of :func:`one_line_nfc`. A model would read an unknown character as
    ``<unk>``, so related characters that the model knows replace it: an unknown space is read as a
    space, an unknown default ignorable character as nothing, and any other unknown character as its
    compatibility form (NFKC) if all characters of that are known, such as ``Ａ`` as ``A``, or ``™``
    as ``TM``. A character that is known, or has no known relative, stays.

    Args:
        characters: the characters that the model knows.

    Attributes:
        plain: the known characters beyond ASCII that are read as they are, wherever they stand.
    """

    # The most texts that are checked at once. Larger chunks are faster if no text needs a change.
    _CHUNK_SIZE = 32

    def __init__(self, characters: Iterable[str]) -> None:
        self._known = {*characters, " "}
        # ASCII has no related characters, so it is never replaced.
        others = sorted(c for c in self._known if not c.isascii())
        self._unknown = re.compile(f"[^\x00-\x7f{re.escape(''.join(others))}]")
        self.plain = "".join(c for c in others if _is_nfc_in_any_text(c))
        self._only_plain = re.compile(f"[ -~{re.escape(self.plain)}]*")
        self._replacements: dict[str, str] = {}

    def as_read(self, texts: Sequence[str]) -> list[str]:
        """The form in which the model reads each text."""
        read: list[str] = []
        for start in range(0, len(texts), self._CHUNK_SIZE):
            chunk = texts[start : start + self._CHUNK_SIZE]
            is_plain = self._only_plain.fullmatch(" ".join(chunk))
            read += chunk if is_plain else map(self._one_as_read, chunk)
        return read

    def _one_as_read(self, text: str) -> str:
        text = one_line_nfc(text)
        if text.isascii():
            return text
        return self._unknown.sub(lambda match: self._replacement(match[0]), text)

    def _replacement(self, character: str) -> str:
        if character not in self._replacements:
            self._replacements[character] = self._known_relative(character)
        return self._replacements[character]

    def _known_relative(self, character: str) -> str:
        if character.isspace():
            return " "
        if not without_ignorable(character):
            return ""
        relative = unicodedata.normalize("NFKC", character)
        return relative if self._known.issuperset(relative) else character


def _is_nfc_in_any_text(character: str) -> bool:
    """Whether NFC keeps the character wherever it stands: it composes with no earlier one."""
    # Only marks, and the vowels and final consonants of Hangul, compose with an earlier character.
    is_hangul_part = "\u1100" <= character <= "\u11ff"
    is_mark = unicodedata.category(character)[0] == "M"
    return not (is_mark or is_hangul_part) and unicodedata.is_normalized("NFC", character)
