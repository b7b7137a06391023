"""Repairs of texts: Unicode NFC, entities, double encoding, invisible characters, white space."""

from __future__ import annotations

import dataclasses
import html
import re
import unicodedata
from collections.abc import Callable

import numpy as np

from lingo_model.unicode_text import nfc
from pipeline.prepare.characters import BYTES_AS_WINDOWS_1252, Property
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.rule import where_rows
from pipeline.prepare.texts import Mask, PairTexts, TextColumn


@dataclasses.dataclass(frozen=True, slots=True)
class Repair:
    """A repair of texts.

    Args:
        name: the name under which repaired rows are counted.
        change: takes a text and returns it repaired.
        candidates: for each text of a column, whether the repair may change it. Quick.
        is_on: whether the settings switch the repair on.
    """

    name: str
    change: Callable[[str], str]
    candidates: Callable[[TextColumn], Mask]
    is_on: Callable[[CleanConfig], bool]


# --- Entities ---

_SPACED_ENTITY = re.compile(r"& ?(amp|quot|apos|lt|gt|nbsp|bar|#\d{1,7}|#[xX][0-9a-fA-F]{1,6}) ?;")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Text with tags is HTML, in which an entity is right. Text about HTML quotes entities.
_IS_HTML = re.compile(
    r"</?[A-Za-z][A-Za-z0-9:._-]*(?:\s[^<>]*)?/?>|\b(?:HTML|XML|SGML|XHTML|DocBook)|\b[Ee]ntit"
    r"|[Cc]haracter ref"
)
_MOSES_HYPHEN = re.compile(r" ?@([-/,.])@ ?")
# `&amp;amp;quot;` was escaped three times.
_MAX_ESCAPES = 3


def _unescaped(text: str) -> str:
    """The text without entities and escapes of Moses, unless it is HTML or about HTML."""
    if "@" in text:
        text = _MOSES_HYPHEN.sub(r"\1", text)
    if "&" not in text or _IS_HTML.search(text):
        return text
    for _ in range(_MAX_ESCAPES):
        unescaped = _ENTITY.sub(_character, _SPACED_ENTITY.sub(r"&\1;", text))
        if unescaped == text or not unescaped.strip():
            break
        text = unescaped
    return text


def _character(match: re.Match[str]) -> str:
    if match[0] == "&bar;":  # of Moses; HTML has no entity of this name
        return "|"
    return html.unescape(match[0]).replace("\0", "\ufffd")


def _may_have_entities(column: TextColumn) -> Mask:
    rows = column.have(Property.AMPERSAND)
    if rows.any():
        ends = np.flatnonzero(column.codes == ord(";"))
        rows = rows & column.rows_at(ends)
    at = column.have(Property.AT_SIGN)
    return rows | at if at.any() else rows


# --- Encoding ---

_BYTE_OF = {character: byte for byte, character in enumerate(BYTES_AS_WINDOWS_1252)} | {
    chr(byte): byte for byte in range(0x80, 0x100)
}
_NEXT = f"[{re.escape(''.join(BYTES_AS_WINDOWS_1252[0x80:0xC0]))}\x80-\x9f]"
# The lead byte of N'Ko is `ß`, which good text has: `heiß…`.
_SEQUENCE = re.compile(f"[\xc2-\xde]{_NEXT}|[\xe0-\xef]{_NEXT}{{2}}|[\xf0-\xf4]{_NEXT}{{3}}")
# A no-break space that is a part of a sequence often became a space.
_LOST_NO_BREAK_SPACE = re.compile("\xc3 ")
_C1 = re.compile("[\x80-\x9f]")
# Letters of other scripts than Latin are plausible if there are several.
_MIN_SEQUENCES_OF_OTHER_SCRIPTS = 3


def _decoded(text: str) -> str:
    """The text decoded from UTF-8, if it is UTF-8 that was read as Windows-1252 or Latin-1.

    The whole text must be valid UTF-8, so that good text stays: in `IRMÃO`, no continuation byte
    follows the `Ã`. Rare good texts such as `IRMÃ…` are valid, so a sequence after a capital
    letter is no evidence, and neither is a single sequence for another script.
    """
    if text.isascii():
        return text
    for _ in range(_MAX_ESCAPES):
        decoded = _decoded_once(text)
        if decoded == text:
            break
        text = decoded
    return _C1.sub(lambda match: BYTES_AS_WINDOWS_1252[ord(match[0])], text)


