"""Beam search: steps worked by hand, and comparison with all possible translations."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lingo_model import Engine, Hypothesis, SearchConfig, SimpleSeq2SeqLSTM
from lingo_model.decoding.beam import Beams

PAD, UNK, SOS, EOS, A, B = range(6)
BigramModel = Callable[..., SimpleSeq2SeqLSTM]
GreedySearch = Callable[..., list[Hypothesis]]


def fixed_limit(max_tokens: int, **options: Any) -> SearchConfig:
    return SearchConfig(max_length_ratio=0.0, max_length_offset=max_tokens, **options)


def test_two_steps_by_hand(bigram_model: BigramModel, greedy_search: GreedySearch) -> None:
    # after sos: a 0.6, b 0.4               -> both live: a 0.6, b 0.4
    # after a: eos 0.4, a 0.3, b 0.3        -> a eos 0.24, a a 0.18, a b 0.18
    # after b: eos 0.9, a 0.1               -> b eos 0.36, b a 0.04
    # The two best of the five have ended: b eos (ln 0.36) and a eos (ln 0.24). Greedy search finds
    # a eos.
    model = bigram_model(
        {SOS: {A: 0.6, B: 0.4}, A: {EOS: 0.4, A: 0.3, B: 0.3}, B: {EOS: 0.9, A: 0.1}}, 6
    )

    (hypotheses,) = Engine(model).n_best([[A, EOS]], SearchConfig(beam_size=2, n_best=2))

    assert [h.token_ids for h in hypotheses] == [[B, EOS], [A, EOS]]
    assert [h.log_prob for h in hypotheses] == pytest.approx(
        [math.log(0.36), math.log(0.24)], abs=1e-5
    )
    assert greedy_search(model, [[A, EOS]])[0].token_ids == [A, EOS]


def test_one_step_of_the_bookkeeping_by_hand() -> None:
    # Living: row 0 with ln 0.5, row 1 with ln 0.4 (after a first step that gave a and b).
    # Row 0: b 0.5 -> 0.25, eos 0.3 -> 0.15, a 0.2 -> 0.10
    # Row 1: eos 0.7 -> 0.28, a 0.2 -> 0.08, b 0.1 -> 0.04
    # The best two are row 1 eos 0.28, which ends, and row 0 b 0.25, which lives. The beam is now
    # narrower by one.
    beams = Beams(SearchConfig(beam_size=2, length_penalty_alpha=0.0), EOS)
    beams.add([7], [10])
    kept, last, ended = beams.advance(
        torch.tensor([[A, B, EOS]]), torch.tensor([[0.5, 0.4, 0.1]]).log()
    )
    assert (kept.tolist(), last.tolist(), ended) == ([0, 0], [A, B], [])

    kept, last, ended = beams.advance(
        torch.tensor([[B, EOS, A], [EOS, A, B]]),
        torch.tensor([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]]).log(),
    )

    # The living hypothesis (0.25) can no longer overtake the ended one (0.28). The sentence ends.
    assert (kept.tolist(), last.tolist()) == ([], [])
    ((sentence, (best,)),) = ended
    assert (sentence, best.token_ids) == (7, [B, EOS])
    assert best.log_prob == pytest.approx(math.log(0.28), abs=1e-6)


@pytest.mark.parametrize(("alpha", "best"), [(0.0, [EOS]), (1.0, [A, EOS])])
def test_length_normalisation_by_hand(
    bigram_model: BigramModel, alpha: float, best: list[int]
) -> None:
    # eos:   ln 0.5  = -0.693, divided by ((5 + 1) / 6) ** alpha = 1
    # a eos: ln 0.45 = -0.799, which is worse with alpha 0. With alpha 1 it is divided by 7/6, and
    #        -0.684 is better.
    model = bigram_model({SOS: {EOS: 0.5, A: 0.5}, A: {EOS: 0.9, B: 0.1}, B: {EOS: 1.0}}, 6)

    (hypothesis,) = Engine(model).translate(
        [[A, EOS]], SearchConfig(beam_size=2, length_penalty_alpha=alpha)
    )

    assert hypothesis.token_ids == best


def test_minimum_length_blocks_eos(bigram_model: BigramModel) -> None:
    model = bigram_model({SOS: {EOS: 0.9, A: 0.1}, A: {EOS: 0.9, A: 0.1}}, 6)
    for beam_size in (1, 2):
        search = SearchConfig(beam_size=beam_size, min_length_ratio=1.0, min_length_offset=1)
        (hypothesis,) = Engine(model).translate([[A, EOS]], search)
        assert hypothesis.token_ids == [A, A, EOS]  # the minimum is 1 * 2 + 1 tokens


def test_a_beam_wide_enough_for_all_hypotheses_finds_the_best(bigram_model: BigramModel) -> None:
    torch.manual_seed(5)
    model = SimpleSeq2SeqLSTM(6, 6, emb_dim=8, hidden_dim=16, num_layers=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1.5, 1.5)
    limit, source = 4, [A, B, EOS]
    search = fixed_limit(limit, beam_size=64, n_best=5, length_penalty_alpha=0.6)

    # All translations of at most four tokens. Each ends with eos, or is truncated at the fourth.
    scores = {}
    for length in range(1, limit + 1):
        for ids in itertools.product((EOS, A, B), repeat=length):
            has_ended = ids[-1] == EOS or length == limit
            if has_ended and EOS not in ids[:-1]:
                logits = model(torch.tensor([source]), torch.tensor([[SOS, *ids[:-1]]])).detach()
                log_probs = logits.log_softmax(-1)[0, range(length), list(ids)]
                scores[ids] = float(log_probs.sum()) / ((5 + length) / 6) ** 0.6
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:5]

    (hypotheses,) = Engine(model).n_best([source], search)

    assert [tuple(h.token_ids) for h in hypotheses] == best
    assert [search.rank(h) for h in hypotheses] == pytest.approx(
        [scores[i] for i in best], abs=1e-5
    )
