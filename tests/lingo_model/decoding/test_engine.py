"""The engine equals the reference, and a sentence's result depends on nothing but the sentence."""

import random
from typing import Any

import pytest
import torch

from lingo_model import Config, Engine, Hypothesis, InputError, SearchConfig, greedy_search
from lingo_model.decoding import engine
from lingo_model.decoding.engine import TIERS, DecodeTier
from lingo_model.kernels.decoding import native_tiers
from lingo_model.network.lstm import SimpleSeq2SeqLSTM

EOS = 3
N_PIECES = 90
# Sizes that fill no register, one direction and two, one layer to three.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"hidden_dim": 24},
    "one layer": {"hidden_dim": 7, "num_layers": 1},
    "bidirectional": {"hidden_dim": 42, "bidirectional": True},
    "dot": {"hidden_dim": 64, "bidirectional": True, "attention": True},
    "additive": {
        "hidden_dim": 36,
        "num_layers": 3,
        "bidirectional": True,
        "attention": True,
        "attn_type": "additive",
    },
    "tied": {"hidden_dim": 16, "tied_embeddings": True},
    "reversed": {"hidden_dim": 20, "config": Config(lstm_reverse_source=True)},
}
each_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
each_tier = pytest.mark.parametrize("tier", TIERS)


def wild_model(**options: Any) -> SimpleSeq2SeqLSTM:
    """Random with weights so large that sources differ in what they give and when they end."""
    torch.manual_seed(1)
    model = SimpleSeq2SeqLSTM(N_PIECES, N_PIECES, **{"emb_dim": 16} | options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)
    return model.eval()


def some_sources(n: int = 60) -> list[list[int]]:
    draw = random.Random(0)
    return [
        [*(draw.randrange(4, N_PIECES) for _ in range(draw.randrange(0, 14))), EOS]
        for _ in range(n)
    ]


def engine_of(model: SimpleSeq2SeqLSTM, tier: DecodeTier, n_slots: int | None = None) -> Engine:
    if tier != "exact" and tier not in native_tiers():
        pytest.skip(f"this processor does not run the {tier} tier")
    return Engine(model, tier=tier, n_slots=n_slots)


