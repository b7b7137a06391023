"""Properties of code points, as a table that NumPy can index."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from lingo_model.unicode_text import without_ignorable


class Property(enum.IntFlag):
    """What a code point is. One code point can have several of these."""

    LETTER = enum.auto()
    """General categories Lu, Ll, Lt, Lm and Lo."""
    UPPER = enum.auto()
    """Lu and Lt."""
    MARK = enum.auto()
    """Mn, Mc and Me: accents, vowel signs, points of Arabic and Hebrew."""
    DIGIT = enum.auto()
    """Nd: the digits 0 to 9 of any script."""
    WORD = enum.auto()
    """Letters, marks and everything that ``str.isalnum`` accepts."""
    SPACE = enum.auto()
    """What ``str.isspace`` accepts, line feeds and no-break spaces included."""
    CONTROL = enum.auto()
    """Cc without tab, line feed and carriage return."""
    IGNORABLE = enum.auto()
    """Default ignorable code points, such as soft hyphens and zero width spaces."""
    BIDI = enum.auto()
    """Marks, embeddings and isolates that set the direction of text."""
    PUNCTUATION = enum.auto()
    """General categories Pc, Pd, Ps, Pe, Pi, Pf and Po."""
    SYMBOL = enum.auto()
    """Sm, Sc, Sk and So."""
    NO_SPACES = enum.auto()
    """Letters of scripts that are written without spaces between words: Han, Hiragana, Katakana,
    Thai, Lao, Khmer, Burmese and Tibetan."""
    UNUSUAL = enum.auto()
    """Surrogates, private use and unassigned code points, and U+FFFD."""
    COMPOSING = enum.auto()
    """What normalisation may compose with its neighbours: marks, parts of Hangul syllables, and
    characters whose compatibility form is one of these."""
    LINE_BREAK = enum.auto()
    """Tabs, line feeds, carriage returns, and the other characters that end a line or a page."""
    WIDE = enum.auto()
    """Letters that are as wide as two Latin ones: Han, Kana, Hangul and full-width letters."""
    LEAD_BYTE = enum.auto()
    """What the first byte of a UTF-8 sequence becomes if it is read as Windows-1252."""
    NEXT_BYTE = enum.auto()
    """What the other bytes of a UTF-8 sequence become if they are read as Windows-1252."""
    AMPERSAND = enum.auto()
    """``&``, with which entities begin."""
    LESS_THAN = enum.auto()
    """``<``, with which tags begin."""
    PLACEHOLDER_MARK = enum.auto()
    """``%``, ``{`` and ``$``, with which placeholders begin."""
    AT_SIGN = enum.auto()
    """``@``, which e-mail addresses have."""
    BRACKET = enum.auto()
    """Opening and closing brackets, full-width ones included."""
    QUOTE = enum.auto()
    """Quotation marks, but no apostrophes."""


BYTES_AS_WINDOWS_1252 = tuple(
    bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(256)
)
"""The character that each byte becomes if it is read as Windows-1252. The five bytes without a
character become control codes, as browsers read them."""

BRACKETS = ("()（）﹙﹚", "[]［］【】〔〕", "{}｛｝")
"""Brackets by kind."""

QUOTES = '"“”„‟«»「」『』〝〞〟＂'
"""Quotation marks, without single ones, which are apostrophes, too."""

# Plain numbers, because operations on flags take microseconds.
_LETTER, _WORD = int(Property.LETTER), int(Property.WORD)
_SPACE, _WIDE = int(Property.SPACE), int(Property.WIDE)
_BY_CATEGORY: dict[str, int] = {
    **dict.fromkeys(("Lu", "Lt"), int(Property.LETTER | Property.UPPER)),
    **dict.fromkeys(("Ll", "Lm", "Lo"), _LETTER),
    **dict.fromkeys(("Mn", "Mc", "Me"), int(Property.MARK | Property.WORD)),
    "Nd": int(Property.DIGIT),
    "Cc": int(Property.CONTROL),
    **dict.fromkeys(("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"), int(Property.PUNCTUATION)),
    **dict.fromkeys(("Sm", "Sc", "Sk", "So"), int(Property.SYMBOL)),
    **dict.fromkeys(("Cs", "Co", "Cn"), int(Property.UNUSUAL)),
}
_PLAIN = "\t\n\r"
_BY_CHARACTER: dict[Property, Iterable[str]] = {
    Property.LINE_BREAK: "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029",
    Property.LEAD_BYTE: BYTES_AS_WINDOWS_1252[0xC2:0xF5],
    Property.NEXT_BYTE: BYTES_AS_WINDOWS_1252[0x80:0xC0],
    Property.AMPERSAND: "&",
    Property.LESS_THAN: "<",
    Property.PLACEHOLDER_MARK: "%{$",
    Property.AT_SIGN: "@",
    Property.BRACKET: "".join(BRACKETS),
    Property.QUOTE: QUOTES,
}
_END_OF_PLANE_3 = 0x33480
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NO_SPACES = (
    *((0x0E00, 0x0F00), (0x0F00, 0x1000), (0x1000, 0x10A0), (0x1780, 0x1800)),
    *((0x3005, 0x3008), (0x3040, 0x3100), (0x31F0, 0x3200), (0x3400, 0x4DC0), (0x4E00, 0xA000)),
    *((0xF900, 0xFB00), (0xFF66, 0xFFA0), (0x20000, _END_OF_PLANE_3)),
)


@dataclasses.dataclass(frozen=True)
class Foldings:
    """The folded form of every code point: NFKC, case folded, without default ignorable ones.

    Args:
        has_one_code: whether each form is one code point.
        lengths: the number of code points of each form.
        starts: the position of each form in ``codes``.
        codes: all forms. A form of one code point has the position of its code point.
    """

    has_one_code: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint32]


@functools.cache
def foldings() -> Foldings:
    """The folded form of every code point by itself.

    A text without :attr:`Property.COMPOSING` code points is folded by folding each code point.
    """
    lengths = np.ones(sys.maxunicode + 1, np.uint8)
    codes = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    longer: dict[int, str] = {}
    originals = [code for code in _assigned_codes() if code and not 0xD800 <= code <= 0xDFFF]
    # All at once, which is much faster. Nothing composes with the NUL between two characters.
    joined = unicodedata.normalize("NFKC", "\0".join(map(chr, originals))).casefold()
    for code, folded in zip(originals, without_ignorable(joined).split("\0"), strict=True):
        lengths[code] = len(folded)
        if len(folded) == 1:
            codes[code] = ord(folded)
        elif folded:
            longer[code] = folded
    starts = np.arange(sys.maxunicode + 1, dtype=np.int32)
    ends = len(codes)
    for code, folded in longer.items():
        starts[code] = ends
        ends += len(folded)
    tail = np.frombuffer("".join(longer.values()).encode("utf-32-le"), np.uint32)
    return Foldings(lengths == 1, lengths, starts, np.concatenate([codes, tail]))


def properties_of(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """The :class:`Property` flags of some code points. NUL has none."""
    return _table()[codes]


@functools.cache
def _table() -> npt.NDArray[np.uint32]:
    """The flags of every code point."""
    table = np.full(sys.maxunicode + 1, Property.UNUSUAL, np.uint32)
    for code in _assigned_codes():
        table[code] = _flags_of(chr(code))
    table[[ord(character) for character in _PLAIN]] &= ~np.uint32(Property.CONTROL)
    table[list(_BIDI)] |= np.uint32(Property.BIDI)
    for start, stop in _NO_SPACES:
        is_letter = (table[start:stop] & Property.LETTER) != 0
        table[start:stop][is_letter] |= np.uint32(Property.NO_SPACES)
    table[ord("\ufffd")] |= np.uint32(Property.UNUSUAL)
    table[_ignorable_codes()] |= np.uint32(Property.IGNORABLE)
    for code in _assigned_codes():
        if any(map(_composes, unicodedata.normalize("NFKC", chr(code)))):
            table[code] |= np.uint32(Property.COMPOSING)
    for flag, characters in _BY_CHARACTER.items():
        table[list(map(ord, characters))] |= np.uint32(flag)
    table[0] = 0
    table.flags.writeable = False
    return table


def _assigned_codes() -> Iterator[int]:
    """The code points that are assigned or ignorable. The planes after the third are empty."""
    yield from range(_END_OF_PLANE_3)
    yield from range(0xE0000, 0xE1000)  # tags and variation selectors


def _flags_of(character: str) -> int:
    flags = _BY_CATEGORY.get(unicodedata.category(character), 0)
    if character.isalnum():
        flags |= _WORD
    if character.isspace():
        flags |= _SPACE
    if flags & _LETTER and unicodedata.east_asian_width(character) in "WF":
        flags |= _WIDE
    return flags


def _composes(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or "\u1100" <= character <= "\u11ff"


def _ignorable_codes() -> npt.NDArray[np.int64]:
    """The code points that :func:`without_ignorable` removes."""
    is_ignorable = np.ones(sys.maxunicode + 1, np.bool_)
    is_ignorable[0] = is_ignorable[0xD800:0xE000] = False
    kept = without_ignorable("".join(map(chr, np.flatnonzero(is_ignorable).tolist())))
    is_ignorable[np.frombuffer(kept.encode("utf-32-le"), np.uint32)] = False
    return np.flatnonzero(is_ignorable)
