"""Advice on the rule ``cross_entropy``: percentiles, the share of dropped rows, examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingo_model import Scorer
from pipeline.prepare import score_advice as module
from pipeline.prepare.config import CrossEntropyConfig
from pipeline.prepare.rules.cross_entropy import ScoringModels
from pipeline.prepare.score_advice import score_advice
from pipeline.prepare.texts import PairTexts, TextColumn


class LengthScorer(Scorer):
    """Gives each target its number of characters as its cross-entropy."""

    def __init__(self) -> None:
        pass

    def cross_entropy(self, sources: Any, targets: Any) -> list[float]:
        return [float(len(text)) for text in targets]


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = ScoringModels(LengthScorer(), LengthScorer())
    monkeypatch.setattr(module, "scoring_models", lambda config, folder: loaded)


def advice_on(n_rows: int, max_score: float) -> module.ScoreAdvice | None:
    """Advice on pairs whose sides both have 1, 2, 3 ... characters, which are their scores."""
    texts = ["x" * number for number in range(1, n_rows + 1)]
    pairs = PairTexts(TextColumn.of(texts), TextColumn.of(texts), "en", "es")
    config = CrossEntropyConfig(forward=Path("a"), backward=Path("b"), max_score=max_score)
    origins = [f"a.tsv:{number}" for number in range(1, n_rows + 1)]
    return score_advice("a.tsv", origins, pairs, config, None)


def test_percentiles_and_dropped_rows() -> None:
    advice = advice_on(101, max_score=90.5)
    assert advice is not None
    assert advice.n_above == 11  # 91 to 101
    assert advice.percentiles == {50: 51, 60: 61, 70: 71, 80: 81, 90: 91, 95: 96, 99: 100}
    assert [example.origin for example in advice.examples] == ["a.tsv:91", "a.tsv:92", "a.tsv:93"]
    assert advice.examples[0].detail == "91.00 (forward 91.00, backward 91.00)"
    lines = list(advice.lines())
    assert lines[0] == (
        "rule cross_entropy: drops 11 of 101 rows of a.tsv that the other rules keep (10.89%) "
        "with max_score 90.5"
    )
    assert lines[1].endswith("90 %: 91.00, 95 %: 96.00, 99 %: 100.00")


def test_a_large_sample_is_scored_in_part_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SCORED_ROWS", 11)
    advice = advice_on(101, max_score=95.0)
    assert advice is not None
    assert (advice.n_rows, advice.n_above) == (11, 1)
    assert advice.percentiles[50] == 51
    assert [example.origin for example in advice.examples] == ["a.tsv:101"]


def test_no_rows_and_no_models_give_no_advice() -> None:
    texts = PairTexts(TextColumn.of(["a"]), TextColumn.of(["b"]), "en", "es")
    assert score_advice("a.tsv", ["a.tsv:1"], texts, CrossEntropyConfig(), None) is None
    none = texts.take(np.array([False]))
    config = CrossEntropyConfig(forward=Path("a"), backward=Path("b"))
    assert score_advice("a.tsv", [], none, config, None) is None
