"""Advice on the rule ``cross_entropy``: how its scores are distributed in a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.prepare.advice_examples import Example
from pipeline.prepare.config import CrossEntropyConfig
from pipeline.prepare.rules.cross_entropy import describe, dual_score, scoring_models
from pipeline.prepare.texts import PairTexts

MAX_SCORED_ROWS = 2000
"""Rows of each input that are scored. The models need seconds for them."""

_PERCENTILES = (50, 60, 70, 80, 90, 95, 99)
_N_EXAMPLES = 3


@dataclasses.dataclass(frozen=True, slots=True)
class ScoreAdvice:
    """The scores of some rows of an input that every other rule keeps.

    Args:
        name: the input.
        n_rows: the rows that are scored.
        max_score: the threshold of the settings.
        n_above: the rows with a higher score.
        percentiles: the scores below which so many percent of the rows are.
        examples: rows just above the threshold.
    """

    name: str
    n_rows: int
    max_score: float
    n_above: int
    percentiles: dict[int, float]
    examples: tuple[Example, ...]

    def lines(self) -> Iterator[str]:
        """The advice as lines of text."""
        yield (
            f"rule cross_entropy: drops {self.n_above:,} of {self.n_rows:,} rows of {self.name} "
            f"that the other rules keep ({self.n_above / self.n_rows:.2%}) with max_score "
            f"{self.max_score:g}"
        )
        scores = ", ".join(f"{share} %: {score:.2f}" for share, score in self.percentiles.items())
        yield f"    max_score to keep a share of the rows: {scores}"
        for example in self.examples:
            yield from example.lines()


def score_advice(
    name: str,
    origins: Sequence[str],
    texts: PairTexts,
    config: CrossEntropyConfig,
    folder: Path | None,
) -> ScoreAdvice | None:
    """Score some rows of an input, evenly through it.

    Args:
        name: the input.
        origins: the origin of each row.
        texts: the rows that every other rule keeps.
        config: the settings of the rule.
        folder: the folder of the corpus description, where relative paths of models begin.

    Returns:
        the advice, or None if the rule is off or there is no row.

    Raises:
        InputError: a model cannot be loaded.
    """
    if not config.is_on or not len(texts):
        return None
    n_rows = min(MAX_SCORED_ROWS, len(texts))
    rows = np.linspace(0, len(texts) - 1, n_rows).round().astype(int)
    chosen = np.zeros(len(texts), np.bool_)
    chosen[rows] = True
    sample = texts.take(chosen)
    forward, backward = scoring_models(config, folder).entropies(sample)
    scores = dual_score(forward, backward)
    above = np.flatnonzero(scores > config.max_score)
    nearest = above[np.argsort(scores[above], kind="stable")][:_N_EXAMPLES].tolist()
    return ScoreAdvice(
        name=name,
        n_rows=n_rows,
        max_score=config.max_score,
        n_above=len(above),
        percentiles={
            share: float(score)
            for share, score in zip(_PERCENTILES, np.percentile(scores, _PERCENTILES), strict=True)
        },
        examples=tuple(
            Example(
                origins[rows[number]],
                sample.source.text(number),
                sample.target.text(number),
                describe(float(forward[number]), float(backward[number])),
            )
            for number in nearest
        ),
    )
