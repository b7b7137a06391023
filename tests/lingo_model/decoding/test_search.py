"""Greedy search: hand-worked steps, length limits, and that batching changes nothing."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lingo_model import Hypothesis, SearchConfig, SimpleSeq2SeqLSTM, greedy_search

PAD, UNK, SOS, EOS, A, B = range(6)
BigramModel = Callable[..., SimpleSeq2SeqLSTM]

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dot": {"attention": True, "attn_type": "dot"},
    "additive": {"attention": True, "attn_type": "additive"},
    "bidirectional": {"bidirectional": True},
}
each_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())

# Of eight different lengths, in no order of length.
SOURCES = [
    [5, 9, 7, 3],
    [8, 3],
    [4, 4, 11, 6, 10, 3],
    [3],
    [10, 6, 5, 1, 7, 7, 4, 3],
    [11, 5, 3],
    [9, 8, 7, 6, 5, 4, 3],
    [6, 6, 6, 9, 3],
]


def wild_model(**options: Any) -> SimpleSeq2SeqLSTM:
    """Random with weights so large that sources differ in what they give and when they end."""
    torch.manual_seed(0)
    model = SimpleSeq2SeqLSTM(12, 12, emb_dim=8, hidden_dim=16, num_layers=2, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-2.0, 2.0)
        model.output.bias[EOS] += 2.0
    return model.eval()


def fixed_limit(max_tokens: int, **options: Any) -> SearchConfig:
    return SearchConfig(max_length_ratio=0.0, max_length_offset=max_tokens, **options)


# Steps by hand.


def test_two_steps_by_hand(bigram_model: BigramModel) -> None:
    # after sos: a 0.5, b 0.3, eos 0.2  -> a
    # after a:   eos 0.8, b 0.2         -> eos
    # sum log p = ln 0.5 + ln 0.8 = ln 0.4, over two tokens: score = (ln 0.4) / 2
    model = bigram_model({SOS: {A: 0.5, B: 0.3, EOS: 0.2}, A: {EOS: 0.8, B: 0.2}}, 6)
    (found,) = greedy_search(model, [[A, EOS]])
    assert found.token_ids == [A, EOS]
    assert not found.truncated
    assert found.log_prob == pytest.approx(math.log(0.4), abs=1e-5)
    assert found.score == pytest.approx(math.log(0.4) / 2, abs=1e-5)


def test_greedy_takes_the_best_step_not_the_best_sentence(bigram_model: BigramModel) -> None:
    # a first (0.6) though every end after it has 0.5: 0.6 x 0.5 = 0.3 < 0.4 x 1.0 by way of b
    model = bigram_model({SOS: {A: 0.6, B: 0.4}, A: {EOS: 0.5, A: 0.3, B: 0.2}, B: {EOS: 1.0}}, 6)
    (found,) = greedy_search(model, [[A, EOS]])
    assert found.token_ids == [A, EOS]
    assert found.log_prob == pytest.approx(math.log(0.3), abs=1e-5)


def test_blocked_tokens_keep_their_probability(bigram_model: BigramModel) -> None:
    # after sos: unk 0.4, pad 0.3, sos 0.2, a 0.1. Only a may be chosen, and counts with ln 0.1:
    # the rest is not shared out.
    model = bigram_model({SOS: {UNK: 0.4, PAD: 0.3, SOS: 0.2, A: 0.1}}, 6)
    (found,) = greedy_search(model, [[A, EOS]])
    assert found.token_ids == [A, EOS]
    assert found.log_prob == pytest.approx(math.log(0.1), abs=1e-5)
    (with_unk,) = greedy_search(model, [[A, EOS]], SearchConfig(allow_unk=True))
    assert with_unk.token_ids == [UNK, EOS]
    assert with_unk.log_prob == pytest.approx(math.log(0.4), abs=1e-5)


def test_score_is_the_mean_over_all_tokens() -> None:
    assert Hypothesis([A, B, EOS], -6.0, truncated=False).score == -2.0


# Length limits.


def test_max_length_grows_with_the_source_and_drops_the_fraction() -> None:
    search = SearchConfig(max_length_ratio=1.5, max_length_offset=4)
    assert [search.max_length(n) for n in (1, 2, 7)] == [5, 7, 14]


def test_max_length_cuts_each_row_at_its_own_limit(bigram_model: BigramModel) -> None:
    # a follows a for ever. Limits 2 x 1 + 3 = 5 and 2 x 2 + 3 = 7, in one batch.
    # log p = ln 0.5 + 4 ln 0.9 and ln 0.5 + 6 ln 0.9: eos that never came is not counted.
    model = bigram_model({SOS: {A: 0.5, EOS: 0.3, B: 0.2}, A: {A: 0.9, EOS: 0.1}}, 6)
    search = SearchConfig(max_length_ratio=2.0, max_length_offset=3)
    short, longer = greedy_search(model, [[EOS], [A, EOS]], search)
    assert (short.token_ids, short.truncated) == ([A] * 5, True)
    assert (longer.token_ids, longer.truncated) == ([A] * 7, True)
    assert short.log_prob == pytest.approx(math.log(0.5) + 4 * math.log(0.9), abs=1e-5)
    assert longer.log_prob == pytest.approx(math.log(0.5) + 6 * math.log(0.9), abs=1e-5)


def test_ending_at_the_limit_is_not_truncated(bigram_model: BigramModel) -> None:
    model = bigram_model({SOS: {A: 1.0}, A: {B: 1.0}, B: {EOS: 1.0}}, 6)
    (whole,) = greedy_search(model, [[EOS]], fixed_limit(3))
    assert (whole.token_ids, whole.truncated) == ([A, B, EOS], False)
    (cut,) = greedy_search(model, [[EOS]], fixed_limit(2))
    assert (cut.token_ids, cut.truncated) == ([A, B], True)


# What may not be produced.


@each_variant
def test_pad_unk_and_sos_are_never_produced_by_default(options: dict[str, Any]) -> None:
    model = wild_model(**options)
    with torch.no_grad():
        model.output.bias[[PAD, UNK, SOS]] = 500.0  # each would win every step
    produced = {i for found in greedy_search(model, SOURCES) for i in found.token_ids}
    assert produced
    assert not produced & {PAD, UNK, SOS}


def test_unk_is_produced_where_it_is_allowed_and_pad_and_sos_are_not(
    bigram_model: BigramModel,
) -> None:
    model = bigram_model({SOS: {SOS: 0.4, PAD: 0.3, UNK: 0.2, A: 0.1}}, 6)
    (found,) = greedy_search(model, [[A, EOS]], SearchConfig(allow_unk=True))
    assert found.token_ids == [UNK, EOS]


# Batches.


@each_variant
def test_batch_of_one_equals_batch_of_many(options: dict[str, Any]) -> None:
    model = wild_model(**options)
    together = greedy_search(model, SOURCES)
    alone = [greedy_search(model, [source])[0] for source in SOURCES]
    assert [h.token_ids for h in together] == [h.token_ids for h in alone]
    assert [h.truncated for h in together] == [h.truncated for h in alone]
    for many, one in zip(together, alone, strict=True):
        assert many.log_prob == pytest.approx(one.log_prob, abs=1e-4)
    # The comparison means something: rows end at different steps, and one at least by eos.
    assert len({len(h.token_ids) for h in together}) > 2
    assert not all(h.truncated for h in together)


@each_variant
def test_log_prob_is_that_of_the_chosen_tokens(options: dict[str, Any]) -> None:
    model = wild_model(**options)
    for source, found in zip(SOURCES, greedy_search(model, SOURCES), strict=True):
        tgt = torch.tensor([[SOS, *found.token_ids[:-1]]])
        log_p = torch.log_softmax(model(torch.tensor([source]), tgt)[0], dim=-1)
        chosen = log_p.gather(1, torch.tensor([found.token_ids]).T)
        assert found.log_prob == pytest.approx(chosen.sum().item(), abs=1e-3)


@each_variant
def test_small_batches_equal_large_ones(options: dict[str, Any]) -> None:
    model = wild_model(**options)
    large = greedy_search(model, SOURCES)
    small = greedy_search(model, SOURCES, SearchConfig(max_source_tokens_per_batch=12))
    assert [h.token_ids for h in small] == [h.token_ids for h in large]


def test_order_of_input_is_kept() -> None:
    model = wild_model()
    forward = [h.token_ids for h in greedy_search(model, SOURCES)]
    assert len({tuple(ids) for ids in forward}) > len(SOURCES) // 2
    assert [h.token_ids for h in greedy_search(model, SOURCES[::-1])] == forward[::-1]
    assert [h.token_ids for h in greedy_search(model, SOURCES * 2)] == forward * 2


def test_no_sources_give_no_hypotheses() -> None:
    assert greedy_search(wild_model(), []) == []


def watch_batches(model: SimpleSeq2SeqLSTM, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Records the ``[B, S]`` of each batch that the model encodes."""
    shapes: list[list[int]] = []
    encode = model.encode

    def watched(src: Tensor) -> Any:
        shapes.append(list(src.shape))
        return encode(src)

    monkeypatch.setattr(model, "encode", watched)
    return shapes


def test_batches_stay_under_the_token_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Lengths, longest first: 8 7 6 5 4 3 2 1, padding counted, at most 14 tokens:
    # 8 | 7 + one more of 7 = 14 holds (7, 6) | 5 holds two (5, 4) | 3 holds three (3, 2, 1)
    model = wild_model()
    shapes = watch_batches(model, monkeypatch)
    found = greedy_search(model, SOURCES, SearchConfig(max_source_tokens_per_batch=14))
    assert shapes == [[1, 8], [2, 7], [2, 5], [3, 3]]
    assert len(found) == len(SOURCES)


def test_source_over_the_token_limit_is_translated_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wild_model()
    expected = [h.token_ids for h in greedy_search(model, SOURCES)]
    shapes = watch_batches(model, monkeypatch)
    found = greedy_search(model, SOURCES, SearchConfig(max_source_tokens_per_batch=3))
    # 8 7 6 5 4 3 alone; 2 alone, for another of length 2 would make 4; 1
    assert shapes == [[1, n] for n in (8, 7, 6, 5, 4, 3, 2, 1)]
    assert [h.token_ids for h in found] == expected
