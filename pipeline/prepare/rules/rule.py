"""What a cleaning rule is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.texts import Mask, PairTexts


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """A check of pairs.

    Args:
        name: the reason that rejected rows get.
        rejects: for each pair, whether the rule rejects it. It looks at all pairs at once, and the
            answer for a pair does not depend on the others.
        is_on: whether the settings switch the rule on.
        detail: what is wrong with a pair that the rule rejects, such as ``12 and 13``.
        is_slow: whether the rule is better not asked about pairs that another rule rejects.
        details: as ``detail`` for several pairs, if that is much faster for all of them at once.
    """

    name: str
    rejects: Callable[[PairTexts, CleanConfig], Mask]
    is_on: Callable[[CleanConfig], bool]
    detail: Callable[[str, str, CleanConfig], str]
    is_slow: bool = False
    details: Callable[[PairTexts, CleanConfig], list[str]] | None = None

    def details_of(self, texts: PairTexts, config: CleanConfig) -> list[str]:
        """What is wrong with some pairs that the rule rejects."""
        if self.details is not None:
            return self.details(texts, config)
        pairs = zip(texts.source.to_list(), texts.target.to_list(), strict=True)
        return [self.detail(source, target, config) for source, target in pairs]


def where_rows(candidates: Mask, test: Callable[[int], bool]) -> Mask:
    """A mask of the rows among some candidates for which a test is true.

    Rules use it for what NumPy cannot decide: a quick look at all rows finds a few candidates, and
    Python looks at each of them.

    Args:
        candidates: the rows to test.
        test: takes the number of a row.
    """
    rows = np.zeros(len(candidates), np.bool_)
    for row in np.flatnonzero(candidates).tolist():
        rows[row] = test(row)
    return rows
