"""Scores of given translations: by hand, against the training loss, and alone or in a batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from lingo_model import Bundle, InputError, Scorer, SimpleSeq2SeqLSTM, Subwords, SummedLoss
from lingo_model.network.config import AttentionType
from lingo_model.special_ids import EOS_ID, SOS_ID

MakeBigramModel = Callable[[Mapping[int, Mapping[int, float]], int], SimpleSeq2SeqLSTM]


def with_model(bundle: Bundle, model: SimpleSeq2SeqLSTM) -> Bundle:
    return dataclasses.replace(bundle, model=model)


def attentive(subwords: Subwords, attn_type: AttentionType) -> SimpleSeq2SeqLSTM:
    """A model in which padding could leak through attention and the encoder's second direction."""
    torch.manual_seed(5)
    size = subwords.vocab_size
    model = SimpleSeq2SeqLSTM(
        size,
        size,
        emb_dim=8,
        hidden_dim=8,
        num_layers=2,
        dropout=0.5,
        attention=True,
        attn_type=attn_type,
        bidirectional=True,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1.0, 1.0)
    return model


def test_cross_entropy_by_hand(bundle: Bundle, bigram_model: MakeBigramModel) -> None:
    # sos -> a: 1/2; a -> a: 1/4, a -> eos: 3/4. Of [a, a, eos] the tokens have 1/2, 1/4 and 3/4.
    [[a]] = bundle.subwords.encode(["cat"])
    followers = {SOS_ID: {a: 0.5, EOS_ID: 0.5}, a: {a: 0.25, EOS_ID: 0.75}}
    scorer = Scorer(with_model(bundle, bigram_model(followers, bundle.subwords.vocab_size)))

    entropies = scorer.cross_entropy(["the", "the", "the"], ["cat cat", "cat", ""])

    assert entropies == pytest.approx(
        [
            -(math.log(1 / 2) + math.log(1 / 4) + math.log(3 / 4)) / 3,
            -(math.log(1 / 2) + math.log(3 / 4)) / 2,
            -math.log(1 / 2),
        ],
        rel=1e-5,
    )


@pytest.mark.parametrize("attn_type", ["dot", "additive"])
def test_it_is_the_training_loss_of_one_pair_without_dropout(
    bundle: Bundle, subwords: Subwords, attn_type: AttentionType
) -> None:
    model = attentive(subwords, attn_type)
    [source], [target] = subwords.encode(["the big house"]), subwords.encode(["la casa grande"])
    [entropy] = Scorer(with_model(bundle, model)).cross_entropy(
        ["the big house"], ["la casa grande"]
    )
    with torch.inference_mode():
        loss = SummedLoss(model.eval())(
            torch.tensor([[*source, EOS_ID]]),
            torch.tensor([[SOS_ID, *target]]),
            torch.tensor([[*target, EOS_ID]]),
        )
    assert entropy == pytest.approx(loss.item() / (len(target) + 1), rel=1e-6)


@pytest.mark.parametrize("attn_type", ["dot", "additive"])
@pytest.mark.parametrize("tokens_per_batch", [1, 64, 1 << 20])
def test_a_pair_alone_and_in_any_batch_has_the_same_score(
    bundle: Bundle,
    subwords: Subwords,
    sentences: list[str],
    monkeypatch: pytest.MonkeyPatch,
    attn_type: AttentionType,
    tokens_per_batch: int,
) -> None:
    scorer = Scorer(with_model(bundle, attentive(subwords, attn_type)))
    sources, targets = [*sentences[:30], ""], [*sentences[30:60], "casa " * 40]
    alone = [scorer.cross_entropy([s], [t])[0] for s, t in zip(sources, targets, strict=True)]
    assert len(set(alone)) == len(alone)

    monkeypatch.setattr("lingo_model.scorer._TOKENS_PER_BATCH", tokens_per_batch)
    monkeypatch.setattr("lingo_model.scorer._TOKENS_PER_OUTPUT", 7)
    together = scorer.cross_entropy(sources, targets)
    again = scorer.cross_entropy(sources[::-1], targets[::-1])[::-1]

    np.testing.assert_allclose(together, alone, atol=1e-5, rtol=0)
    np.testing.assert_allclose(again, alone, atol=1e-5, rtol=0)


def test_the_source_counts(bundle: Bundle) -> None:
    one, other = Scorer(bundle).cross_entropy(["the cat", "a dog"], ["el gato", "el gato"])
    assert abs(one - other) > 1e-3


def test_no_pairs_have_no_scores(bundle: Bundle) -> None:
    assert Scorer(bundle).cross_entropy([], []) == []


def test_unequal_numbers_of_texts_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="2 sources and 1 targets: needs one target for each"):
        Scorer(bundle).cross_entropy(["a", "b"], ["c"])
