"""The translator: counts, scores, order, and empty texts."""

import dataclasses
import math
from collections.abc import Callable

import pytest

from lingo_model import Bundle, SearchConfig, SimpleSeq2SeqLSTM, Translator
from lingo_model.special_ids import EOS_ID, SOS_ID

PH3, OTHER = 7, 20  # ids of the placeholder <ph3> and of a piece

TEXTS = ["the cat sees a house .", "el perro", "we and you and we and you", "<ph1> is big", "pan"]


def pieces(bundle: Bundle, text: str) -> list[int]:
    return bundle.subwords.encode([text])[0]


def with_followers(
    bundle: Bundle,
    bigram_model: Callable[..., SimpleSeq2SeqLSTM],
    followers: dict[int, dict[int, float]],
) -> Bundle:
    model = bigram_model(followers, bundle.subwords.vocab_size)
    return dataclasses.replace(bundle, model=model)


def test_counts_and_score_include_eos(
    bundle: Bundle, bigram_model: Callable[..., SimpleSeq2SeqLSTM]
) -> None:
    # <ph3> follows sos with 0.5, and eos follows <ph3> with 0.8. Two tokens: (ln 0.5 + ln 0.8) / 2.
    followers = {
        SOS_ID: {PH3: 0.5, EOS_ID: 0.3, OTHER: 0.2},
        PH3: {EOS_ID: 0.8, PH3: 0.2},
    }
    translator = Translator(with_followers(bundle, bigram_model, followers))
    (translation,) = translator.translate(["the small cat"])
    assert translation.text == "<ph3>"
    assert translation.n_source_tokens == len(pieces(bundle, "the small cat")) + 1
    assert translation.n_target_tokens == 2
    assert translation.score == pytest.approx((math.log(0.5) + math.log(0.8)) / 2, abs=1e-5)
    assert not translation.truncated


def test_truncated_translation_counts_no_eos(
    bundle: Bundle, bigram_model: Callable[..., SimpleSeq2SeqLSTM]
) -> None:
    # <ph3> follows sos with 0.5 and itself with 0.9, four times: (ln 0.5 + 3 ln 0.9) / 4.
    followers = {SOS_ID: {PH3: 0.5, EOS_ID: 0.3, OTHER: 0.2}, PH3: {PH3: 0.9, EOS_ID: 0.1}}
    search = SearchConfig(max_length_ratio=0.0, max_length_offset=4)
    translator = Translator(with_followers(bundle, bigram_model, followers), search)
    (translation,) = translator.translate(["the small cat"])
    assert translation.text == "<ph3>" * 4
    assert translation.n_target_tokens == 4
    assert translation.score == pytest.approx((math.log(0.5) + 3 * math.log(0.9)) / 4, abs=1e-5)
    assert translation.truncated


def test_empty_list_gives_an_empty_list(bundle: Bundle) -> None:
    assert Translator(bundle).translate([]) == []


def test_empty_text_does_not_change_the_others(bundle: Bundle) -> None:
    translator = Translator(bundle)
    without = translator.translate(TEXTS)
    with_empty = translator.translate(["", *TEXTS[:2], "", *TEXTS[2:]])
    empty = [with_empty.pop(3), with_empty.pop(0)]
    assert [t.text for t in with_empty] == [t.text for t in without]
    for translation, expected in zip(with_empty, without, strict=True):
        assert translation.score == pytest.approx(expected.score, abs=1e-5)
    assert [t.n_source_tokens for t in empty] == [1, 1]
    assert empty[0].text == empty[1].text


def test_each_text_is_translated_independently_and_in_order(bundle: Bundle) -> None:
    translator = Translator(bundle)
    together = translator.translate(TEXTS)
    assert [t.text for t in together] == [translator.translate([s])[0].text for s in TEXTS]
    assert [t.n_source_tokens for t in together] == [len(pieces(bundle, s)) + 1 for s in TEXTS]
    assert len({t.text for t in together}) == len(TEXTS)  # so a wrong order fails


def test_small_batches_give_the_same_texts(bundle: Bundle) -> None:
    small = Translator(bundle, SearchConfig(max_source_tokens_per_batch=1))
    assert [t.text for t in small.translate(TEXTS)] == [
        t.text for t in Translator(bundle).translate(TEXTS)
    ]
