"""Documents are split into sentences and joined again."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingo_model.special_ids import PLACEHOLDERS
from pipeline.documents import segmentation
from pipeline.documents.segmentation import (
    Part,
    Segment,
    joined,
    segments_of,
    split_text,
    without_symbols,
)
from pipeline.documents.span_kinds import SPAN_KINDS

# Characters that the segmentation treats specially, and invisible ones.
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("ab. !?\n\t\r\"'()«»¿。！？…,;:A1é{}%<>@&/\\sd=-_ "),
        st.sampled_from("\u2028\u2029\x85\x00\x0b\x0c\x1c\x1f\u200b\u200d\u202e\ufeff\u00a0\u3000"),
        st.sampled_from("😀👩‍👩‍👧 שלום مرحبا é"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
SPANS = [
    "{name}",
    "%s",
    "%(x)d",
    "{{ x }}",
    "https://a.b/c?d=e",
    "me@x.org",
    "<b>",
    "</b>",
    "<ph3>",
]
BETWEEN = [" Two dogs run. ", "Mr. Li ", "\n\n", "? ", "e.g. ", "x", " ", "50% ", "。"]
PIECES = st.lists(st.sampled_from([*SPANS, "<ph3>", *BETWEEN]), max_size=30).map("".join)


def text_of(parts: list[Part]) -> str:
    """The concatenated parts."""
    return joined(parts, lambda segment: segment.text)


def model_inputs(text: str, language: str = "en") -> list[str]:
    """The segments of a text as the model reads them."""
    return [segment.model_input for segment in segments_of(split_text(text, language))]


SIMPLE = st.lists(
    st.sampled_from([*"zBa5é '-.", "Mr", "I", "No", "北京", "สวัสดี", "नमस्ते", ", "]),
    max_size=12,
).map("".join)


@settings(max_examples=1000, deadline=None)
@given(SIMPLE, st.sampled_from(["en", "de", "fr", "zh", "hi", "th", "ar", "my", "xx"]))
def test_the_fast_path_for_simple_lines_changes_nothing(text: str, language: str) -> None:
    parts = split_text(text, language)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_ONE_SENTENCE", re.compile("(?!)"))
        assert split_text(text, language) == parts


@settings(max_examples=500, deadline=None)
@given(st.one_of(HOSTILE, PIECES), st.sampled_from(["en", "de", "zh", "ar", "xx"]))
def test_the_parts_of_any_text_concatenate_to_the_text(text: str, language: str) -> None:
    parts = split_text(text, language)
    assert text_of(parts) == text
    for segment in segments_of(parts):
        assert segment.text == segment.text.strip() != ""
        assert any(map(str.isalpha, without_symbols(segment.model_input)))
        assert len(segment.spans) <= len(PLACEHOLDERS)
        assert segment.restored(segment.model_input) == segment.text
        assert text_of(segment.halves()) == segment.text
        assert text_of(segment.between_spans()) == segment.text
        assert all(not part.spans for part in segments_of(segment.between_spans()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two dogs run.", ["Two dogs run."]),
        ("Dogs run. Cats sleep!  Who?", ["Dogs run.", "Cats sleep!", "Who?"]),
        ("Mr. Smith paid 3.5 dollars, e.g. here.", ["Mr. Smith paid 3.5 dollars, e.g. here."]),
        ("One\nTwo\r\n\r\nThree\u2028Four", ["One", "Two", "Three", "Four"]),
        ("  a  \t b  ", ["a  \t b"]),
        ("", []),
        (" \n ", []),
        ("42 — 7 %, 😀!", []),
        ("42. Yes. 43.", ["Yes."]),
        ("See https://a.b/cd. Then go.", ["See <ph0>.", "Then go."]),
        ("https://a.b/c?d=e", []),
        ("Write to me@x.org, {name}!", ["Write to <ph0>, <ph1>!"]),
        ("%s has %(n)d of {{ total }}", ["<ph0> has <ph1> of <ph2>"]),
        ("<b>Bold</b> &amp; plain", ["<ph0>Bold<ph1> <ph2> plain"]),
        ("100% sure, 5 % off, 20%discount", ["100% sure, 5 % off, 20%discount"]),
        ("1 < 2 and 3 > 2", ["1 < 2 and 3 > 2"]),
        ("<ph7> helps.", ["<ph0> helps."]),
        ("{a. B c}", []),
    ],
)
def test_sentences_as_the_model_reads_them(text: str, expected: list[str]) -> None:
    assert model_inputs(text) == expected


def test_abbreviations_depend_on_the_language() -> None:
    text = "Er kam am 3. Mai. Dann ging er."
    assert model_inputs(text, "de") == ["Er kam am 3. Mai.", "Dann ging er."]
    assert model_inputs(text, "en") != model_inputs(text, "de")


def test_spans_are_restored_in_the_order_of_their_symbols() -> None:
    (segment,) = segments_of(split_text("{a} sees <b>me</b>", "en"))
    assert segment.model_input == "<ph0> sees <ph1>me<ph2>"
    assert segment.restored("<ph1>Mich<ph2> sieht <ph0>.") == "<b>Mich</b> sieht {a}."
    assert segment.restored("<ph1>Mich<ph2> sieht.") is None  # a lost symbol
    assert segment.restored("<ph0><ph1>Mich<ph2> sieht <ph0>.") is None  # a repeated symbol
    assert segment.restored("<ph0><ph1>Mich<ph2> sieht <ph3>.") is None  # an invented symbol


@pytest.mark.parametrize(
    ("translation", "expected"),
    [
        ("Er <ph0>schläft", "Er schläft"),
        ("<ph0> Er schläft.", "Er schläft."),
        ("Er <ph3> schläft <ph1>.", "Er schläft."),
        ("Er<ph0>schläft", "Erschläft"),
        ("Er schläft. <ph0> <ph1>", "Er schläft."),
        ("Er, <ph0>, schläft", "Er,, schläft"),
    ],
)
def test_a_symbol_without_a_span_is_removed_with_its_space(translation: str, expected: str) -> None:
    assert Segment("He sleeps").restored(translation) == expected


def test_more_spans_than_symbols_are_shared_among_segments() -> None:
    text = "a ".join(f"{{v{i}}}" for i in range(25))
    segments = list(segments_of(split_text(text, "en")))
    assert [len(segment.spans) <= len(PLACEHOLDERS) for segment in segments] == [True] * 4
    assert text_of(split_text(text, "en")) == text


def test_the_parts_between_spans() -> None:
    (segment,) = segments_of(split_text("Call {name} at <b>nine</b>.", "en"))
    assert segment.between_spans() == [
        Segment("Call"), " {name} ", Segment("at"), " <b>", Segment("nine"), "</b>.",
    ]  # fmt: skip
    (segment,) = segments_of(split_text("See www.x.org, (the dog's) {a}; please!", "en"))
    assert segment.between_spans() == [
        Segment("See"), " www.x.org, (", Segment("the dog's"), ") {a}; ", Segment("please"), "!",
    ]  # fmt: skip
    hindi = Segment("{x}, नमस्ते।", ((0, 3),))
    assert hindi.between_spans() == ["{x}, ", Segment("नमस्ते"), "।"]


def test_punctuation_that_the_model_adds_to_a_part_between_spans_is_dropped() -> None:
    part = next(segments_of(Segment("Call {name}.", ((5, 11),)).between_spans()))
    assert part.text == "Call"
    assert part.restored("¿Llama?") == "Llama"
    assert Segment("Call").restored("¿Llama?") == "¿Llama?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "aa bb, cc dd ee ff",
            ["aa bb,", "cc dd ee ff"],
        ),  # after a clause that is not too near an end
        ("aa bb cc dd", ["aa bb", "cc dd"]),
        ("aaaabbbb", ["aaaa", "bbbb"]),
        ("a, bbbb cccc dddd", ["a, bbbb", "cccc dddd"]),
        ("xxx e\u0301 yy".replace(" ", ""), ["xxx", "e\u0301yy"]),  # an accent stays on its letter
    ],
)
def test_a_long_segment_is_cut_near_its_middle(text: str, expected: list[str]) -> None:
    assert [part.text for part in segments_of(Segment(text).halves())] == expected


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a b. ",
        "{",
        "<a ",
        "a@",
        "%(",
        "www.",
        "&",
        "x://",
        "{{",
        "\n",
        "é",
        "a.\u2003",
        "<!--",
        "{%",
        "{a,plural,{'",
        "<a \"'",
        "<script>",
        "](",
        "[a](b",
        "` `` ",
        "~~~\n",
        "1. ",
        "中。",
        "<!---->a",
        "|a",
        "x://)",
        "http://",
        "http://a&lt;",
        "<p>a",
    ],
)
def test_splitting_takes_linear_time(unit: str) -> None:
    text = unit * (500_000 // len(unit))
    started = time.monotonic()
    assert text_of(split_text(text, "en")) == text
    assert time.monotonic() - started < 20  # seconds; quadratic time would be hours


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("詳細はhttps://example.com/a?b=1をご覧ください。", "https://example.com/a?b=1"),
        ("请联系me@x.org了解详情", "me@x.org"),
        ("见www.x.org。", "www.x.org"),
        ("한국은 https://a.kr/b을 봐", "https://a.kr/b"),
        ("Siehe https://a.de/Größe?q=ä.", "https://a.de/Größe?q=ä"),
        ("Mail andré.x+y@exämple.co.uk.", "andré.x+y@exämple.co.uk"),
    ],
)
def test_an_address_ends_before_text_that_is_written_without_spaces(text: str, span: str) -> None:
    (segment,) = segments_of(split_text(text, "ja"))
    assert [segment.text[start:stop] for start, stop in segment.spans] == [span]


def test_a_regional_tag_has_the_rules_of_its_language() -> None:
    text = "Er kam am 3. Mai. Sie blieb."
    for tag in ("de", "de-AT", "de_DE", "DE"):
        assert model_inputs(text, tag) == ["Er kam am 3. Mai.", "Sie blieb."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# The dog plays #\n\n> - The cat", ["The dog plays", "The cat"]),
        ("- [ ] The dog\n* The cat\n1. One\n2) Two", ["The dog", "The cat", "One", "Two"]),
        ("| The dog | a \\| b |\n|---|:-:|", ["The dog", "a \\| b"]),
        ("|a|b|\n| P(A) |", ["a", "b", "P(A)"]),
        ("The dog | The cat", ["The dog", "The cat"]),
        ("Is P(A|B) small", ["Is P(A|B) small"]),
        ("The dog - the cat. 3 - 2", ["The dog - the cat."]),
        ("C# and F#", ["C# and F#"]),
    ],
)
def test_marks_of_lines_stay_outside_of_segments(text: str, expected: list[str]) -> None:
    assert model_inputs(text) == expected
    assert text_of(split_text(text, "en")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>The dog.</p><p>The cat</p>", ["The dog.", "The cat"]),
        ("<li>One<li>Two <b>more</b>", ["One", "Two <ph0>more<ph1>"]),
        ("<!-- a > b --> The dog", ["The dog"]),
        ("The <!-- x --> dog", ["The <ph0> dog"]),
        ("{% if a %} The dog", ["The dog"]),
    ],
)
def test_tags_of_blocks_and_leading_comments_are_kept(text: str, expected: list[str]) -> None:
    assert model_inputs(text) == expected
    assert text_of(split_text(text, "en")) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The teacher\nis sad.", ["The teacher is sad."]),
        ("The teacher  \r\n  is sad. The cat\nsleeps", ["The teacher is sad.", "The cat sleeps"]),
        ("The teacher\n\nis sad.", ["The teacher", "is sad."]),
        ("The teacher.\nis sad", ["The teacher.", "is sad"]),
        ("Dogs:\n- one\n  dog\n- two", ["Dogs:", "one dog", "two"]),
        ("# Dogs\nThe dog\nplays", ["Dogs", "The dog plays"]),
        ("a | b\nc | d", ["a", "b", "c", "d"]),
        ("See {a}\nand {b}", ["See <ph0> and <ph1>"]),
        ("狗在\n玩。", ["狗在玩。"]),
        ("well-\nknown", ["well-known"]),
        ("The dog\n---\nplays", ["The dog", "plays"]),
    ],
)
def test_lines_of_a_paragraph_are_joined_on_demand(text: str, expected: list[str]) -> None:
    parts = split_text(text, "en", join_lines=True)
    assert [segment.model_input for segment in segments_of(parts)] == expected
    assert text_of(parts) == text


@settings(max_examples=300, deadline=None)
@given(st.one_of(HOSTILE, PIECES), st.sampled_from(["en", "zh"]))
def test_the_parts_of_joined_lines_concatenate_to_the_text(text: str, language: str) -> None:
    assert text_of(split_text(text, language, join_lines=True)) == text


@settings(max_examples=200, deadline=None)
@given(PIECES)
def test_literals_are_spans_outside_of_the_other_spans(text: str) -> None:
    kinds = frozenset(SPAN_KINDS)
    for segment in segments_of(split_text(text + " @me 5", "en")):
        parts = segment.with_literals(kinds)
        assert text_of(parts) == segment.text
        assert all(len(piece.spans) <= len(PLACEHOLDERS) for piece in segments_of(parts))
