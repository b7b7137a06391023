"""The engine equals the oracle, and the result of a sentence depends only on the sentence."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lingo_model import Engine, Hypothesis, InputError, ModelConfig, SearchConfig, SimpleSeq2SeqLSTM
from lingo_model.decoding.precision import DECODE_PRECISIONS, DecodePrecision, check_precision
from lingo_model.kernels import library
from lingo_model.kernels.library import native_precisions

GreedySearch = Callable[..., list[Hypothesis]]

EOS = 3
N_PIECES = 90
# Sizes that do not fill a register, one and two directions, one to three layers.
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
    "reversed": {"hidden_dim": 20, "config": ModelConfig(lstm_reverse_source=True)},
}
each_variant = pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
each_precision = pytest.mark.parametrize("precision", DECODE_PRECISIONS)


def wild_model(**options: Any) -> SimpleSeq2SeqLSTM:
    """A random model with weights so large that translations differ in text and length."""
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


def engine_of(
    model: SimpleSeq2SeqLSTM, precision: DecodePrecision, n_slots: int | None = None
) -> Engine:
    if precision != "float32" and precision not in native_precisions():
        pytest.skip(f"this processor does not support {precision}")
    return Engine(model, precision=precision, n_slots=n_slots)


@each_variant
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
def test_float32_equals_the_oracle(
    options: dict[str, Any],
    compiled: bool,
    monkeypatch: pytest.MonkeyPatch,
    greedy_search: GreedySearch,
) -> None:
    if compiled and not native_precisions():
        pytest.skip("the kernels are not built, or this processor does not support them")
    if not compiled:
        monkeypatch.setattr(library, "native_precisions", lambda: ())
    model, sources = wild_model(**options), some_sources()
    expected = greedy_search(model, sources)

    hypotheses = Engine(model, n_slots=13).translate(sources)

    assert len({tuple(h.token_ids) for h in expected}) > 20
    assert [h.token_ids for h in hypotheses] == [h.token_ids for h in expected]
    assert [h.truncated for h in hypotheses] == [h.truncated for h in expected]
    assert [h.log_prob for h in hypotheses] == pytest.approx(
        [h.log_prob for h in expected], abs=1e-4
    )


@each_precision
@each_variant
@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_sentence_depends_on_no_other(
    options: dict[str, Any], precision: DecodePrecision, beam_size: int
) -> None:
    """Results are equal to the last bit, so that near ties need no exception.

    They do not depend on the order, the number of slots, the size of encoder batches or the other
    sentences.
    """
    model, sources = wild_model(**options), some_sources()
    search = SearchConfig(beam_size=beam_size, n_best=min(2, beam_size))
    expected = engine_of(model, precision).n_best(sources, search)
    if precision not in native_precisions():
        pytest.skip("torch's operations are equal only up to rounding")
    order = list(range(len(sources)))
    random.Random(2).shuffle(order)

    def shuffled(n_slots: int, **options: Any) -> list[list[Hypothesis]]:
        mixed = engine_of(model, precision, n_slots).n_best(
            [sources[i] for i in order],
            SearchConfig(beam_size=beam_size, n_best=search.n_best, **options),
        )
        back = dict(zip(order, mixed, strict=True))
        return [back[i] for i in range(len(sources))]

    assert shuffled(7) == expected
    assert shuffled(500) == expected
    assert shuffled(32, max_source_tokens_per_batch=20) == expected
    half = len(sources) // 2
    engine = engine_of(model, precision)
    assert engine.n_best(sources[:half], search) + engine.n_best(sources[half:], search) == expected
    assert [engine.n_best([source], search)[0] for source in sources[:9]] == expected[:9]


@each_precision
def test_greedy_search_is_a_beam_of_size_one(precision: DecodePrecision) -> None:
    model, sources = wild_model(**VARIANTS["dot"]), some_sources()
    engine = engine_of(model, precision)
    # A minimum length of 0 tokens changes only the code path.
    through_beams = SearchConfig(beam_size=1, min_length_ratio=1e-9)

    beam = engine.translate(sources, through_beams)

    greedy = engine.translate(sources)
    assert [h.token_ids for h in beam] == [h.token_ids for h in greedy]
    assert [h.log_prob for h in beam] == pytest.approx([h.log_prob for h in greedy], abs=1e-4)


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.02), ("int8", 0.06)])
def test_lower_precision_stays_close(precision: DecodePrecision, tolerance: float) -> None:
    torch.manual_seed(3)
    model = SimpleSeq2SeqLSTM(
        N_PIECES, N_PIECES, emb_dim=32, hidden_dim=64, bidirectional=True, attention=True
    ).eval()
    sources = some_sources()
    one_token = SearchConfig(max_length_ratio=0.0, max_length_offset=1)

    expected = Engine(model).translate(sources, one_token)
    hypotheses = engine_of(model, precision).translate(sources, one_token)

    assert [h.log_prob for h in hypotheses] == pytest.approx(
        [h.log_prob for h in expected], abs=tolerance
    )


def test_a_translations_log_probability_is_the_models() -> None:
    model, sources = wild_model(**VARIANTS["additive"]), some_sources(12)
    for source, hypothesis in zip(sources, Engine(model).translate(sources), strict=True):
        ids = hypothesis.token_ids
        logits = model(torch.tensor([source]), torch.tensor([[2, *ids[:-1]]]))
        expected = logits.detach().log_softmax(-1)[0, range(len(ids)), ids].sum()
        assert hypothesis.log_prob == pytest.approx(float(expected), abs=1e-4)


@each_precision
@pytest.mark.parametrize("beam_size", [1, 3])
def test_an_empty_source_has_an_empty_translation_and_changes_no_other(
    precision: DecodePrecision, beam_size: int
) -> None:
    model, sources = wild_model(**VARIANTS["dot"]), some_sources(9)
    search = SearchConfig(beam_size=beam_size)
    engine = engine_of(model, precision)
    expected = engine.translate(sources, search)

    hypotheses = engine.translate([[], *sources[:4], [], *sources[4:]], search)

    empty = Hypothesis([], 0.0, truncated=False, empty_because="empty source")
    assert hypotheses == [empty, *expected[:4], empty, *expected[4:]]
    assert empty.score == 0.0
    assert engine.translate([[], []], search) == [empty, empty]
    assert engine.translate([], search) == []


@pytest.mark.parametrize("wrong", [-1, N_PIECES])
def test_an_id_outside_the_vocabulary_is_named(wrong: int, greedy_search: GreedySearch) -> None:
    model = wild_model(**VARIANTS["plain"])
    for translate in (Engine(model).translate, lambda s: greedy_search(model, s)):
        with pytest.raises(
            InputError, match=rf"source 1 has token id {wrong}: .* has ids 0 to {N_PIECES - 1}"
        ):
            translate([[5, EOS], [5, wrong, EOS]])


def test_a_source_that_is_too_long_is_named() -> None:
    search = SearchConfig(max_source_tokens=3)
    engine = Engine(wild_model(**VARIANTS["plain"]))
    assert engine.translate([[5, 5, EOS]], search)
    with pytest.raises(InputError, match="source 0 has 4 tokens: max_source_tokens=3"):
        engine.translate([[5, 5, 5, EOS]], search)


def test_a_precision_that_is_unknown_or_unsupported_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = wild_model(**VARIANTS["plain"])
    with pytest.raises(InputError, match="precision='fp4': needs one of float32, bfloat16, int8"):
        Engine(model, precision="fp4")  # type: ignore[arg-type]
    monkeypatch.setattr(library, "native_precisions", lambda: ("float32",))
    with pytest.raises(
        InputError, match=r"precision='int8': this machine supports float32; its processor"
    ):
        Engine(model, precision="int8")
    with pytest.raises(InputError, match=r"supports float32, bfloat16; a GPU does not support it"):
        check_precision("int8", on_gpu=True)


def test_packed_weights_replace_the_float_ones() -> None:
    model = wild_model(**VARIANTS["dot"])
    engine = engine_of(model, "int8")
    expected = engine.translate(some_sources())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert engine.translate(some_sources()) == expected


def test_sentences_that_end_between_checks_keep_their_last_token() -> None:
    """On a GPU the host checks for ended sentences only every few steps."""
    model, sources = wild_model(**VARIANTS["dot"]), some_sources()
    search = SearchConfig(max_length_ratio=0.5, max_length_offset=2)
    expected = [Engine(model).translate([source], search)[0] for source in sources]
    assert len({len(h.token_ids) for h in expected if h.truncated}) > 1

    def assert_as_expected(hypotheses: list[Hypothesis]) -> None:
        assert [h.token_ids for h in hypotheses] == [h.token_ids for h in expected]
        assert [h.truncated for h in hypotheses] == [h.truncated for h in expected]
        # Without the kernels, log probabilities are equal only up to rounding.
        log_probs = [h.log_prob for h in expected]
        assert [h.log_prob for h in hypotheses] == pytest.approx(log_probs, abs=1e-4)

    for n_steps in (2, 3, 7):
        engine = Engine(model, n_slots=3)
        engine._steps_between_checks = n_steps
        assert_as_expected(engine.translate(sources, search))
        assert_as_expected([engine.translate([source], search)[0] for source in sources])
