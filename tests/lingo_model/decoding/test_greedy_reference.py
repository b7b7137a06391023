"""The oracle of greedy search: steps worked by hand, length limits, and independence of batches."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lingo_model import Hypothesis, SearchConfig, SimpleSeq2SeqLSTM

PAD, UNK, SOS, EOS, A, B = range(6)
BigramModel = Callable[..., SimpleSeq2SeqLSTM]
GreedySearch = Callable[..., list[Hypothesis]]

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dot": {"attention": True, "attn_type": "dot"},
    "additive": {"attention": True, "attn_type": "additive"},
    "bidirectional": {"bidirectional": True},
}
each_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())

# Eight different lengths, not sorted.
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
    """A random model with weights so large that translations differ in text and length."""
    torch.manual_seed(0)
    model = SimpleSeq2SeqLSTM(12, 12, emb_dim=8, hidden_dim=16, num_layers=2, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-2.0, 2.0)
        model.output.bias[EOS] += 2.0
    return model.eval()


def fixed_limit(max_tokens: int, **options: Any) -> SearchConfig:
    return SearchConfig(max_length_ratio=0.0, max_length_offset=max_tokens, **options)


# Steps worked by hand.


def test_two_steps_by_hand(bigram_model: BigramModel, greedy_search: GreedySearch) -> None:
    # after sos: a 0.5, b 0.3, eos 0.2  -> a
    # after a:   eos 0.8, b 0.2         -> eos
    # sum log p = ln 0.5 + ln 0.8 = ln 0.4, over two tokens: score = (ln 0.4) / 2
    model = bigram_model({SOS: {A: 0.5, B: 0.3, EOS: 0.2}, A: {EOS: 0.8, B: 0.2}}, 6)
    (hypothesis,) = greedy_search(model, [[A, EOS]])
    assert hypothesis.token_ids == [A, EOS]
    assert not hypothesis.truncated
    assert hypothesis.log_prob == pytest.approx(math.log(0.4), abs=1e-5)
    assert hypothesis.score == pytest.approx(math.log(0.4) / 2, abs=1e-5)


def test_greedy_takes_the_best_step_not_the_best_sentence(
    bigram_model: BigramModel, greedy_search: GreedySearch
) -> None:
    # Greedy search takes a first (0.6), and a eos has 0.6 x 0.5 = 0.3. The best sentence is b eos
    # with 0.4 x 1.0 = 0.4.
    model = bigram_model({SOS: {A: 0.6, B: 0.4}, A: {EOS: 0.5, A: 0.3, B: 0.2}, B: {EOS: 1.0}}, 6)
    (hypothesis,) = greedy_search(model, [[A, EOS]])
    assert hypothesis.token_ids == [A, EOS]
    assert hypothesis.log_prob == pytest.approx(math.log(0.3), abs=1e-5)


def test_blocked_tokens_keep_their_probability(
    bigram_model: BigramModel, greedy_search: GreedySearch
) -> None:
    # after sos: unk 0.4, pad 0.3, sos 0.2, a 0.1. Only a may be chosen. It counts with ln 0.1: the
    # probabilities are not renormalised.
    model = bigram_model({SOS: {UNK: 0.4, PAD: 0.3, SOS: 0.2, A: 0.1}}, 6)
    (hypothesis,) = greedy_search(model, [[A, EOS]])
    assert hypothesis.token_ids == [A, EOS]
    assert hypothesis.log_prob == pytest.approx(math.log(0.1), abs=1e-5)
    (with_unk,) = greedy_search(model, [[A, EOS]], SearchConfig(allow_unk=True))
    assert with_unk.token_ids == [UNK, EOS]
    assert with_unk.log_prob == pytest.approx(math.log(0.4), abs=1e-5)


def test_score_is_the_mean_over_all_tokens() -> None:
    assert Hypothesis([A, B, EOS], -6.0, truncated=False).score == -2.0


# Length limits.


def test_max_length_grows_with_the_source_and_drops_the_fraction() -> None:
    search = SearchConfig(max_length_ratio=1.5, max_length_offset=4)
    assert [search.max_length(n) for n in (1, 2, 7)] == [5, 7, 14]


def test_max_length_cuts_each_row_at_its_own_limit(
    bigram_model: BigramModel, greedy_search: GreedySearch
) -> None:
    # a follows a without end. Limits 2 x 1 + 3 = 5 and 2 x 2 + 3 = 7, in one batch.
    # log p = ln 0.5 + 4 ln 0.9 and ln 0.5 + 6 ln 0.9. The missing eos is not counted.
    model = bigram_model({SOS: {A: 0.5, EOS: 0.3, B: 0.2}, A: {A: 0.9, EOS: 0.1}}, 6)
    search = SearchConfig(max_length_ratio=2.0, max_length_offset=3)
    short, longer = greedy_search(model, [[EOS], [A, EOS]], search)
    assert (short.token_ids, short.truncated) == ([A] * 5, True)
    assert (longer.token_ids, longer.truncated) == ([A] * 7, True)
    assert short.log_prob == pytest.approx(math.log(0.5) + 4 * math.log(0.9), abs=1e-5)
    assert longer.log_prob == pytest.approx(math.log(0.5) + 6 * math.log(0.9), abs=1e-5)


def test_ending_at_the_limit_is_not_truncated(
    bigram_model: BigramModel, greedy_search: GreedySearch
) -> None:
    model = bigram_model({SOS: {A: 1.0}, A: {B: 1.0}, B: {EOS: 1.0}}, 6)
    (complete,) = greedy_search(model, [[EOS]], fixed_limit(3))
    assert (complete.token_ids, complete.truncated) == ([A, B, EOS], False)
    (cut,) = greedy_search(model, [[EOS]], fixed_limit(2))
    assert (cut.token_ids, cut.truncated) == ([A, B], True)


# Blocked ids.


@each_variant
def test_pad_unk_and_sos_are_blocked_by_default(
    options: dict[str, Any], greedy_search: GreedySearch
) -> None:
    model = wild_model(**options)
    with torch.no_grad():
        model.output.bias[[PAD, UNK, SOS]] = 500.0  # without blocking, each would win every step
    produced = {i for hypothesis in greedy_search(model, SOURCES) for i in hypothesis.token_ids}
    assert produced
    assert not produced & {PAD, UNK, SOS}


def test_allow_unk_allows_unk_but_not_pad_and_sos(
    bigram_model: BigramModel, greedy_search: GreedySearch
) -> None:
    model = bigram_model({SOS: {SOS: 0.4, PAD: 0.3, UNK: 0.2, A: 0.1}}, 6)
    (hypothesis,) = greedy_search(model, [[A, EOS]], SearchConfig(allow_unk=True))
    assert hypothesis.token_ids == [UNK, EOS]


# Batches.


@each_variant
def test_batch_of_one_equals_batch_of_many(
    options: dict[str, Any], greedy_search: GreedySearch
) -> None:
    model = wild_model(**options)
    together = greedy_search(model, SOURCES)
    alone = [greedy_search(model, [source])[0] for source in SOURCES]
    assert [h.token_ids for h in together] == [h.token_ids for h in alone]
    assert [h.truncated for h in together] == [h.truncated for h in alone]
    for batched, single in zip(together, alone, strict=True):
        assert batched.log_prob == pytest.approx(single.log_prob, abs=1e-4)
    # The rows end at different steps, and at least one ends by eos.
    assert len({len(h.token_ids) for h in together}) > 2
    assert not all(h.truncated for h in together)


@each_variant
def test_log_prob_is_that_of_the_chosen_tokens(
    options: dict[str, Any], greedy_search: GreedySearch
) -> None:
    model = wild_model(**options)
    for source, hypothesis in zip(SOURCES, greedy_search(model, SOURCES), strict=True):
        tgt = torch.tensor([[SOS, *hypothesis.token_ids[:-1]]])
        log_p = torch.log_softmax(model(torch.tensor([source]), tgt)[0], dim=-1)
        chosen = log_p.gather(1, torch.tensor([hypothesis.token_ids]).T)
        assert hypothesis.log_prob == pytest.approx(chosen.sum().item(), abs=1e-3)


@each_variant
def test_small_batches_equal_large_ones(
    options: dict[str, Any], greedy_search: GreedySearch
) -> None:
    model = wild_model(**options)
    large = greedy_search(model, SOURCES)
    small = greedy_search(model, SOURCES, SearchConfig(max_source_tokens_per_batch=12))
    assert [h.token_ids for h in small] == [h.token_ids for h in large]


def test_order_of_input_is_kept(greedy_search: GreedySearch) -> None:
    model = wild_model()
    forward = [h.token_ids for h in greedy_search(model, SOURCES)]
    assert len({tuple(ids) for ids in forward}) > len(SOURCES) // 2
    assert [h.token_ids for h in greedy_search(model, SOURCES[::-1])] == forward[::-1]
    assert [h.token_ids for h in greedy_search(model, SOURCES * 2)] == forward * 2


def test_no_sources_give_no_hypotheses(greedy_search: GreedySearch) -> None:
    assert greedy_search(wild_model(), []) == []


def watch_batches(model: SimpleSeq2SeqLSTM, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Record the shape ``[B, S]`` of each batch that the model encodes."""
    shapes: list[list[int]] = []
    encode = model.encode

    def watched(src: Tensor) -> Any:
        shapes.append(list(src.shape))
        return encode(src)

    monkeypatch.setattr(model, "encode", watched)
    return shapes