def _decoded_once(text: str) -> str:
    sequences = list(_SEQUENCE.finditer(text))
    if all(map(_may_be_good, sequences)):
        return text
    decoded = _from_bytes(text)
    if decoded is None:
        decoded = _from_bytes(_LOST_NO_BREAK_SPACE.sub("\xc3\xa0", text))
        if decoded is None:
            return text
    others = [c for c in decoded if ord(c) > 127]
    is_latin = all(_is_usual_in_latin_text(c) for c in others)
    if not is_latin and len(others) < _MIN_SEQUENCES_OF_OTHER_SCRIPTS:
        return text
    return decoded if all(map(str.isprintable, set(others) - {"\xa0", "\xad"})) else text


def _may_be_good(sequence: re.Match[str]) -> bool:
    """Whether it may be good text: a capital after another, before a mark, as in `IRMÃ…`."""
    start = sequence.start()
    return len(sequence[0]) == 2 and start > 0 and sequence.string[start - 1].isupper()


def _from_bytes(text: str) -> str | None:
    try:
        return bytes(map(_BYTE_OF.__getitem__, text)).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return None


def _is_usual_in_latin_text(character: str) -> bool:
    """Whether a character is of the Latin blocks up to U+017F, punctuation, or a symbol."""
    return ord(character) < 0x180 or 0x2000 <= ord(character) < 0x2200


_BYTE_OF |= {chr(byte): byte for byte in range(0x80)}


def _may_be_encoded_twice(column: TextColumn) -> Mask:
    if column.is_ascii:
        return np.zeros(len(column), np.bool_)
    is_lead, is_next = column.are(Property.LEAD_BYTE), column.are(Property.NEXT_BYTE)
    rows = column.rows_at(np.flatnonzero(is_lead[:-1] & is_next[1:]))
    if column.have(Property.CONTROL).any():
        rows |= column.rows_at(np.flatnonzero((column.codes >= 0x80) & (column.codes < 0xA0)))
    return rows


# --- Invisible characters ---

_CONTROL_CODES = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
# Marks of one use stay where they have it; `_kept` decides.
_JOINERS = "\u200c\u200d"
_DIRECTION_MARKS = re.compile("[\u061c\u200e\u200f]")
_REMOVABLE = re.compile(
    f"[{_CONTROL_CODES}\u00ad\u200b-\u200d\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufe00-\ufe0f\U000e0000-\U000e007f]"
)
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]"
)
_ALPHABETS_WITHOUT_JOINERS = re.compile("[\\s\x00-\u058f\u1e00-\u1fff\u3000-\u9fff\uac00-\ud7af]")
# Thai, Lao, Burmese and Khmer.
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_KEYS = "#*0123456789"  # which become emoji of keys
_CATEGORIES_WITH_VARIANTS = ("So", "Sm", "Po", "Sk", "Lo")
_TAG_BASE = "\U0001f3f4"  # the black flag, before the letters of a region as tags
_MAX_FLAG_TAGS = 8


def _visible(text: str) -> str:
    """The text without control, zero width and direction characters that have no use in it."""
    if _DIRECTION_MARKS.search(text) and not _RIGHT_TO_LEFT.search(text):
        text = _DIRECTION_MARKS.sub("", text)
    return _REMOVABLE.sub(_kept, text)


def _kept(match: re.Match[str]) -> str:
    """The character if it is of use where it stands, or nothing.

    - Joiners stay after letters of scripts that join, such as Persian and Hindi, and in emoji.
    - Variation selectors stay after symbols and ideographs.
    - Left-to-right and right-to-left marks stay in text with letters of right-to-left scripts.
      Embeddings, overrides and isolates go: translations do not have them in the same places.
    - Zero width spaces stay between letters of Thai, Lao, Burmese and Khmer.
    """
    character, text, at = match[0], match.string, match.start()
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if not before:
        return ""
    if character in _JOINERS:
        is_of_use = not _ALPHABETS_WITHOUT_JOINERS.match(before)
    elif character == "\u200b":
        is_of_use = bool(_WITHOUT_SPACES.match(before) and _WITHOUT_SPACES.match(after))
    elif "\ufe00" <= character <= "\ufe0f":
        is_of_use = before in _KEYS or unicodedata.category(before) in _CATEGORIES_WITH_VARIANTS
    elif character >= "\U000e0020":
        is_of_use = text.rfind(_TAG_BASE, max(0, at - _MAX_FLAG_TAGS), at) >= 0
    else:
        is_of_use = False
    return character if is_of_use else ""


def _may_have_invisible(column: TextColumn) -> Mask:
    return column.have(Property.CONTROL | Property.IGNORABLE)


# --- White space ---

_LINES = "\t-\r\x1c-\x1f\x85\u2028\u2029"
_SPACES = re.compile(f"[{_LINES}]\\s*|\\s{{2,}}")


