"""A batch has the verdicts and the repairs that each of its rows has alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.registry import RULES, check, details
from pipeline.prepare.rules.repairs import repaired
from pipeline.prepare.texts import PairTexts, TextColumn

# What rules look for, and what is near to it.
_FRAGMENTS = [
    *("dog", "Hund", "a", "A", " ", "  ", "\t", "\n", "\u00a0", "!", "!!!!!!!", ".......", "x" * 9),
    *(
        "12",
        "13",
        "1,000",
        "1.000",
        "1987",
        "٢",
        "&amp;",
        "&",
        ";",
        "& lt ;",
        "@-@",
        "@",
        "a@b.org",
    ),
    *(
        "Ã©",
        "â€™",
        "IRMÃ…",
        "ß…",
        "\x92",
        "\x07",
        "\u200b",
        "\u200d",
        "👩",
        "\u200f",
        "ש",
        "\u202e",
    ),
    *("https://a.org/x", "www.b.com", "%s", "{name}", "<b>", "</b>", "(", ")", '"', "„", "?"),
    *("собака", "犬", "いぬ", "हिन्दी", "ไทย", "e\u0301", "\u212b", "\ufffd", "\u2581", "HTML"),
    *("buy buy buy buy buy", "the dog the dog the dog the dog the dog", "Two dogs play outside."),
]
_TEXT = st.lists(st.sampled_from(_FRAGMENTS), max_size=7).map("".join) | st.lists(
    st.sampled_from(_FRAGMENTS), max_size=6
).map(" ".join)
_ROWS = st.lists(st.tuples(_TEXT, _TEXT) | _TEXT.map(lambda text: (text, text)), max_size=6)
_ALL_ON = CleanConfig(
    min_words=2,
    max_words=12,
    max_characters=90,
    max_word_characters=20,
    ratio_min_characters=5,
    letters_min_characters=4,
    script_min_letters=3,
    match_brackets=True,
    match_quotes=True,
    match_end_punctuation=True,
)


def _texts(rows: list[tuple[str, str]]) -> PairTexts:
    return PairTexts(
        source=TextColumn.of([source for source, _ in rows]),
        target=TextColumn.of([target for _, target in rows]),
        source_lang="en",
        target_lang="ja",
    )


@settings(derandomize=True, max_examples=120, deadline=None)
@given(_ROWS)
def test_the_verdict_on_a_pair_does_not_depend_on_the_others(rows: list[tuple[str, str]]) -> None:
    verdicts = check(_texts(rows), _ALL_ON, all_masks=True)
    assert verdicts.masks is not None and list(verdicts.masks) == [rule.name for rule in RULES]
    for number, row in enumerate(rows):
        alone = check(_texts([row]), _ALL_ON, all_masks=True)
        assert alone.masks is not None
        assert {name: mask[0] for name, mask in alone.masks.items()} == {
            name: mask[number] for name, mask in verdicts.masks.items()
        }
        assert alone.first[0] == verdicts.first[number]


@settings(derandomize=True, max_examples=120, deadline=None)
@given(_ROWS)
def test_the_repair_of_a_pair_does_not_depend_on_the_others(rows: list[tuple[str, str]]) -> None:
    texts, changed = repaired(_texts(rows), CleanConfig())
    for number, row in enumerate(rows):
        alone, changed_alone = repaired(_texts([row]), CleanConfig())
        assert alone.source.to_list() == [texts.source.text(number)]
        assert alone.target.to_list() == [texts.target.text(number)]
        assert {name: mask[0] for name, mask in changed_alone.items()} == {
            name: mask[number] for name, mask in changed.items()
        }


@settings(derandomize=True, max_examples=120, deadline=None)
@given(_ROWS)
def test_a_repaired_text_needs_no_repair(rows: list[tuple[str, str]]) -> None:
    texts, _ = repaired(_texts(rows), CleanConfig())
    again, changed = repaired(texts, CleanConfig())
    assert again.source.to_list() == texts.source.to_list()
    assert again.target.to_list() == texts.target.to_list()
    assert not any(mask.any() for mask in changed.values())


@settings(derandomize=True, max_examples=100, deadline=None)
@given(_ROWS)
def test_every_rejected_pair_has_a_detail(rows: list[tuple[str, str]]) -> None:
    texts = _texts(rows)
    verdicts = check(texts, _ALL_ON)
    found = details(texts, verdicts, range(len(rows)), _ALL_ON)
    assert [detail is None for detail in found] == verdicts.kept.tolist()
    assert all(found[row] for row in np.flatnonzero(~verdicts.kept).tolist())


def test_no_rows_are_no_verdicts() -> None:
    texts, changed = repaired(_texts([]), CleanConfig())
    assert len(texts) == 0 and not any(len(mask) for mask in changed.values())
    assert check(texts, CleanConfig()).first.tolist() == []


def test_the_first_rule_gives_the_reason() -> None:
    row = ("x" * 2000, "7 " * 3)
    verdicts = check(_texts([row]), CleanConfig(), all_masks=True)
    assert verdicts.masks is not None
    rejecting = [name for name, mask in verdicts.masks.items() if mask[0]]
    assert len(rejecting) > 2
    assert verdicts.reasons[verdicts.first[0]] == rejecting[0] == "too_long"


def test_a_huge_rejected_text_does_not_change_the_other_verdicts() -> None:
    rows = [("Two dogs.", "Zwei Hunde."), ("12 a&b " * 40_000, "x"), ("In 1987", "Damals")]
    assert check(_texts(rows), CleanConfig(max_unexpected_script_share=None)).first.tolist() == [
        -1,
        2,
        [rule.name for rule in RULES].index("numbers"),
    ]


def test_a_rule_that_is_off_rejects_nothing() -> None:
    off = {
        name: None if field.default is None or not isinstance(field.default, bool) else False
        for name, field in CleanConfig.model_fields.items()
        if name.startswith(("max_", "match_")) or name == "min_letter_share"
    }
    rows = [
        ("x" * 2000, "y"),
        ("1", "2 %s <b> https://a.org a@b.org"),
        ("é 1 ##########", "!" * 99),
    ]
    assert check(_texts(rows), CleanConfig.model_validate(off)).kept.all()