def test_batches_stay_under_the_token_limit(
    monkeypatch: pytest.MonkeyPatch, greedy_search: GreedySearch
) -> None:
    # Lengths, longest first: 8 7 6 5 4 3 2 1. A batch has at most 14 tokens with padding:
    # (8), 2 x 7 = 14 for (7, 6), 2 x 5 = 10 for (5, 4), 3 x 3 = 9 for (3, 2, 1).
    model = wild_model()
    shapes = watch_batches(model, monkeypatch)
    hypotheses = greedy_search(model, SOURCES, SearchConfig(max_source_tokens_per_batch=14))
    assert shapes == [[1, 8], [2, 7], [2, 5], [3, 3]]
    assert len(hypotheses) == len(SOURCES)


def test_source_over_the_token_limit_is_translated_alone(
    monkeypatch: pytest.MonkeyPatch, greedy_search: GreedySearch
) -> None:
    model = wild_model()
    expected = [h.token_ids for h in greedy_search(model, SOURCES)]
    shapes = watch_batches(model, monkeypatch)
    hypotheses = greedy_search(model, SOURCES, SearchConfig(max_source_tokens_per_batch=3))
    # Two rows of length 2 would already be 4 tokens, so every source is alone.
    assert shapes == [[1, n] for n in (8, 7, 6, 5, 4, 3, 2, 1)]
    assert [h.token_ids for h in hypotheses] == expected