def _with_single_spaces(text: str) -> str:
    """The text with each run of white space as one space, and stripped.

    A run of one character that is not a tab or a line break, such as no-break spaces, becomes one
    of this character. A single no-break, thin or ideographic space stays: it is typography.
    """
    return _SPACES.sub(_space, text.strip())


def _space(match: re.Match[str]) -> str:
    run = match[0]
    if run[0] in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029" or run.strip(run[0]):
        return " "
    return run[0]


def _may_have_odd_spaces(column: TextColumn) -> Mask:
    is_space = column.are(Property.SPACE)
    rows = column.have(Property.LINE_BREAK)
    rows |= column.rows_at(np.flatnonzero(is_space[1:] & is_space[:-1]))
    return rows | _has_surrounding_space(column)


def _has_surrounding_space(column: TextColumn) -> Mask:
    """For each text, whether white space surrounds it."""
    is_space = column.are(Property.SPACE)
    filled = column.n_characters > 0
    return (is_space[column.starts] | is_space[column.ends - 1]) & filled


# --- Form ---


def _may_not_be_nfc(column: TextColumn) -> Mask:
    if column.is_ascii or unicodedata.is_normalized("NFC", column.joined):
        return np.zeros(len(column), np.bool_)
    return where_rows(
        np.ones(len(column), np.bool_),
        lambda row: not unicodedata.is_normalized("NFC", column.text(row)),
    )


_STRIP = Repair("surrounding_space", str.strip, _has_surrounding_space, lambda config: True)
_NFC = Repair("unicode_nfc", nfc, _may_not_be_nfc, lambda config: True)

REPAIRS: tuple[Repair, ...] = (
    Repair("entities", _unescaped, _may_have_entities, lambda config: config.repair_entities),
    Repair("encoding", _decoded, _may_be_encoded_twice, lambda config: config.repair_encoding),
    Repair("invisible", _visible, _may_have_invisible, lambda config: config.repair_invisible),
    _STRIP,
    Repair(
        "spaces", _with_single_spaces, _may_have_odd_spaces, lambda config: config.repair_spaces
    ),
    _NFC,
)
"""The repairs in the order in which they are made."""

_MAX_ROUNDS = 4
# Repairs that make no other possible.
_OF_SPACES = {"surrounding_space", "spaces"}
_OF_GIVEN_FILES = (_STRIP, _NFC)


def repaired(
    texts: PairTexts, config: CleanConfig, *, is_given: bool = False
) -> tuple[PairTexts, dict[str, Mask]]:
    """Repair a batch of pairs. The repair of a pair does not depend on the others.

    Args:
        texts: the pairs as they were read.
        config: the settings.
        is_given: whether the pairs are those of a given validation or test file. These are only
            stripped and normalised to NFC, so that scores compare with published ones.

    Returns:
        the repaired pairs; and for each repair that is on, the rows of which it changed a side.
        Rows that lost surrounding white space only are not among them.
    """
    repairs = _OF_GIVEN_FILES if is_given else tuple(r for r in REPAIRS if r.is_on(config))
    changed = {repair.name: np.zeros(len(texts), np.bool_) for repair in repairs}
    source = _repaired_side(texts.source, repairs, changed)
    target = _repaired_side(texts.target, repairs, changed)
    del changed[_STRIP.name]
    return dataclasses.replace(texts, source=source, target=target), changed


def _repaired_side(
    column: TextColumn, repairs: tuple[Repair, ...], changed: dict[str, Mask]
) -> TextColumn:
    """A column after all repairs. Notes the rows that each of them changed."""
    if not len(column):
        return column
    candidates = np.zeros(len(column), np.bool_)
    for repair in repairs:
        candidates |= repair.candidates(column)
    new_texts: dict[int, str] = {}
    for row in np.flatnonzero(candidates).tolist():
        text = column.text(row)
        after, names = _repaired_text(text, repairs)
        if after != text:
            new_texts[row] = after
        for name in names:
            changed[name][row] = True
    return column.with_texts(new_texts)


def _repaired_text(text: str, repairs: tuple[Repair, ...]) -> tuple[str, set[str]]:
    """A text after all repairs, and the names of those that changed it.

    A repair can make another possible: without the zero width space in it, an entity is one.
    """
    names: set[str] = set()
    for _ in range(_MAX_ROUNDS):
        before = text
        for repair in repairs:
            after = repair.change(text)
            if after is not text and after != text:
                names.add(repair.name)
                text = after
        if text == before or names <= _OF_SPACES:
            break
    return text, names