@each_variant
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
def test_exact_is_the_reference(
    options: dict[str, Any], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled and not native_tiers():
        pytest.skip("the compiled kernels are not built, or do not run on this processor")
    if not compiled:
        monkeypatch.setattr(engine, "native_tiers", lambda: ())
    model, sources = wild_model(**options), some_sources()
    expected = greedy_search(model, sources)

    found = Engine(model, n_slots=13).translate(sources)

    assert len({tuple(h.token_ids) for h in expected}) > 20
    assert [h.token_ids for h in found] == [h.token_ids for h in expected]
    assert [h.truncated for h in found] == [h.truncated for h in expected]
    assert [h.log_prob for h in found] == pytest.approx([h.log_prob for h in expected], abs=1e-4)


@each_tier
@each_variant
@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_sentence_depends_on_no_other(
    options: dict[str, Any], tier: DecodeTier, beam_size: int
) -> None:
    """Equal to the last bit, so that near ties need no exception: whatever the order, the number
    of slots, the size of encoder batches and the company."""
    model, sources = wild_model(**options), some_sources()
    search = SearchConfig(beam_size=beam_size, n_best=min(2, beam_size))
    expected = engine_of(model, tier).n_best(sources, search)
    if tier not in native_tiers():
        pytest.skip("torch's own operations keep this only to rounding")
    order = list(range(len(sources)))
    random.Random(2).shuffle(order)

    def shuffled(n_slots: int, **options: Any) -> list[list[Hypothesis]]:
        mixed = engine_of(model, tier, n_slots).n_best(
            [sources[i] for i in order],
            SearchConfig(beam_size=beam_size, n_best=search.n_best, **options),
        )
        back = dict(zip(order, mixed, strict=True))
        return [back[i] for i in range(len(sources))]

    assert shuffled(7) == expected
    assert shuffled(500) == expected
    assert shuffled(32, max_source_tokens_per_batch=20) == expected
    half = len(sources) // 2
    whole = engine_of(model, tier)
    assert whole.n_best(sources[:half], search) + whole.n_best(sources[half:], search) == expected
    assert [whole.n_best([source], search)[0] for source in sources[:9]] == expected[:9]


@each_tier
def test_greedy_is_a_beam_of_one(tier: DecodeTier) -> None:
    model, sources = wild_model(**VARIANTS["dot"]), some_sources()
    whole = engine_of(model, tier)
    # A minimum of no tokens changes nothing but the way: through the beams.
    through_beams = SearchConfig(beam_size=1, min_length_ratio=1e-9)

    beam = whole.translate(sources, through_beams)

    greedy = whole.translate(sources)
    assert [h.token_ids for h in beam] == [h.token_ids for h in greedy]
    assert [h.log_prob for h in beam] == pytest.approx([h.log_prob for h in greedy], abs=1e-4)


@pytest.mark.parametrize(("tier", "tolerance"), [("bf16", 0.02), ("int8", 0.06)])
def test_lower_precision_stays_close(tier: DecodeTier, tolerance: float) -> None:
    torch.manual_seed(3)
    model = SimpleSeq2SeqLSTM(
        N_PIECES, N_PIECES, emb_dim=32, hidden_dim=64, bidirectional=True, attention=True
    ).eval()
    sources = some_sources()
    one_token = SearchConfig(max_length_ratio=0.0, max_length_offset=1)

    exact = Engine(model).translate(sources, one_token)
    found = engine_of(model, tier).translate(sources, one_token)

    assert [h.log_prob for h in found] == pytest.approx([h.log_prob for h in exact], abs=tolerance)


def test_a_translations_log_probability_is_the_models() -> None:
    model, sources = wild_model(**VARIANTS["additive"]), some_sources(12)
    for source, found in zip(sources, Engine(model).translate(sources), strict=True):
        ids = found.token_ids
        logits = model(torch.tensor([source]), torch.tensor([[2, *ids[:-1]]]))
        expected = logits.detach().log_softmax(-1)[0, range(len(ids)), ids].sum()
        assert found.log_prob == pytest.approx(float(expected), abs=1e-4)


@each_tier
@pytest.mark.parametrize("beam_size", [1, 3])
def test_an_empty_source_is_empty_and_disturbs_nobody(tier: DecodeTier, beam_size: int) -> None:
    model, sources = wild_model(**VARIANTS["dot"]), some_sources(9)
    search = SearchConfig(beam_size=beam_size)
    whole = engine_of(model, tier)
    expected = whole.translate(sources, search)

    found = whole.translate([[], *sources[:4], [], *sources[4:]], search)

    empty = Hypothesis([], 0.0, truncated=False, empty_because="empty source")
    assert found == [empty, *expected[:4], empty, *expected[4:]]
    assert empty.score == 0.0
    assert whole.translate([[], []], search) == [empty, empty]
    assert whole.translate([], search) == []


@pytest.mark.parametrize("wrong", [-1, N_PIECES])
def test_an_id_outside_the_vocabulary_is_named(wrong: int) -> None:
    model = wild_model(**VARIANTS["plain"])
    for translate in (Engine(model).translate, lambda s: greedy_search(model, s)):
        with pytest.raises(
            InputError, match=rf"source 1 has token id {wrong}: .* has ids 0 to {N_PIECES - 1}"
        ):
            translate([[5, EOS], [5, wrong, EOS]])


def test_a_source_that_is_too_long_is_named() -> None:
    search = SearchConfig(max_source_tokens=3)
    whole = Engine(wild_model(**VARIANTS["plain"]))
    assert whole.translate([[5, 5, EOS]], search)
    with pytest.raises(InputError, match="source 0 has 4 tokens: max_source_tokens=3"):
        whole.translate([[5, 5, 5, EOS]], search)


def test_tiers_that_cannot_be_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wild_model(**VARIANTS["plain"])
    with pytest.raises(InputError, match="tier='fp4': needs one of exact, bf16, int8"):
        Engine(model, tier="fp4")  # type: ignore[arg-type]
    monkeypatch.setattr(engine, "native_tiers", lambda: ("exact",))
    with pytest.raises(InputError, match=r"tier='int8': this machine runs exact; its processor"):
        Engine(model, tier="int8")


def test_packed_weights_replace_the_float_ones() -> None:
    model = wild_model(**VARIANTS["dot"])
    whole = engine_of(model, "int8")
    expected = whole.translate(some_sources())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert whole.translate(some_sources()) == expected


def test_sentences_that_end_between_looks_keep_their_last_token() -> None:
    """On a GPU the host looks at every few steps only; some sentences wait for it."""
    model, sources = wild_model(**VARIANTS["dot"]), some_sources()
    search = SearchConfig(max_length_ratio=0.5, max_length_offset=2)
    expected = [Engine(model).translate([source], search)[0] for source in sources]
    assert len({len(one.token_ids) for one in expected if one.truncated}) > 1
    for n_steps in (2, 3, 7):
        engine = Engine(model, n_slots=3)
        engine._steps_between_looks = n_steps
        assert engine.translate(sources, search) == expected
        assert [engine.translate([source], search)[0] for source in sources] == expected
