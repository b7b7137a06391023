"""The form of text that the subword model reads, and which characters a reader can see."""

import unicodedata

import pytest

from lingo_model.unicode_text import (
    KnownCharacters,
    has_visible_character,
    nfc,
    one_line_nfc,
    with_single_spaces,
    without_ignorable,
)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "他说：“你好（世界）！”％……　ＡＢＣ",
        "« Bonjour\u202f! » 10\u00a0000\u00a0€",
        "½ ² ™ № ﬁ ①",
        "می\u200cخواهم",
        "a  b",
    ],
)
def test_one_line_nfc_keeps_every_character(text: str) -> None:
    assert one_line_nfc(text) == text


@pytest.mark.parametrize("text", ["café", "Ångström", "한국어", "कि", "が", "ở"])
def test_both_normal_forms_become_nfc(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert nfc(unicodedata.normalize(form, text)) == unicodedata.normalize("NFC", text)
        assert one_line_nfc(unicodedata.normalize(form, text)) == nfc(text)


@pytest.mark.parametrize("code", ["\t", "\n", "\x0b", "\x0c", "\r", "\x1c", "\x85", "\u2028"])
def test_a_tab_or_line_break_becomes_a_space(code: str) -> None:
    assert one_line_nfc(f"a{code}b") == "a b"
    assert with_single_spaces(f"{code}a {code} b{code}") == "a b"


@pytest.mark.parametrize("code", ["\x00", "\x07", "\x08", "\x0e", "\x1b", "\x7f", "\x80", "\x9f"])
def test_another_control_code_is_dropped(code: str) -> None:
    assert one_line_nfc(f"a{code}b") == "ab"


def test_only_spaces_and_line_breaks_are_folded() -> None:
    assert with_single_spaces("a\u00a0\u00a0b\u3000 c") == "a\u00a0\u00a0b\u3000 c"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\u00a0", "\u3000", "\u1680", "\u2028", "\t\r\n"),
        *("\u200b", "\ufeff", "\u200e\u200f", "\u200c", "\u200d", "\u2060", "\u00ad", "\u061c"),
        *("\u202a\u202c", "\u2066\u2069", "\ufe0f", "\u034f", "\u180e", "\u3164", "\U000e0041"),
        *("\x00", "\x07", "\x7f", "\x9f", "\ufffd", "\ufffd \ufffd", "\uffff", "\ufdd0", "\u0378"),
        *("\U0001ffff", "\u2800", "\ufffc", "\ue000", "\uf8ff", "\U000f0000"),
    ],
)
def test_invisible_text(text: str) -> None:
    assert not has_visible_character(text)
    assert has_visible_character(f"{text}a")


@pytest.mark.parametrize("text", [".", "字", "\u0301", "😀", "❤\ufe0f", "\u2801", "\u2581", "ー"])
def test_visible_text(text: str) -> None:
    assert has_visible_character(text)


def test_ignorable_characters_are_those_of_unicode() -> None:
    assert without_ignorable("so\u00adft z\u200bero \ufeffbom ❤\ufe0f") == "soft zero bom ❤"
    # Every format character is ignorable, except those that are shown or belong to a script.
    shown = {unicodedata.name(chr(c)) for c in range(0x110000)
             if unicodedata.category(chr(c)) == "Cf" and without_ignorable(chr(c))}  # fmt: skip
    assert all(
        name.startswith(("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN", "INTERLINEAR")) for name in shown
    ), shown


@pytest.fixture
def known() -> KnownCharacters:
    return KnownCharacters("abTMceé，½\u202f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a，b½\u202f", "a，b½\u202f"),  # known
        ("a\u00a0b\u3000", "a b "),
        ("a\u200bb\ufeff\u00ad", "ab"),
        ("ａ™", "aTM"),
        ("e\u0301", "é"),
        ("℃", "℃"),  # "°C" is not known either
        ("漢q", "漢q"),
        ("a\tb\x07", "a b"),
    ],
)
def test_unknown_characters_are_read_as_related_ones(
    known: KnownCharacters, text: str, expected: str
) -> None:
    assert known.as_read([text]) == [expected]


def test_texts_are_read_the_same_in_any_batch(known: KnownCharacters) -> None:
    texts = ["a", "e\u0301", "ａ", "", "a，b", "\u0301", "e", "\t"] * 20
    assert known.as_read(texts) == [known.as_read([text])[0] for text in texts]
    # A text that ends with a letter does not compose with the next text's mark.
    assert known.as_read(["e", "\u0301"]) == ["e", "\u0301"]


def test_the_parts_of_hangul_syllables_compose() -> None:
    known = KnownCharacters("한글각\u1112\u1161\u11ab")
    assert known.as_read([unicodedata.normalize("NFD", "한글")]) == ["한글"]
