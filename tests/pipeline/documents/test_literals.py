"""Literals are found whole, and a translation that lacks one is noticed."""

from __future__ import annotations

import time

import pytest

from pipeline.documents.literals import find_literals, loses_literals
from pipeline.documents.span_kinds import SPAN_KINDS, SpanKind

LITERALS: dict[SpanKind, list[str]] = {
    "numbers": [
        *("42", "1,000.50", "1 000,50", "-12", "7th", "5kg", "$5", "1.250,00 €", "20 %", "100%"),
        *("2024-01-02", "10:30:15", "1/2/2024", "555-0199", "+1", "#3", "MP3", "３"),
    ],
    "emoji": ["😀", "👩‍👩‍👧", "🇪🇸", "👍🏽", "❤️", "😀😀", "3️⃣", "→", ":)", ";-)", "<3", ":smile:"],
    "handles": ["@maria", "@dog_lover", "@a.b", "@ana@example.social"],
    "hashtags": ["#dogs", "#spanish_dogs", "#2024goals", "#perros_españoles", "#狗", "#狗在玩#"],
    "variables": [":name", "$name", "$user->first.name", "[NAME]", "__NAME__", "\\n", "\\textbf"],
    "addresses": [
        *("192.168.1.10", "10.0.0.0/8", "127.0.0.1:80", "fe80::1", "2001:db8:0:0:1:2:3:4"),
        *("00:1a:2b:3c:4d:5e", "v1.2.3", "/usr/local/bin", "~/notes", "../a/b.txt", "report.pdf"),
        *("C:\\Users\\ana", "\\\\server\\share", "example.org", "a.example.com/b?c=1", "0x1F"),
        *("123e4567-e89b-12d3-a456-426614174000", "9f86d081884c7d65"),
    ],
    "emphasis": ["**", "~~"],
}  # fmt: skip


def found(text: str, *kinds: SpanKind) -> list[str]:
    """The literals of a text."""
    spans = find_literals(text, frozenset(kinds or SPAN_KINDS), [(0, len(text))])
    return [text[start:stop] for start, stop in spans]


@pytest.mark.parametrize(
    ("kind", "literal"), [(kind, literal) for kind, some in LITERALS.items() for literal in some]
)
def test_a_literal_is_found_whole(kind: SpanKind, literal: str) -> None:
    if kind == "emphasis":
        assert found(f"The {literal}dog{literal} plays", kind) == [literal, literal]
        return
    for text in (
        f"The dog {literal} plays.",
        f"{literal} plays",
        f"It is {literal}",
        f"({literal})",
    ):
        if literal in (":)", ";-)", "<3", "#狗") and text[0] == "(":
            continue  # at a word's beginning or end only
        assert found(text) == [literal], text


@pytest.mark.parametrize(
    "text",
    [
        "note: text",
        "a:b",
        "and/or",
        "km/h",
        "U.S. e.g. this",
        "C# * x",
        "5",
        "a_b - c",
        "Dr.",
        "he/she",
    ],
)
def test_ordinary_text_has_no_literals_but_numbers(text: str) -> None:
    assert found(text, *(kind for kind in SPAN_KINDS if kind != "numbers")) == []


def test_literals_without_a_letter_between_them_are_one() -> None:
    assert found("See 3, 4, @me and 5.") == ["3, 4, @me", "5"]


def test_literals_are_found_in_the_given_ranges_only() -> None:
    text = "5 {a5} 6"
    assert find_literals(text, frozenset({"numbers"}), [(0, 2), (6, 8)]) == [(0, 1), (7, 8)]


@pytest.mark.parametrize(
    ("source", "translation", "is_lost"),
    [
        ("It costs 1,000.50.", "Cuesta 1.000,50.", False),
        ("It costs 1,000.50.", "Cuesta 1.000,05.", True),
        ("It costs 5 %.", "Cuesta 5%.", False),
        ("It costs $5.", "Cuesta 5.", True),
        ("@ana sees @ana", "@ana ve a @ana", False),
        ("@ana sees @ana", "@ana ve", True),
        ("I like it 😀", "Me gusta", True),
        ("The **dog**", "El **perro**", False),
        ("The **dog**", "El perro", True),
        ("P(A|B)", "P(A B)", True),
        ("No literal", "Ninguno 5", False),
        ("Seven", "7 @x", False),
    ],
)
def test_a_translation_that_lacks_a_literal(source: str, translation: str, is_lost: bool) -> None:
    assert loses_literals(source, translation, frozenset(SPAN_KINDS)) is is_lost
    assert not loses_literals(source, translation, frozenset())


@pytest.mark.parametrize(
    "unit", ["$", "+#", "1,", "1 111", "/a", "~/a", "\U0001f415\u200d", "a.", "::"]
)
def test_the_search_takes_linear_time(unit: str) -> None:
    seconds = []
    for size in (20_000, 80_000):
        text = unit * (size // len(unit))
        started = time.process_time()
        find_literals(text, frozenset(SPAN_KINDS), [(0, len(text))])
        seconds.append(time.process_time() - started)
    assert seconds[1] < 10 * seconds[0] + 0.2
